import math
from random import Random

import pandas as pd
import pytest

from metrics.regimes import Thresholds
from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning
from sweeps.plans.replay import replay
from sweeps.results.phase import rows_of
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


@pytest.mark.parametrize("strategy", ["step", "border"])
def test_the_boundary_is_where_the_grid_draws_it(strategy):
    found = answers(strategy=strategy, choose="boundary")
    assert {load: answer.temperature for load, answer in found.items()} == {0.1: 1, 0.2: 4, 0.4: 8}
    grid = table().set_index(["temperature", "load"])["regime"]
    for load, answer in found.items():
        assert (answer.regime, answer.reason) == (grid[answer.temperature, load], "the boundary")
        for visit, regime in zip(answer.visits, answer.regimes, strict=True):
            assert regime == grid[visit.row["temperature"], load]


def test_best_visited_chooses_among_what_it_paid_for():
    found = answers(strategy="step", choose="best-visited")
    assert found[0.1].temperature == 2  # all were visited
    assert visited(found[0.2]) == [8, 4]
    assert found[0.2].temperature == 4  # 2 would be better, but was not
    assert found[0.2].regret == pytest.approx(0.1)
    assert found[0.4].regret == 0
    assert (found[0.2].best_temperature, found[0.2].best_error, found[0.2].chosen_error) == (2, 0.1, 0.2)


@pytest.mark.parametrize("choose", ["best-visited", "weighed"])
def test_without_the_column_to_select_by_it_is_the_boundary_and_says_so(choose):
    found = answers(table=table("other"), choose=choose)[0.1]
    assert (found.temperature, found.reason) == (1, "the boundary")
    assert found.note == (
        "no validation_error is known, so this is the boundary; "
        "no temperature is connected, so that the hottest is the boundary"
    )
    assert answers(table=table("other"), select_by="other", strategy="step", choose=choose)[0.1].temperature == 2


def test_errors_without_noise_are_exact_so_that_weighing_takes_the_lowest():
    exact = answers(strategy="step")
    assert {load: answer.temperature for load, answer in exact.items()} == {0.1: 2, 0.2: 4, 0.4: 8}
    assert exact[0.1].reason == "where validation_error is lowest, which outweighs that 1 is the boundary"
    assert exact[0.1].weighed == pytest.approx({1: 0.5, 2: 0.4, 4: 0.6, 8: 0.7})


def weigh(errors, lmcs=(-0.01, -0.02, -0.3, -0.4), images=math.nan, se=math.nan, costs=None, lmc_se=0.001):
    """The answer of a search that evaluates all of four temperatures at one density."""
    rows = [
        {"temperature": each, "density": 0.1, "lmc": lmc, "lmc_se": lmc_se, "cka": 0.9, "test_error": error}
        | {"validation_error": error, "validation_error_se": se, "validation_images": images}
        for each, lmc, error in zip(TEMPERATURES, lmcs, errors, strict=True)
    ]
    table = phase_of(pd.DataFrame(rows), "epochs", THRESHOLDS)
    tuning = TemperatureTuning(TEMPERATURES, [0.1], 8, THRESHOLDS, Tuning("step"), costs=costs)
    seen = dict(zip(TEMPERATURES, rows_of(table), strict=True))
    while tuning.wanted:
        (request,) = tuning.wanted
        tuning.tell(request, seen[request.temperature])
    (answer,) = tuning.answers(table)
    return answer


def test_where_errors_are_noise_the_boundary_decides():
    answer = weigh([0.21, 0.205, 0.203, 0.205], images=100)
    assert (visited(answer), answer.boundary, answer.temperature) == ([8, 4, 2], 2, 2)
    assert answer.reason == "the boundary; that 4 has a lower validation_error may be noise"


def test_where_errors_are_clear_they_decide():
    answer = weigh([0.21, 0.205, 0.10, 0.205], images=10_000)
    assert answer.temperature == 4
    assert answer.reason == "where validation_error is lowest, which outweighs that 2 is the boundary"


def test_bleu_is_weighed_against_the_boundary_likewise():
    """The same, of which the highest is the best: noise is the boundary's, what is clear is its own."""
    for noise, chosen, why in (
        (3.0, 2, "the boundary; that 4 has a higher bleu may be noise"),
        (0.01, 4, "where bleu is"),
    ):
        rows = [
            {"temperature": each, "density": 0.1, "lmc": lmc, "lmc_se": 0.001, "cka": 0.9, "test_error": 0.3}
            | {"bleu": bleu, "bleu_se": noise}
            for each, lmc, bleu in zip(TEMPERATURES, (-0.01, -0.02, -0.3, -0.4), (20, 20.2, 20.4, 20.2), strict=True)
        ]
        found = TemperatureTuning(TEMPERATURES, [0.1], 8, THRESHOLDS, Tuning("step", select_by="bleu"))
        table = phase_of(pd.DataFrame(rows), "epochs", THRESHOLDS)
        replay(found, table)
        (answer,) = found.answers(table)
        assert (visited(answer), answer.boundary, answer.temperature) == ([8, 4, 2], 2, chosen)
        assert answer.reason.startswith(why)
        assert all(18 < bleu < 23 for bleu in answer.weighed.values())


def test_a_standard_error_of_ones_own_decides_likewise():
    assert weigh([0.21, 0.205, 0.2, 0.205], se=0.1).temperature == 2
    assert weigh([0.21, 0.205, 0.2, 0.205], se=0.0001).temperature == 4


def test_where_connectivity_is_noise_errors_decide():
    """All of them are near the threshold: none is far from where the boundary may be."""
    undecided = {"lmcs": (-0.05, -0.049, -0.051, -0.05), "lmc_se": 0.05}
    answer = weigh([0.21, 0.205, 0.12, 0.205], images=100, **undecided)
    assert answer.temperature in visited(answer)
    assert min(visited(answer), key=dict(zip(TEMPERATURES, [0.21, 0.205, 0.12, 0.205], strict=True)).get) == (
        answer.temperature
    )


def test_of_equals_the_cheaper_is_taken():
    same = [0.2, 0.2, 0.2, 0.2]
    assert weigh(same, costs=dict(zip(TEMPERATURES, TEMPERATURES, strict=True))).temperature == 2  # 1 was not evaluated
    answer = weigh(same, costs={1: 1, 2: 3, 4: 2, 8: 4})
    assert answer.temperature == 4
    assert answer.reason == "as good as 2 and 8, and cheaper to train"


def test_what_other_densities_tell_is_not_evaluated():
    temperatures, loads = list(range(1, 14)), [0.1, 0.12, 0.14, 0.16, 0.18, 0.2]
    rows = [
        {"temperature": each, "density": load, "lmc": -0.01 if each <= 5 else -0.3, "cka": 0.9, "test_error": 0.1}
        for load in loads
        for each in temperatures
    ]
    some = phase_of(pd.DataFrame(rows), "epochs", THRESHOLDS)

    def search(some_loads):
        tuning = TemperatureTuning(temperatures, some_loads, 8, THRESHOLDS, Tuning(choose="boundary"))
        replay(tuning, some)
        found = tuning.answers(some)
        assert {answer.boundary for answer in found} == {5}
        return sum(len(answer.visits) for answer in found)

    alone = sum(search([load]) for load in loads)
    assert alone == 6 * 4
    assert search(loads) == 18


def test_all_loads_are_wanted_at_once_and_the_next_round_begins_when_all_are_told():
    tuning = TemperatureTuning(TEMPERATURES, list(LMC), 8, THRESHOLDS, Tuning(), siblings=2)
    assert [(each.load, each.temperature, each.siblings) for each in tuning.wanted] == [
        (load, 8, 2) for load in (0.1, 0.2, 0.4)
    ]
    first, second, third = tuning.wanted
    for request in (third, first):
        tuning.tell(request, {"temperature": 8, "lmc": -0.3, "lmc_se": 0.001})
    assert tuning.wanted == [second]
    unfinished = {answer.load: answer for answer in tuning.answers(table())}
    assert (unfinished[0.2].temperature, unfinished[0.2].note) == (None, "nothing was evaluated")
    assert unfinished[0.4].temperature == 8
    assert unfinished[0.4].note.endswith("the search is not at its end, and this is the best so far")
    assert unfinished[0.4].visits[0].reason.startswith("LMC -0.300 ± 0.001: connected with probability 0.00")
    tuning.tell(second, {"temperature": 8, "lmc": -0.3, "lmc_se": 0.001})
    assert {request.temperature for request in tuning.wanted} & {1, 2, 4}
    notes = {answer.load: answer.note for answer in tuning.answers(table())}
    for load in (each.load for each in tuning.wanted):
        assert notes[load].endswith("the search is not at its end, and this is the best so far")


def test_the_order_in_which_a_round_is_told_changes_nothing():
    def run(turned):
        tuning = TemperatureTuning(TEMPERATURES, list(LMC), 4, THRESHOLDS, Tuning(most_siblings=4), siblings=2)
        cells = {(row["temperature"], row["load"]): row for row in rows_of(table())}
        while tuning.wanted:
            for request in sorted(tuning.wanted, key=lambda each: each.load, reverse=turned):
                row = cells[request.temperature, request.load] | {"lmc_se": 0.05 / request.siblings}
                tuning.tell(request, row)
        return [answer.as_json("density", -0.05) for answer in tuning.answers(table())]

    assert run(False) == run(True)


def test_an_automatic_threshold_is_that_of_the_cells_evaluated():
    clear = table()
    clear["lmc"] = clear["lmc"].where(clear["lmc"] > -0.05, -0.4)
    scaled = clear.copy()
    scaled[["lmc", "test_error", "validation_error"]] *= 0.01
    found = {}
    for name, each, lmc in (("auto", clear, "auto"), ("scaled", scaled, "auto")):
        thresholds = Thresholds(lmc, 0.98)
        tuning = TemperatureTuning(TEMPERATURES, list(LMC), 8, thresholds, Tuning(choose="boundary"))
        replay(tuning, each)
        found[name] = tuning.thresholds.lmc, [answer.boundary for answer in tuning.answers(each)]
    assert found["scaled"][1] == found["auto"][1] == [1, 4, 8]
    assert found["scaled"][0] == pytest.approx(0.01 * found["auto"][0])


def test_what_the_table_does_not_know_is_not_regretted():
    some = table()
    some = some[(some["temperature"] != 2) | (some["load"] != 0.2)]
    found = answers(strategy="step", table=some)
    assert found[0.2].temperature == 4
    assert (found[0.2].best_temperature, found[0.2].regret, found[0.2].chosen_error) == (None, None, 0.2)


def test_as_json():
    plain = answers(choose="boundary")[0.2].as_json("density", -0.05)
    assert list(plain) == [
        *("density", "chosen_temperature", "reason", "regime", "boundary_temperature", "lmc_threshold", "note"),
        *("visited", "evaluations", "retrainings", "best_temperature", "best_error", "chosen_error"),
        *("chosen_bleu", "regret"),
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
    found = answers(start=2, strategy="step", choose="best-visited", table=some)[0.2]
    assert found.visits[0].reason.startswith("2 of 6 siblings diverged: left out")
    assert found.as_json("density", -0.05)["visited"][0]["diverged"] == 2
    assert (found.temperature, found.best_temperature, found.regret) == (4, 4, 0)
    some["n_diverged"], some["n_runs"] = 6, 0
    found = answers(table=some)[0.2]
    assert (found.temperature, found.best_temperature, found.note) == (None, None, "no temperature could be evaluated")


@pytest.mark.parametrize(("count", "loads"), [(4, 2), (5, 3), (6, 6), (8, 12), (16, 4)])
def test_every_search_ends_within_the_bound_at_an_answer_that_was_evaluated(count, loads):
    """Monotone or not, and whatever other densities say."""
    random = Random(count)
    densities = [0.01 * 1.3**place for place in range(loads)]
    for _ in range(25):
        monotone, start = random.random() < 0.5, random.randrange(count)
        edges = sorted(random.randint(0, count) for _ in densities)
        tuning = TemperatureTuning(range(count), densities, start, THRESHOLDS, Tuning(most_siblings=4), siblings=2)
        told = 0
        while tuning.wanted:
            for request in random.sample(tuning.wanted, len(tuning.wanted)):
                edge = edges[densities.index(request.load)]
                connected = request.temperature < edge if monotone else random.random() < 0.5
                row = {"temperature": request.temperature, "lmc": -0.01 if connected else -0.4, "validation_error": 0.1}
                noise = {"lmc_se": 0.001} if random.random() < 0.9 else {}
                tuning.tell(request, row | noise)
                told += 1
            assert told < 10 * count * loads
        cells = [
            {"temperature": each, "load": load, "regime": None, "test_error": math.nan}
            for each in range(count)
            for load in densities
        ]
        for answer, edge in zip(tuning.answers(pd.DataFrame(cells)), edges, strict=True):
            way = visited(answer)
            assert len(way) == len(set(way)) <= math.ceil(math.log2(count)) + 1
            assert {answer.temperature, answer.boundary} <= set(way)
            assert answer.visits[-1].decision == "stop"
            if monotone:
                assert abs(answer.boundary - max(edge - 1, 0)) <= 1 or len(way) == math.ceil(math.log2(count)) + 1


def test_many_densities_that_contradict_the_picture_have_answers_too():
    densities = [0.01 * 100 ** (place / 199) for place in range(200)]
    tuning = TemperatureTuning(range(6), densities, 5, THRESHOLDS, Tuning(choose="boundary"))
    while tuning.wanted:
        for request in tuning.wanted:
            lmc = -0.01 if request.load < 0.1 else -0.3
            tuning.tell(request, {"temperature": request.temperature, "lmc": lmc, "lmc_se": 0.001})
    cells = [
        {"temperature": each, "load": load, "regime": None, "test_error": math.nan}
        for each in range(6)
        for load in densities
    ]
    assert all(answer.boundary is not None for answer in tuning.answers(pd.DataFrame(cells)))
