import math

import pytest

from sweeps.case_studies.model_selection import select

THRESHOLD = -0.05


def candidate(temperature, dense, lmc, cka, test):
    regime = "I" if lmc < THRESHOLD else "II-A"
    errors = {"dense_test_error": dense, "test_error": test}
    return {"temperature": temperature, "lmc": lmc, "cka": cka, "regime": regime, **errors}


CANDIDATES = [
    candidate(10, 0.20, -0.01, 0.95, 0.30),
    candidate(20, 0.10, -0.04, 0.97, 0.25),
    candidate(40, 0.05, -0.20, 0.99, 0.40),
    candidate(30, 0.09, -0.06, 0.90, 0.24),
]


def chosen(candidates, column="temperature"):
    return {each.method: each.chosen and each.chosen[column] for each in select(candidates, THRESHOLD)}


def test_each_method_on_a_case_by_hand():
    assert chosen(CANDIDATES) == {"dense error": 40, "Algorithm 2": 20, "Algorithm 2.1": 20, "oracle": 30}
    regrets = {each.method: each.regret for each in select(CANDIDATES, THRESHOLD)}
    assert regrets == pytest.approx({"dense error": 0.16, "Algorithm 2": 0.01, "Algorithm 2.1": 0.01, "oracle": 0.0})
    assert {each.method: each.regime for each in select(CANDIDATES, THRESHOLD)}["dense error"] == "I"


def test_the_algorithms_differ_where_error_and_similarity_do():
    similar = [CANDIDATES[0] | {"cka": 0.985}, *CANDIDATES[1:]]
    assert chosen(similar) == {"dense error": 40, "Algorithm 2": 20, "Algorithm 2.1": 10, "oracle": 30}


def test_if_all_are_in_regime_one_the_largest_lmc_is_taken():
    barriers = [row | {"lmc": row["lmc"] - 0.5} for row in CANDIDATES]
    found = {each.method: each for each in select(barriers, THRESHOLD)}
    for method in ("Algorithm 2", "Algorithm 2.1"):
        assert found[method].chosen["temperature"] == 10
        assert found[method].reason == "all are in Regime I: the largest LMC"


def test_the_threshold_itself_is_connected():
    exactly = [CANDIDATES[0], candidate(40, 0.05, -0.05, 0.99, 0.40)]
    assert chosen(exactly)["Algorithm 2"] == 40


def test_what_is_not_known_is_not_guessed():
    blind = [row | {"dense_test_error": math.nan} for row in CANDIDATES]
    assert chosen(blind) == {"dense error": None, "Algorithm 2": None, "Algorithm 2.1": 20, "oracle": 30}
    assert {each.reason for each in select(blind, THRESHOLD)[:2]} == {"dense_test_error is not known of all candidates"}
    dissimilar = [row | {"cka": math.nan} for row in CANDIDATES]
    assert chosen(dissimilar)["Algorithm 2.1"] is None
    diverged = [CANDIDATES[0], candidate(80, 0.01, math.nan, math.nan, math.nan)]
    assert chosen(diverged) == {"dense error": 80, "Algorithm 2": 10, "Algorithm 2.1": 10, "oracle": 10}
    assert select(diverged, THRESHOLD)[0].as_json()["test_error"] is None
    dense_diverged = [*CANDIDATES, candidate(80, math.nan, math.nan, math.nan, math.nan)]
    assert chosen(dense_diverged) == chosen(CANDIDATES)


def test_a_model_of_whose_siblings_a_third_diverged_is_no_candidate():
    siblings = [{"n_diverged": 2, "n_runs": 4}, {"n_diverged": 1, "n_runs": 5}]
    best_of_all = candidate(80, 0.01, 0.0, 0.999, 0.01)
    assert chosen([*CANDIDATES, best_of_all | siblings[0]]) == chosen(CANDIDATES)
    assert select([*CANDIDATES, best_of_all | siblings[0]], THRESHOLD)[3].regret == 0
    assert set(chosen([*CANDIDATES, best_of_all | siblings[1]]).values()) == {80}


def by(candidates, select_by=None):
    """Error that decided, and the choices of the two methods that it decides."""
    first, second, *_ = select(candidates, THRESHOLD, select_by)
    return first.select_by, first.chosen and first.chosen["temperature"], second.chosen and second.chosen["temperature"]


def test_dense_models_are_compared_by_their_validation_error_where_it_is_known_of_all():
    validation = (0.01, 0.03, 0.04, 0.02)
    both = [row | {"dense_validation_error": error} for row, error in zip(CANDIDATES, validation, strict=True)]
    assert by(both) == ("dense_validation_error", 10, 10)
    assert select(both, THRESHOLD)[0].reason == "lowest dense validation error"
    assert by(both, "dense_test_error") == by(CANDIDATES) == ("dense_test_error", 40, 20)
    assert select(both, THRESHOLD)[0].as_json()["dense_validation_error"] == 0.01
    gap = [*both[:3], both[3] | {"dense_validation_error": math.nan}]
    assert by(gap) == ("dense_test_error", 40, 20)
    assert by(gap, "dense_validation_error") == ("dense_validation_error", None, 10)  # 30 is in Regime I


def test_a_gap_of_what_is_no_candidate_is_none():
    known = [row | {"dense_validation_error": row["dense_test_error"]} for row in CANDIDATES]
    diverged = candidate(80, math.nan, -0.01, 0.9, 0.1) | {"n_diverged": 3, "n_runs": 3}
    failed = candidate(80, math.nan, math.nan, math.nan, math.nan)
    assert by([*known, diverged, failed]) == by(known) == ("dense_validation_error", 40, 20)
