import math

import numpy as np

from metrics.regimes import NO_REGIME, Thresholds, possible_regimes, regime_numbers, regimes_at_load

FIXED = Thresholds(lmc=-0.05, cka=0.9)


def test_fixed_rule_on_both_sides_of_each_boundary():
    lmcs = [-0.2, -0.0501, -0.05, 0.0, 0.1, 0.0]
    ckas = [0.99, 0.99, 0.95, 0.8999, 0.9, 0.5]
    assert regimes_at_load(lmcs, ckas, FIXED) == ["I", "I", "II-B", "II-A", "II-B", "II-A"]


def test_relative_rule_compares_with_the_best_of_the_same_load():
    relative = Thresholds(lmc=-0.05, cka=0.9, margin=0.02, rule="relative")
    assert regimes_at_load([0, 0, 0], [0.60, 0.59, 0.57], relative) == ["II-B", "II-B", "II-A"]
    assert regimes_at_load([-0.3, 0, 0], [0.60, 0.59, math.nan], relative) == ["I", "II-B", None]


def test_undefined_metrics_give_no_regime_unless_the_other_decides():
    assert regimes_at_load([math.nan, 0.0, -0.3], [0.95, math.nan, math.nan], FIXED) == [None, None, "I"]
    assert regimes_at_load([0.0], [math.nan], Thresholds(-0.05, 0.9, 0.02, "relative")) == [None]


def test_tables_of_the_same_temperatures_are_told_at_once():
    lmcs, ckas = np.array([[-0.2, 0.0], [0.0, math.nan]]), np.array([[0.95, 0.95], [0.6, 0.95]])
    assert regime_numbers(lmcs, ckas, FIXED).tolist() == [[0, 2], [1, NO_REGIME]]
    relative = Thresholds(lmc=-0.05, cka=0.9, margin=0.02, rule="relative")
    assert regime_numbers(np.zeros((2, 2)), ckas, relative).tolist() == [[2, 2], [1, 2]]


def test_a_cell_may_be_in_the_fewest_regimes_that_are_together_sure():
    assert possible_regimes(0.97, 0.02, 0.01) == ["I"]
    assert possible_regimes(0.95, 0.05, 0.0) == ["I"]
    assert possible_regimes(0.3, 0.68, 0.02) == ["II-A", "I"]
    assert possible_regimes(0.5, 0.1, 0.4) == ["I", "II-B", "II-A"]
    assert possible_regimes(0.02, math.nan, math.nan) == ["II"]
    assert possible_regimes(0.6, math.nan, math.nan) == ["I", "II"]
    assert possible_regimes(math.nan, math.nan, math.nan) == []
