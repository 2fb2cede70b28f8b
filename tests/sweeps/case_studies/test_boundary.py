"""Where a search for the boundary goes at one load, on tables made by hand."""

import math
from itertools import product
from random import Random

import pandas as pd
import pytest

from metrics.regimes import Thresholds
from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning

CONNECTED, BARRIER = -0.01, -0.2
THRESHOLDS = Thresholds(-0.05, 0.98)


def begun(count, start, strategy, **how):
    """A search over temperatures 0 (hot), 1, ..., not told anything yet."""
    siblings = how.pop("siblings", 0)
    tuning = Tuning(strategy, "boundary", **how)
    return TemperatureTuning(range(count), [0.1], start, THRESHOLDS, tuning, siblings)


def search(lmcs, start, strategy, errors=None):
    """Run a search over temperatures of these LMCs; give what it says."""
    tuning = begun(len(lmcs), start, strategy)
    while tuning.wanted:
        (request,) = tuning.wanted
        at = request.temperature
        tuning.tell(request, {"temperature": at, "lmc": lmcs[at], "lmc_se": errors[at] if errors else math.nan})
    return ended(tuning, len(lmcs))


def ended(tuning, count):
    cells = [{"temperature": at, "load": 0.1, "regime": None, "test_error": math.nan} for at in range(count)]
    (answer,) = tuning.answers(pd.DataFrame(cells))
    return answer


def visited(answer):
    return [visit.row["temperature"] for visit in answer.visits]


MONOTONE = [
    ([CONNECTED] * connected + [BARRIER] * (count - connected), start)
    for count in (1, 2, 3, 5, 8, 16)
    for connected in range(count + 1)
    for start in sorted({0, count // 3, count - 1})
]


def test_the_answer_is_the_coldest_connected_and_the_hottest_if_none_is():
    for lmcs, start in MONOTONE:
        found = {strategy: search(lmcs, start, strategy) for strategy in ("border", "step")}
        for answer in found.values():
            assert answer.boundary == max(sum(lmc == CONNECTED for lmc in lmcs) - 1, 0)
            assert visited(answer)[0] == start
            assert answer.visits[-1].decision == "stop"
        way = visited(found["border"])
        assert len(set(way)) == len(way) <= math.ceil(math.log2(len(lmcs))) + 1


def test_step_goes_one_by_one():
    lmcs = [CONNECTED, CONNECTED, BARRIER, BARRIER, BARRIER]
    assert visited(search(lmcs, 4, "step")) == [4, 3, 2, 1]
    assert visited(search(lmcs, 0, "step")) == [0, 1, 2]


def test_sixteen_temperatures_need_five_and_step_sixteen():
    worst = {
        strategy: max(len(search(*monotone, strategy).visits) for monotone in MONOTONE if len(monotone[0]) == 16)
        for strategy in ("step", "border")
    }
    assert worst == {"step": 16, "border": 5}


def test_without_order_the_answer_was_evaluated_and_is_the_coldest_that_counts_as_connected_or_the_hottest():
    for pattern in product([CONNECTED, BARRIER], repeat=5):
        for start in (0, 2, 4):
            for strategy in ("step", "border"):
                found = search(pattern, start, strategy)
                here, way = found.boundary, visited(found)
                assert here in way
                assert pattern[here] == CONNECTED or here == 0
                colder = [at for at in way if at > here]
                if strategy == "step":
                    assert all(pattern[at] == BARRIER for at in colder)


def test_the_bound_holds_where_barriers_are_clear_however_deep():
    random = Random(1)
    for lmcs, start in MONOTONE[::4]:
        deep = [lmc if lmc == CONNECTED else -random.uniform(0.3, 0.9) for lmc in lmcs]
        found = search(deep, start, "border", [0.01] * len(lmcs))
        assert len(found.visits) <= math.ceil(math.log2(len(lmcs))) + 1
        assert found.boundary == search(lmcs, start, "step").boundary


@pytest.mark.parametrize("strategy", ["step", "border"])
def test_a_failed_point_ends_the_search_without_an_answer(strategy):
    tuning = begun(3, 2, strategy)
    (request,) = tuning.wanted
    tuning.tell(request, {"temperature": 2, "lmc": BARRIER})
    (request,) = tuning.wanted
    tuning.tell(request, {"temperature": request.temperature, "lmc": math.nan, "status": "failed"})
    assert tuning.wanted == []
    answer = ended(tuning, 3)
    assert (answer.temperature, answer.boundary, answer.note) == (None, None, "a point failed")
    assert answer.visits[-1].reason == "it failed"


def test_what_is_undefined_is_left_out():
    for strategy in ("step", "border"):
        assert search([CONNECTED, CONNECTED, math.nan, BARRIER], 2, strategy).boundary == 1
        assert search([math.nan, BARRIER, BARRIER], 2, strategy).boundary == 1
        nothing = search([math.nan] * 3, 1, strategy)
        assert (nothing.boundary, nothing.note) == (None, "no temperature could be evaluated")
    found = search([CONNECTED, math.nan], 1, "step")
    assert found.visits[0].reason == "LMC is undefined (no value): left out; hotter, to 0"


@pytest.mark.parametrize("strategy", ["step", "border"])
def test_where_a_third_of_the_siblings_diverged_is_left_out_and_not_asked_again(strategy):
    tuning = begun(3, 1, strategy, siblings=3, most_siblings=6)
    few, many = {"n_diverged": 1, "n_runs": 5}, {"n_diverged": 2, "n_runs": 4}
    (request,) = tuning.wanted
    tuning.tell(request, {"temperature": 1, "lmc": -0.049, "lmc_se": 0.01, "status": "diverged"} | many)
    while tuning.wanted:
        (request,) = tuning.wanted
        assert request.temperature != 1
        tuning.tell(request, {"temperature": request.temperature, "lmc": CONNECTED, "lmc_se": 0.001} | few)
    answer = ended(tuning, 3)
    assert answer.visits[0].p_connected is None
    assert answer.visits[0].reason.startswith("2 of 6 siblings diverged: left out; ")
    assert (answer.boundary, answer.note) == (2, "")


def ask(tuning, lmc, error):
    (request,) = tuning.wanted
    tuning.tell(request, {"temperature": request.temperature, "lmc": lmc, "lmc_se": error})
    return request.temperature, request.siblings


def test_siblings_are_added_one_by_one_only_where_noise_leaves_it_undecided():
    tuning = begun(3, 1, "step", siblings=2, most_siblings=4)
    assert ask(tuning, -0.048, 0.01) == (1, 2)
    assert ask(tuning, -0.055, 0.008) == (1, 3)
    assert ask(tuning, -0.051, 0.002) == (1, 4)  # still undecided, but that is the limit
    assert ask(tuning, -0.2, 0.01) == (0, 2)
    assert tuning.wanted == []
    first, second = ended(tuning, 3).visits
    assert (first.p_connected < 0.5, second.p_connected < 0.05) == (True, True)
    assert first.reason == (
        "LMC -0.048 ± 0.010 with 2 siblings was undecided; LMC -0.055 ± 0.008 with 3 siblings was undecided; "
        "LMC -0.051 ± 0.002: connected with probability 0.31; hotter, to 0"
    )
    assert (
        second.reason
        == "LMC -0.200 ± 0.010: connected with probability 0.00; none is connected: the hottest is the boundary"
    )


def test_one_pair_says_nothing_about_noise():
    tuning = begun(2, 1, "border", siblings=2, most_siblings=6)
    assert ask(tuning, -0.5, math.nan) == (1, 2)
    assert ask(tuning, -0.5, 0.01) == (1, 3)
    assert tuning.wanted[0].temperature == 0


def test_a_cell_that_has_no_more_siblings_makes_do_with_those_it_has():
    tuning = begun(2, 1, "border", siblings=2, most_siblings=6)
    assert ask(tuning, -0.049, 0.01) == (1, 2)
    (request,) = tuning.wanted
    assert (request.temperature, request.siblings) == (1, 3)
    tuning.decline(request)
    (request,) = tuning.wanted
    assert (request.temperature, request.siblings) == (0, 2)


def test_reasons():
    found = search([CONNECTED, CONNECTED, BARRIER], 2, "step")
    assert [(visit.decision, visit.reason) for visit in found.visits] == [
        ("hotter", "LMC -0.200: connected with probability 0.00; hotter, to 1"),
        ("stop", "LMC -0.010: connected with probability 1.00; 1 is the coldest that is connected"),
    ]
