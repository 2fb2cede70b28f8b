import math

import pandas as pd
import pytest

from metrics.regimes import Thresholds
from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning
from sweeps.plans.replay import replay
from sweeps.results.user_table import phase_of

THRESHOLDS = Thresholds(-0.05, 0.98)
TEMPERATURES = [1, 2, 4, 8]  # hot first, as epochs

# Hot to cold. The boundary is nowhere at 0.1, at 4 for 0.2, at 8 for 0.4.
LMC = {0.1: [-0.2, -0.3, -0.3, -0.5], 0.2: [-0.01, -0.02, -0.04, -0.1], 0.4: [0.0, 0.0, 0.0, 0.0]}
ERROR = {0.1: [0.5, 0.4, 0.6, 0.7], 0.2: [0.3, 0.1, 0.2, 0.4], 0.4: [0.3, 0.2, 0.1, 0.0]}


def table(select_by="validation_error"):
    rows = [
        {"temperature": temperature, "density": density, "lmc": lmc, "cka": 0.99, "test_error": error, select_by: error}
        for density in LMC
        for temperature, lmc, error in zip(TEMPERATURES, LMC[density], ERROR[density], strict=True)
    ]
    return phase_of(pd.DataFrame(rows), "epochs", THRESHOLDS)


def answers(start=8, table=table(), **options):  # noqa: B008
    tuning = TemperatureTuning(TEMPERATURES, list(LMC), start, THRESHOLDS, Tuning(**options))
    replay(tuning, table)
    return {answer.load: answer for answer in tuning.answers(table)}


def visited(answer):
    return [visit.row["temperature"] for visit in answer.visits]


@pytest.mark.parametrize("strategy", ["step", "bisect"])
def test_the_boundary_is_where_the_grid_draws_it(strategy):
    found = answers(strategy=strategy, choose="boundary")
    assert {load: answer.temperature for load, answer in found.items()} == {0.1: 1, 0.2: 4, 0.4: 8}
    grid = table().set_index(["temperature", "load"])["regime"]
    for load, answer in found.items():
        assert answer.regime == grid[answer.temperature, load]
        for visit, regime in zip(answer.visits, answer.regimes, strict=True):
            assert regime == grid[visit.row["temperature"], load]


def test_best_visited_chooses_among_what_it_paid_for():
    found = answers(strategy="step")
    assert found[0.1].temperature == 2  # all were visited
    assert visited(found[0.2]) == [8, 4]
    assert found[0.2].temperature == 4  # 2 would be better, but was not
    assert found[0.2].regret == pytest.approx(0.1)
    assert found[0.4].regret == 0
    assert (found[0.2].best_temperature, found[0.2].best_error, found[0.2].chosen_error) == (2, 0.1, 0.2)


def test_without_the_column_to_select_by_it_is_the_boundary_and_says_so():
    found = answers(table=table("other"))[0.1]
    assert (found.temperature, found.note) == (1, "no validation_error is known, so this is the boundary")
    assert answers(table=table("other"), select_by="other")[0.1].temperature == 2


def test_with_neighbours_a_search_begins_at_the_next_larger_densitys_boundary():
    alone, together = answers(strategy="step"), answers(strategy="step", neighbours=True)
    assert visited(alone[0.1]) == [8, 4, 2, 1]
    assert visited(together[0.1]) == [4, 2, 1]
    assert visited(together[0.2]) == [8, 4]
    for load in LMC:
        assert answers(neighbours=True, choose="boundary")[load].temperature == {0.1: 1, 0.2: 4, 0.4: 8}[load]


def test_without_a_connected_temperature_the_neighbour_gives_no_start():
    nothing = table()
    nothing.loc[nothing["load"] == 0.2, "lmc"] = -0.3
    assert visited(answers(table=nothing, strategy="step", neighbours=True)[0.1])[0] == 8


def test_all_loads_are_wanted_at_once_and_with_neighbours_one():
    for neighbours, expected in ((False, [0.1, 0.2, 0.4]), (True, [0.4])):
        how = Tuning(neighbours=neighbours)
        tuning = TemperatureTuning(TEMPERATURES, list(LMC), 8, THRESHOLDS, how, siblings=3)
        assert [(each.load, each.temperature, each.siblings) for each in tuning.wanted] == [
            (load, 8, 3) for load in expected
        ]


def test_what_the_table_does_not_know_is_not_regretted():
    some = table()
    some = some[(some["temperature"] != 2) | (some["load"] != 0.2)]
    found = answers(strategy="step", table=some)
    assert found[0.2].temperature == 4
    assert (found[0.2].best_temperature, found[0.2].regret, found[0.2].chosen_error) == (None, None, 0.2)


def test_as_json():
    plain = answers(choose="boundary")[0.2].as_json("density")
    assert list(plain) == [
        *("density", "chosen_temperature", "regime", "boundary_temperature", "note", "visited", "evaluations"),
        *("best_temperature", "best_error", "chosen_error", "regret"),
    ]
    assert plain["evaluations"] == len(plain["visited"])
    assert set(plain["visited"][0]) >= {"temperature", "lmc", "regime", "decision", "reason"}
    assert plain["visited"][0]["lmc_se"] is None
    assert not any(value != value for visit in plain["visited"] for value in visit.values())  # NaN is not JSON


def test_a_load_without_any_defined_lmc_has_no_answer():
    nothing = table().assign(lmc=math.nan, status="diverged")
    found = answers(table=nothing)[0.1]
    assert (found.temperature, found.regime, found.note) == (None, None, "no temperature could be evaluated")


def test_where_a_third_of_the_siblings_diverged_is_neither_chosen_nor_the_best():
    some = table().assign(n_diverged=0, n_runs=6)
    lowest = (some["temperature"] == 2) & (some["load"] == 0.2)
    some.loc[lowest, ["n_diverged", "n_runs"]] = 2, 4
    found = answers(start=2, strategy="step", table=some)[0.2]
    assert found.visits[0].reason.startswith("2 of 6 siblings diverged: left out")
    assert found.as_json("density")["visited"][0]["diverged"] == 2
    assert (found.temperature, found.best_temperature, found.regret) == (4, 4, 0)
    some["n_diverged"], some["n_runs"] = 6, 0
    found = answers(table=some)[0.2]
    assert (found.temperature, found.best_temperature, found.note) == (None, None, "no temperature could be evaluated")
