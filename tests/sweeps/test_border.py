"""Smooth borders of made-up phase tables, whose borders are known."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from metrics.regimes import Thresholds
from sweeps.results.border import smooth_borders

FIXED = Thresholds(lmc=-0.05, cka=0.98)
LOADS = (0.1, 0.2, 0.4, 0.8)


def grid(lmcs, ckas=None, noise=0.0):
    """A phase table, from hot to cold where low is hot, over :data:`LOADS`."""
    rows = [
        {"temperature": temperature, "load": load, "lmc": lmcs[temperature][place]}
        | {"cka": math.nan if ckas is None else ckas[temperature][place]}
        for temperature in range(len(lmcs))
        for place, load in enumerate(LOADS)
    ]
    common = {"n_runs": 6, "n_dense_seeds": 2, "n_diverged": 0}
    common |= {f"{name}_{se}": noise for name in ("lmc", "cka") for se in ("se", "se_dense")}
    return pd.DataFrame(rows).assign(**common)


def one(table, hot_is_low=True):
    (border,) = smooth_borders(table, FIXED, hot_is_low)
    return border


def test_by_hand_it_is_interpolated_in_the_logarithm_of_the_load():
    """Halfway between 0.1 and 0.2, a quarter of the way from 0.2 to 0.4."""
    border = one(grid([[-0.06, -0.04, 0, 0], [-0.1, -0.06, -0.02, 0]]))
    assert border.name == "I | II"
    assert border.loads == pytest.approx((0.1 * 2**0.5, 0.2 * 2**0.25))
    assert border.low == border.high == pytest.approx(border.loads)  # without noise


def test_hot_comes_first_whatever_its_values():
    table = grid([[-0.06, -0.04, 0, 0], [-0.1, -0.06, -0.02, 0]])
    assert one(table, hot_is_low=False).loads == one(table).loads[::-1]
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    assert one(shuffled).loads == one(table).loads


def test_beyond_the_grid_it_is_nan_and_the_band_ends_with_the_grid():
    border = one(grid([[0, 0, 0, 0], [-0.06, -0.04, 0, 0], [-0.3, -0.3, -0.3, -0.2]], noise=0.005))
    assert np.isnan(border.loads).tolist() == [True, False, True]
    assert border.low[0] == pytest.approx(0.1)
    assert border.high[2] == pytest.approx(0.8)


def test_rows_out_of_order_are_pooled():
    """Halfway between 0.1 and 0.2, between 0.2 and 0.4, between 0.1 and 0.2, at 0.4 to 0.8: half a step is pooled."""
    low, middle, high = [-0.06, -0.04, 0, 0], [-0.1, -0.06, -0.04, 0], [-0.1, -0.1, -0.06, -0.04]
    border = one(grid([low, middle, low, high]))
    assert border.loads == pytest.approx((0.1 * 2**0.5, 0.2, 0.2, 0.4 * 2**0.5))


def test_the_direction_is_that_of_the_data():
    rising = one(grid([[-0.06, -0.04, 0, 0], [-0.1, -0.06, -0.04, 0]])).loads
    falling = one(grid([[-0.1, -0.06, -0.04, 0], [-0.06, -0.04, 0, 0]])).loads
    assert falling == rising[::-1]


def test_the_band_is_wider_where_noise_is_larger_and_holds_the_border():
    lmcs = [[-0.2, -0.08, -0.02, 0], [-0.3, -0.1, -0.03, 0]]
    narrow, wide = (one(grid(lmcs, noise=noise)) for noise in (0.005, 0.02))
    for border in (narrow, wide):
        assert all(low < load < high for low, load, high in zip(border.low, border.loads, border.high, strict=True))
    assert wide.high[0] - wide.low[0] > 2 * (narrow.high[0] - narrow.low[0])
    assert one(grid(lmcs, noise=0.005)) == narrow


def test_without_noise_that_is_known_there_is_no_band_and_cells_without_it_are_left_out_where_others_have_it():
    lmcs = [[-0.06, -0.04, 0, 0]]
    border = one(grid(lmcs, noise=math.nan))
    assert border.loads == pytest.approx((0.1 * 2**0.5,))
    assert np.isnan([*border.low, *border.high]).all()
    table = grid(lmcs, noise=1e-9)
    table.loc[1, ["lmc_se", "lmc_se_dense"]] = math.nan  # then -0.06 at 0.1 is followed by 0 at 0.4
    assert one(table).loads == pytest.approx((0.1 * 4 ** (1 / 6),))


def test_cells_of_which_too_many_diverged_do_not_count():
    table = grid([[-0.06, -0.04, 0, 0]])
    table.loc[1, "n_diverged"] = 3
    assert one(table).loads == pytest.approx((0.1 * 4 ** (1 / 6),))


def test_regime_two_b_begins_where_siblings_are_connected_and_similar():
    """CKA is reached halfway from 0.2 to 0.4; the cold row is connected only later, so that it has no II-A."""
    ckas = [[0.9, 0.97, 0.99, 0.99]] * 2
    first, second = smooth_borders(grid([[-0.06, -0.04, 0, 0], [-0.1, -0.1, -0.06, -0.04]], ckas), FIXED, True)
    assert (first.name, second.name) == ("I | II", "II-A | II-B")
    assert second.loads == pytest.approx((0.2 * 2**0.5, 0.4 * 2**0.5))
    assert second.loads[1] == first.loads[1]


def test_with_the_relative_rule_cka_is_compared_with_the_best_of_its_load():
    """The cold row is the best everywhere; the hot one is 0.04, 0.03, 0.01 and 0 below it, the margin 0.02."""
    best = [0.9, 0.92, 0.94, 0.96]
    ckas = [[cka - below for cka, below in zip(best, (0.04, 0.03, 0.01, 0), strict=True)], best]
    relative = replace(FIXED, rule="relative", margin=0.02)
    _, second = smooth_borders(grid([[0, 0, 0, 0]] * 2, ckas), relative, True)
    assert second.loads[0] == pytest.approx(0.2 * 2**0.5)
    assert math.isnan(second.loads[1])


def test_a_table_without_results_has_no_borders():
    assert smooth_borders(grid([[math.nan] * 4]), FIXED, True) == ()
