"""On the tables of this project's complete grids (docs/case_studies.md)."""

import math
from functools import cache
from itertools import product
from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest
from comparisons import complete_grid, interval
from model_selection import regrets

from sweeps.case_studies.boundary import is_undecided
from sweeps.case_studies.model_selection import select
from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning
from sweeps.plans.replay import replay
from sweeps.results.phase import rows_of

FOLDER = Path(__file__).parents[1] / "recorded"
GRIDS = ["digits", "digits-epochs", "fashion-epochs", "fashion-batch-size", "fashion-sam"]


@cache
def recorded(grid):
    spec, table = complete_grid(str(FOLDER / f"{grid}.csv"))
    assert sorted(set(table["temperature"])) == sorted(spec.temperatures)
    return spec, table


def answers(grid, start=None, loads=None, **how):
    """Answers of a search at these densities, all of the grid's if not given, that is told what was recorded."""
    spec, table = recorded(grid)
    start = spec.default_temperature if start is None else start
    loads = spec.loads if loads is None else loads
    tuning = TemperatureTuning(spec.hot_to_cold, loads, start, spec.thresholds, Tuning(choose="boundary", **how))
    replay(tuning, table)
    return {answer.load: answer for answer in tuning.answers(table)}


def is_clearly_monotone(spec, table, load):
    """Whether connectivity ends once, and no temperature is about as probably connected as not."""
    cells = table[table["load"] == load].set_index("temperature").loc[spec.hot_to_cold]
    connected = list(cells["lmc"] >= spec.lmc_threshold)
    return connected == sorted(connected, reverse=True) and not cells["p_regime_1"].between(0.45, 0.55).any()


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS)
def test_border_and_step_agree_where_connectivity_is_clearly_monotone_from_every_start(grid):
    spec, table = recorded(grid)
    monotone = [load for load in spec.loads if is_clearly_monotone(spec, table, load)]
    assert len(monotone) >= 3
    for start, load in product(spec.temperatures, monotone):
        found = {each: answers(grid, start, [load], strategy=each)[load] for each in ("border", "step")}
        assert found["border"].temperature == found["step"].temperature
        assert len(found["border"].visits) <= math.ceil(math.log2(len(spec.temperatures))) + 1


@pytest.mark.parametrize("grid", GRIDS)
def test_step_ends_on_the_boundary_that_the_grid_draws(grid):
    spec, table = recorded(grid)
    regimes = table.set_index(["temperature", "load"])["regime"]
    for load, answer in answers(grid, strategy="step").items():
        order = spec.hot_to_cold
        here = order.index(answer.temperature)
        assert answer.regime == regimes[answer.temperature, load]
        if answer.regime == "I":
            assert here == 0
        else:
            assert here == len(order) - 1 or regimes[order[here + 1], load] == "I"


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS)
def test_border_keeps_its_bound_at_one_density_also_where_connectivity_is_not_monotone(grid):
    spec, _ = recorded(grid)
    for start, load in product(spec.temperatures, spec.loads):
        answer = answers(grid, start, [load], strategy="border")[load]
        assert len(answer.visits) <= math.ceil(math.log2(len(spec.temperatures))) + 1


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS)
def test_a_search_of_all_densities_ends_at_a_connected_temperature_that_it_evaluated_or_at_the_hottest_of_these(grid):
    spec, _ = recorded(grid)
    for start in spec.temperatures:
        for answer in answers(grid, start, strategy="border").values():
            shares = {
                visit.row["temperature"]: visit.p_together if is_undecided(visit.p_connected) else visit.p_connected
                for visit in answer.visits
            }
            connected = [each for each in spec.hot_to_cold if shares.get(each, 0) >= 0.5]
            hottest = min(shares, key=spec.hot_to_cold.index)
            assert answer.temperature == (connected[-1] if connected else hottest)


def selections():
    """Regret of each method at every grid and density, by the test error of dense models, known of all grids."""
    regrets = {}
    for grid in GRIDS:
        spec, table = recorded(grid)
        for load in spec.loads:
            for choice in select(rows_of(table[table["load"] == load]), spec.lmc_threshold, "dense_test_error"):
                regrets.setdefault(choice.method, {})[grid, load] = choice.regret
    return regrets


def test_model_selection_is_that_of_the_docs():
    regrets = {method: list(values.values()) for method, values in selections().items()}
    assert {method: fmean(values) for method, values in regrets.items()} == pytest.approx(
        {"dense error": 0.0134, "Algorithm 2": 0.0046, "Algorithm 2.1": 0.0053, "oracle": 0.0}, abs=0.00005
    )


def test_what_algorithm_2_gains_is_that_of_the_docs():
    found = selections()
    gain = {cell: found["dense error"][cell] - found["Algorithm 2"][cell] for cell in found["Algorithm 2"]}
    assert interval([gain[cell] for cell in sorted(gain)]) == pytest.approx((0.0088, 0.0022, 0.0168), abs=0.00005)
    digits = [value for (grid, _), value in sorted(gain.items()) if grid == "digits"]
    assert interval(digits) == pytest.approx((0.0330, 0.0098, 0.0597), abs=0.00005)
    fashion = {cell: value for cell, value in gain.items() if cell[0].startswith("fashion")}
    assert interval([fashion[cell] for cell in sorted(fashion)]) == pytest.approx((0.0053, 0.0019, 0.0095), abs=0.00005)
    assert {value for (_, load), value in gain.items() if load in (0.2, 0.4)} == {0}
    assert {grid: gain[grid, 0.03] > 0 for grid in GRIDS} == {grid: grid != "digits-epochs" for grid in GRIDS}


def test_with_dense_models_trained_again_it_gains_what_the_docs_say():
    rows = pd.DataFrame([row for grid in GRIDS for row in regrets(str(FOLDER / f"{grid}.csv"))])
    found = rows.pivot(index=["compared by", "grid", "density"], columns="method", values="regret")
    for error, method, expected in (
        ("dense_validation_error", "Algorithm 2", (0.0043, 0.0013, 0.0077)),
        ("dense_validation_error", "Algorithm 2.1", (0.0041, 0.0016, 0.0069)),
        ("dense_test_error", "Algorithm 2", (0.0034, -0.0009, 0.0074)),
        ("dense_test_error", "Algorithm 2.1", (0.0026, -0.0015, 0.0063)),
    ):
        own = found.loc[f"{error}, again"]
        assert interval(own["dense error"] - own[method]) == pytest.approx(expected, abs=0.00005)


def test_an_interval_is_that_of_means_over_resampled_pairs():
    assert interval([0.25] * 3) == (0.25, 0.25, 0.25)
    assert interval([0, 1]) == (0.5, 0, 1)  # a quarter of the resamples has the mean 0, another 1
