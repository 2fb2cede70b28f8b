import math

import numpy as np
import pytest

from metrics.borders import crossing, monotone

ONES = np.ones(3)


def at(values, threshold=0.0, positions=(1.0, 2.0, 4.0), weights=ONES):
    return crossing(np.array(values), np.array(positions), threshold, np.array(weights))


def test_between_two_positions_it_is_interpolated():
    assert at([-3, -1, 1]) == 3
    assert at([-0.4, -0.3, 0.1], threshold=-0.2) == pytest.approx(2.5)


def test_outside_it_is_at_the_end():
    assert at([0, 1, 2]) == 1
    assert at([-3, -2, -1]) == 4
    assert math.isnan(at([math.nan] * 3))


def test_values_that_fall_are_pooled_by_their_weights():
    """-1, 1, -2 and 4: the falling two are -0.5 with equal weights, and 0.4 with 4 to 1."""
    falling, positions = [-1.0, 1.0, -2.0, 4.0], (0.0, 1.0, 2.0, 3.0)
    assert at(falling, 0, positions, [1, 1, 1, 1]) == pytest.approx(2 + 0.5 / 4.5)
    assert at(falling, 0, positions, [1, 4, 1, 1]) == pytest.approx(1 / 1.4)


def test_unknown_values_are_left_out():
    assert at([-1, math.nan, 1]) == 2.5


def test_a_curve_rises_or_falls_whichever_fits_better():
    assert monotone(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4)).tolist() == [1, 2.5, 2.5, 4]
    assert monotone(np.array([4.0, 2.0, 3.0, 1.0]), np.ones(4)).tolist() == [4, 2.5, 2.5, 1]
    assert monotone(np.array([1.0, 0.0, 1.0]), ONES)[:2].tolist() == [0.5, 0.5]  # both fit alike: rising


def test_a_curve_follows_weights_and_keeps_gaps():
    fitted = monotone(np.array([1.0, math.nan, 4.0, 2.0, 6.0]), np.array([1, 1, 3, 1, 1.0]))
    assert fitted[[0, 2, 3, 4]].tolist() == [1, 3.5, 3.5, 6]
    assert math.isnan(fitted[1])
    assert np.isnan(monotone(np.array([math.nan]), np.ones(1))).all()
