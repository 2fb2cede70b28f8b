import math
from itertools import permutations

import numpy as np
import pytest

from metrics.lmc_threshold import lmc_threshold


def found(lmcs, errors=(0.2,)):
    return lmc_threshold(np.array(lmcs, dtype=float), np.array(errors, dtype=float))


def test_between_two_groups_it_is_the_middle_of_the_square_roots():
    """These are 0.1, 0.1, 0.4 and 0.49, so that it lies at 0.25."""
    two = found([-0.01, -0.01, -0.16, -0.24])
    assert two.lmc == pytest.approx(-(0.25**2))
    assert two.reason == "between 2 cells with barriers of 0.01 and 2 of 0.2, on average"


def test_the_groups_have_the_least_squares():
    """0, 0.2, 0.3 and 0.8 have 0.047 if the last is alone, and 0.145 if the last two are: it lies at 0.55."""
    assert found([0, -0.04, -0.09, -0.64]).lmc == pytest.approx(-(0.55**2))


def test_of_two_splits_as_good_it_is_the_one_near_to_no_barrier_in_every_unit():
    """0, 0.4 and 0.8, of which either end could be alone."""
    for unit in (1, 0.3, 0.01, 1e-5):
        assert found([0, -0.16 * unit, -0.64 * unit], [0.2 * unit]).lmc == pytest.approx(-0.04 * unit)


def test_what_is_better_than_the_ends_is_no_barrier():
    assert found([0.03, 0.0, -0.16]).lmc == found([0.0, 0.0, -0.16]).lmc == pytest.approx(-0.04)


def test_another_unit_of_errors_is_another_unit_of_the_threshold():
    for lmcs in ([-0.01, -0.01, -0.16, -0.25], [-0.01] * 4, [-0.2, -0.25, -0.3]):
        small = found(np.multiply(lmcs, 0.01), [0.002, 0.004])
        assert small.lmc == pytest.approx(0.01 * found(lmcs, [0.2, 0.4]).lmc)


@pytest.mark.parametrize(
    "lmcs",
    [
        [0.0, 0.0, 0.0, 0.0],
        [-0.001, -0.001, -0.008, -0.009],  # 8 times as deep, and less than a tenth of the error
        [-0.2, -0.25, -0.3, -0.6],  # 2.4 times as deep
        [-0.3, -0.3, -0.3],
    ],
)
def test_cells_that_are_all_connected_or_have_all_barriers_are_not_split(lmcs):
    whole = found(lmcs, [0.1, 0.2, 0.7])
    assert whole.lmc == pytest.approx(-0.05)
    assert whole.reason == "no two clear groups of barriers; a quarter of the median error, 0.2"
    assert len({lmc < whole.lmc for lmc in lmcs}) == 1


def test_groups_are_apart_from_four_times_as_deep():
    """Roots 0.2 and 0.4."""
    assert found([-0.04, -0.04, -0.16]).lmc == pytest.approx(-0.09)
    assert found([-0.0401, -0.0401, -0.16]).lmc == pytest.approx(-0.05)


def test_a_threshold_is_at_least_a_tenth_of_the_error():
    assert found([0, 0, -0.16], [0.39]).lmc == pytest.approx(-0.04)
    assert found([0, 0, -0.16], [0.41]).lmc == pytest.approx(-0.41 / 4)


@pytest.mark.parametrize("lmcs", [[], [math.nan] * 5, [-0.3], [-0.3, 0.0, math.nan]])
def test_of_fewer_than_three_cells_the_errors_tell(lmcs):
    few = found(lmcs, [0.4, math.nan])
    assert few.lmc == pytest.approx(-0.1)
    assert few.reason == "LMC is known of fewer than 3 cells; a quarter of the median error, 0.4"


def test_what_is_not_known_is_left_out():
    whole = found([-0.01, -0.01, -0.16, -0.25], [0.2])
    assert found([math.nan, -0.01, -0.01, math.nan, -0.16, -0.25], [math.nan, 0.2]) == whole


@pytest.mark.parametrize("errors", [[], [math.nan], [0.0, 0.0]])
def test_without_errors_it_is_the_usual_one_unless_there_are_groups(errors):
    assert found([-0.2, -0.3, -0.3], errors).lmc == -0.05
    assert "no error is known" in found([-0.2], errors).reason
    assert found([0, 0, -0.16], errors).lmc == pytest.approx(-0.04)


def test_the_order_of_cells_does_not_matter():
    answers = {found(lmcs, np.abs(lmcs)) for lmcs in permutations([0.01, -0.013, -0.17, -0.25, -0.03])}
    assert len(answers) == 1
