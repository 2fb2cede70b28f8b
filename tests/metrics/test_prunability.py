import math

import pytest

from metrics.prunability import removable_share


def test_between_two_densities_it_is_interpolated_in_the_logarithm():
    share, bound = removable_share([0.4, 0.1], [0.0, 0.02], 0.01)
    assert (share, bound) == (pytest.approx(1 - 0.2), "")  # halfway from 0.4 to 0.1


def test_the_first_rise_on_the_way_down_counts_whatever_the_order():
    assert removable_share([0.1, 0.8, 0.2, 0.4], [0.0, 0.0, 0.03, -0.01], 0.01).share == pytest.approx(
        1 - 0.4 ** (1 - 0.5) * 0.2**0.5
    )


def test_what_densities_do_not_reach_is_a_bound():
    assert removable_share([0.5, 0.1], [0.0, 0.005], 0.01) == (0.9, "at least")
    assert removable_share([0.5, 0.1], [0.02, 0.0], 0.01) == (0.5, "at most")


def test_exactly_the_tolerance_is_within_it():
    assert removable_share([0.5, 0.25], [0.01, 0.01], 0.01) == (0.75, "at least")


def test_nan_are_left_out():
    assert removable_share([0.5, 0.25], [math.nan, 0.0], 0.01) == (0.75, "at least")
    assert math.isnan(removable_share([0.5], [math.nan], 0.01).share)


@pytest.mark.parametrize(
    ("densities", "excess", "tolerance", "said"),
    [([0.5], [0.0], 0, "tolerance"), ([1.5], [0.0], 0.1, "density is 1.5"), ([0.5], [], 0.1, "argument")],
)
def test_bad_values(densities, excess, tolerance, said):
    with pytest.raises(ValueError, match=said):
        removable_share(densities, excess, tolerance)
