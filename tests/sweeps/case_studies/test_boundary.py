import math
from itertools import product
from random import Random

import pytest

from sweeps.case_studies.boundary import BoundarySearch

THRESHOLD = -0.05
CONNECTED, BARRIER = -0.01, -0.2


def search(lmcs, start, strategy, errors=None):
    """Run a search over temperatures 0 (hot), 1, ... of these LMCs."""
    found = BoundarySearch(range(len(lmcs)), start, strategy, THRESHOLD)
    while found.wanted:
        temperature, _ = found.wanted
        error = errors[temperature] if errors else math.nan
        found.tell({"temperature": temperature, "lmc": lmcs[temperature], "lmc_se": error})
    return found


def visited(found):
    return [visit.row["temperature"] for visit in found.visits]


MONOTONE = [
    ([CONNECTED] * connected + [BARRIER] * (count - connected), start)
    for count in range(1, 18)
    for connected in range(count + 1)
    for start in range(count)
]


@pytest.mark.parametrize("strategy", ["step", "bisect"])
def test_the_answer_is_the_coldest_connected_and_the_hottest_if_none_is(strategy):
    for lmcs, start in MONOTONE:
        found = search(lmcs, start, strategy)
        assert found.boundary == max(sum(lmc == CONNECTED for lmc in lmcs) - 1, 0)
        assert visited(found)[0] == start
        assert found.visits[-1].decision == "stop"


def test_bisect_needs_at_most_log2_and_one_evaluations():
    for lmcs, start in MONOTONE:
        found = search(lmcs, start, "bisect")
        assert len(set(visited(found))) == len(found.visits) <= math.ceil(math.log2(len(lmcs))) + 1


def test_bisect_needs_that_many_for_sixteen_temperatures_and_step_sixteen():
    worst = {
        strategy: max(len(search(*monotone, strategy).visits) for monotone in MONOTONE if len(monotone[0]) == 16)
        for strategy in ("step", "bisect")
    }
    assert worst == {"step": 16, "bisect": 5}


def test_step_goes_one_by_one():
    lmcs = [CONNECTED, CONNECTED, BARRIER, BARRIER, BARRIER]
    assert visited(search(lmcs, 4, "step")) == [4, 3, 2, 1]
    assert visited(search(lmcs, 0, "step")) == [0, 1, 2]


def test_bisect_stays_as_near_to_the_start_as_it_can_afford():
    assert visited(search([CONNECTED] * 4 + [BARRIER], 4, "bisect")) == [4, 3]
    assert visited(search([BARRIER] * 5, 4, "bisect")) == [4, 3, 1, 0]


@pytest.mark.parametrize("strategy", ["step", "bisect"])
def test_without_order_the_answer_is_still_a_border_or_an_end(strategy):
    for pattern in product([CONNECTED, BARRIER], repeat=6):
        for start in range(6):
            found = search(pattern, start, strategy)
            here = found.boundary
            if pattern[here] == CONNECTED:
                assert here == 5 or pattern[here + 1] == BARRIER
            else:
                assert here == 0


def test_where_lmc_falls_with_heat_and_a_barrier_may_be_none_bisect_goes_on_by_steps():
    lmcs = [-0.4, -0.3, -0.3, -0.2, -0.01, -0.06]
    doubtful, clear, unknown = [0.006] * 6, [0.001] * 6, None
    found = search(lmcs, 5, "bisect", doubtful)  # 3 has a clearly deeper barrier than 5, which may be none
    assert visited(found) == [5, 3, 4]
    assert found.boundary == search(lmcs, 5, "step", doubtful).boundary == 4
    assert "by steps, since LMC falls with heat" in found.visits[1].reason
    for errors in (clear, unknown):
        assert visited(search(lmcs, 5, "bisect", errors)) == [5, 3, 1, 0]


def test_the_bound_holds_where_barriers_are_clear_however_deep():
    random = Random(1)
    for lmcs, start in MONOTONE:
        deep = [lmc if lmc == CONNECTED else -random.uniform(0.1, 0.9) for lmc in lmcs]
        found = search(deep, start, "bisect", [0.01] * len(lmcs))
        assert len(found.visits) <= math.ceil(math.log2(len(lmcs))) + 1
        assert found.boundary == search(lmcs, start, "step").boundary


def test_a_failed_point_ends_the_search_without_an_answer():
    found = BoundarySearch([1, 2, 3], 3, "bisect", THRESHOLD)
    found.tell({"temperature": 3, "lmc": BARRIER})
    found.tell({"temperature": found.wanted[0], "lmc": math.nan, "status": "failed"})
    assert (found.wanted, found.boundary, found.failed) == (None, None, True)
    assert found.visits[-1].reason == "it failed"


def test_dense_seeds_that_differ_are_mentioned():
    found = BoundarySearch([1], 1, "step", THRESHOLD)
    found.tell({"temperature": 1, "lmc": -0.06, "lmc_se": 0.001, "lmc_se_dense": 0.04})
    assert "Regime I, though dense seeds differ by more" in found.visits[0].reason


def test_what_is_undefined_is_left_out():
    for strategy in ("step", "bisect"):
        assert search([CONNECTED, CONNECTED, math.nan, BARRIER], 2, strategy).boundary == 1
        assert search([math.nan, BARRIER, BARRIER], 2, strategy).boundary == 1
        assert search([math.nan] * 3, 1, strategy).boundary is None
    found = search([CONNECTED, math.nan], 1, "step")
    assert found.visits[0].reason == "LMC is undefined (no value): left out; hotter, to 0"


@pytest.mark.parametrize("strategy", ["step", "bisect"])
def test_where_a_third_of_the_siblings_diverged_is_left_out_and_not_asked_again(strategy):
    found = BoundarySearch([1, 2, 3], 2, strategy, THRESHOLD, siblings=3, most_siblings=6)
    few, many = {"n_diverged": 1, "n_runs": 5}, {"n_diverged": 2, "n_runs": 4}
    found.tell({"temperature": 2, "lmc": -0.049, "lmc_se": 0.01, "status": "diverged"} | many)
    assert found.visits[0].connected is None
    assert found.visits[0].reason.startswith("2 of 6 siblings diverged: left out; ")
    while found.wanted:
        found.tell({"temperature": found.wanted[0], "lmc": CONNECTED, "lmc_se": 0.001} | few)
    assert (found.boundary, found.failed) == (3, False)
    assert 2 not in visited(found)[1:]


def ask(found, lmc, error):
    temperature, siblings = found.wanted
    found.tell({"temperature": temperature, "lmc": lmc, "lmc_se": error})
    return temperature, siblings


def test_more_siblings_only_where_noise_leaves_it_undecided():
    found = BoundarySearch([1, 2, 3], 2, "bisect", THRESHOLD, siblings=3, most_siblings=8)
    assert ask(found, -0.048, 0.01) == (2, 3)
    assert ask(found, -0.055, 0.008) == (2, 6)
    assert ask(found, -0.051, 0.002) == (2, 8)  # still undecided, but that is the limit
    assert ask(found, -0.2, 0.1) == (1, 3)
    assert found.wanted is None
    first, second = found.visits
    assert (first.connected, second.connected) == (False, False)
    assert first.reason == (
        "LMC -0.048 ± 0.010 with 3 siblings was undecided; LMC -0.055 ± 0.008 with 6 siblings was undecided; "
        "LMC -0.051 ± 0.002 is below -0.05: Regime I, though within its noise; hotter, to 1"
    )


def test_a_standard_error_of_few_siblings_counts_for_less():
    """With 4 degrees of freedom 0.0100 reaches as far as 0.0114 would if it were exact, with 10 as 0.0105."""
    found = BoundarySearch([1, 2], 2, "bisect", THRESHOLD, siblings=3, most_siblings=6)
    row = {"temperature": 2, "lmc": -0.061, "lmc_se": 0.01, "n_dense_seeds": 2}
    found.tell(row | {"n_runs": 6})
    assert found.wanted == (2, 6)
    found.tell(row | {"n_runs": 12})
    assert found.wanted == (1, 3)
    assert found.visits[0].reason.endswith("LMC -0.061 ± 0.010 is below -0.05: Regime I; hotter, to 1")


def test_one_pair_says_nothing_about_noise():
    found = BoundarySearch([1, 2], 2, "bisect", THRESHOLD, siblings=2, most_siblings=6)
    assert ask(found, -0.5, math.nan) == (2, 2)
    assert ask(found, -0.5, 0.01) == (2, 4)
    assert found.wanted == (1, 2)


def test_reasons():
    found = search([CONNECTED, CONNECTED, BARRIER], 2, "bisect")
    assert [(visit.decision, visit.reason) for visit in found.visits] == [
        ("hotter", "LMC -0.200 is below -0.05: Regime I; hotter, to 1"),
        ("stop", "LMC -0.010 is not below -0.05: connected; 1 is connected, 2 is not"),
    ]
    assert search([BARRIER], 0, "step").visits[0].reason.endswith("none is connected: the hottest is the answer")
    assert search([CONNECTED], 0, "step").visits[0].reason.endswith("0, the coldest, is connected")
