"""Which training losses of one sibling are clear, of a benchmark (``tests/benchmarks/one_sibling_first.py``)."""

import math

import numpy as np
import pytest
from sibling_losses import Clear, area_under_curve, fit

LOSSES = np.array([0.4, 0.1, 0.3, 0.2, 0.5, 0.6])
"""Of cells, in no order."""


def connected(*losses):
    return np.isin(LOSSES, losses)


def test_what_is_parted_leaves_the_gap_between():
    clear = fit(LOSSES, connected(0.1, 0.2, 0.3), 0.0)
    assert clear == Clear(0.3, 0.4)
    assert [clear.decides(loss) for loss in (0.1, 0.3, 0.35, 0.4, 0.9)] == [True, True, None, False, False]


def test_what_overlaps_is_between():
    clear = fit(LOSSES, connected(0.1, 0.2, 0.4), 0.0)
    assert clear == Clear(0.2, 0.5)
    assert clear.decides(0.3) is clear.decides(0.4) is None


def test_some_may_be_wrong():
    assert fit(LOSSES, connected(0.1, 0.2, 0.4), 0.25) == Clear(0.35, 0.35)  # both would reach over the other's


def test_equal_losses_are_on_one_side():
    losses, are_connected = np.array([0.1, 0.2, 0.2, 0.3]), np.array([True, True, False, False])
    assert fit(losses, are_connected, 0.0) == Clear(0.1, 0.3)


def test_where_all_are_connected_nothing_is_in_regime_1():
    assert fit(LOSSES, np.full(6, True), 0.0) == Clear(0.6, math.inf)
    assert fit(LOSSES, np.full(6, False), 0.0) == Clear(-math.inf, 0.1)
    assert Clear(-math.inf, math.inf).decides(math.nan) is None


def test_area_under_the_curve():
    assert area_under_curve(LOSSES, connected(0.1, 0.2, 0.3)) == 1
    assert area_under_curve(LOSSES, connected(0.1, 0.2, 0.4)) == pytest.approx(8 / 9)
    assert math.isnan(area_under_curve(LOSSES, np.full(6, True)))
