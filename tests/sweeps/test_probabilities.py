"""Probabilities of regimes: by hand, against a truth that is made up, and what they do and do not depend on."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtr

from metrics.regimes import Thresholds
from sweeps.results.pair_noise import PAIR_NOISE, standard_error
from sweeps.results.phase import with_regimes
from sweeps.results.phase_schema import P_REGIMES
from sweeps.results.probabilities import DENSE_NOISE, DRAWS, PRIOR_FREEDOM, connected_probabilities, noise

FIXED = Thresholds(lmc=-0.05, cka=0.98)
RELATIVE = Thresholds(lmc=-0.05, cka=0.98, margin=0.01, rule="relative")
SURE_OF_CKA = {"cka": 0.9, "cka_se": 1e-9, "cka_se_dense": 1e-9}


def table_of(*cells):
    """A phase table of cells at one load, each of 2 dense seeds with 3 siblings if it does not say otherwise."""
    common = {"load": 0.1, "n_runs": 6, "n_dense_seeds": 2, "n_diverged": 0, "lmc": -0.05, "lmc_se": 0.01}
    common |= {"lmc_se_dense": 0.01} | SURE_OF_CKA
    return pd.DataFrame([common | cell for cell in cells])


def probabilities(*cells, thresholds=FIXED):
    return with_regimes(table_of(*cells), thresholds)[[*P_REGIMES]].to_numpy()


def test_by_hand_the_standard_error_is_both_kinds_weighted_by_their_degrees_of_freedom():
    """Of 2 dense seeds 1; of 6 siblings 4, which the ratio's own leave fewer of."""
    table = table_of({"lmc_se": 0.01, "lmc_se_dense": 0.03})
    freedom = 1 / (1 / 4 + 1 / PRIOR_FREEDOM)
    variance = (1 * 0.03**2 + freedom * DENSE_NOISE["lmc"] * 0.01**2) / (1 + freedom)
    assert noise(table, "lmc")[0] == pytest.approx(math.sqrt(variance))
    (told,) = probabilities({"lmc": -0.08, "lmc_se": 0.01, "lmc_se_dense": 0.03})
    assert told[0] == pytest.approx(stdtr(1 + freedom, 0.03 / math.sqrt(variance)), abs=1 / DRAWS)
    assert told.sum() == pytest.approx(1)


def test_one_dense_seed_counts_with_its_siblings_and_what_dense_seeds_differ_in_elsewhere():
    cell = {"lmc": -0.08, "n_runs": 3, "n_dense_seeds": 1, "lmc_se_dense": math.nan}
    freedom = 1 / (1 / 2 + 1 / PRIOR_FREEDOM)
    expected = stdtr(freedom, 0.03 / (0.01 * math.sqrt(DENSE_NOISE["lmc"])))
    assert probabilities(cell)[0, 0] == pytest.approx(expected, abs=1 / DRAWS)


def test_without_siblings_noise_two_dense_seeds_are_a_cauchy_distribution():
    """As of a single pair for each: Student's t with 1 degree of freedom, one half plus arctan(x) / pi."""
    cell = {"lmc": -0.08, "n_runs": 4, "lmc_se": math.nan, "lmc_se_dense": 0.02}
    assert probabilities(cell)[0, 0] == pytest.approx(0.5 + math.atan(1.5) / math.pi, abs=1 / DRAWS)


def test_what_is_not_known_is_nan():
    nothing = {"lmc_se": math.nan, "lmc_se_dense": math.nan}
    no_cka = {"cka": math.nan, "cka_se": math.nan, "cka_se_dense": math.nan}
    told = probabilities(nothing, {"lmc": math.nan} | nothing, no_cka, {"n_runs": 4, "n_diverged": 2})
    assert np.isnan(told[[0, 1, 3]]).all()
    assert told[2, 0] == pytest.approx(0.5, abs=1 / DRAWS)
    assert np.isnan(told[2, 1:]).all()


def test_without_noise_it_is_certain():
    exact = {"lmc_se": 0, "lmc_se_dense": 0, "cka_se": 0, "cka_se_dense": 0}
    cells = [exact | {"lmc": -0.06}, exact | {"lmc": 0, "cka": 0.9}, exact | {"lmc": 0, "cka": 0.99}]
    assert (probabilities(*cells) == np.eye(3)).all()


def test_a_fixed_rule_tells_a_cell_without_the_others_and_always_the_same():
    cells = [{"lmc": lmc, "cka": 0.98, "cka_se": 0.005, "cka_se_dense": 0.004} for lmc in (-0.08, -0.06, -0.04)]
    together = probabilities(*cells)
    assert (together == np.concatenate([probabilities(cell) for cell in cells])).all()
    assert (together == probabilities(*cells[::-1])[::-1]).all()
    assert np.count_nonzero(together > 0.02) > 6


def test_with_the_relative_rule_the_best_of_the_load_is_drawn_too():
    """The second is 0.012 below a best that is known to 0.01 or exactly, and itself exact."""
    exact = {"lmc": 0, "lmc_se": 0, "lmc_se_dense": 0, "cka_se": 0, "cka_se_dense": 0}
    best, second = exact | {"cka": 0.952}, exact | {"cka": 0.94}
    assert probabilities(best, second, thresholds=RELATIVE)[1].tolist() == [0, 1, 0]
    unsure = best | {"cka_se": 0.01 / math.sqrt(DENSE_NOISE["cka"]), "cka_se_dense": 0.01}
    freedom = 1 + 1 / (1 / 4 + 1 / PRIOR_FREEDOM)
    told = probabilities(unsure, second, thresholds=RELATIVE)
    assert told[1, 2] == pytest.approx(stdtr(freedom, -0.2), abs=1 / DRAWS)
    assert told[0, 2] == 1 - (told[0, 1] > 0) * told[0, 1]
    other_load = table_of(unsure, second).assign(load=[0.1, 0.2])
    assert with_regimes(other_load, RELATIVE)["p_regime_2b"][1] == 1


def test_lmc_and_cka_are_drawn_together():
    """Both on their thresholds: in II-B if both are above, which correlated by 0.5 they are in a third of the draws."""
    (told,) = probabilities({"cka": 0.98, "cka_se": 0.01, "cka_se_dense": 0.01})
    assert told[2] == pytest.approx(1 / 4 + math.asin(0.5) / (2 * math.pi), abs=0.02)


def simulated(cells, dense_seeds, dense_noise, siblings=3):
    """Phase table of cells whose true LMC is 0, with noise of every size, by the model that is assumed."""
    random = np.random.default_rng(1)
    places = np.array(list(combinations(range(siblings), 2)))
    scale = np.exp(random.normal(-3, 1, (cells, 1, 1)))
    own = random.standard_normal((cells, dense_seeds, siblings))
    ratio = PAIR_NOISE["lmc"]
    values = own[..., places[:, 0]] + own[..., places[:, 1]]
    values += math.sqrt(ratio) * random.standard_normal(values.shape)
    of_siblings = 4 / siblings + 2 * ratio / (siblings * (siblings - 1))
    values += math.sqrt((dense_noise - 1) * of_siblings) * random.standard_normal((cells, dense_seeds, 1))
    values *= scale
    cell, dense_seed, pair = (index.ravel() for index in np.indices(values.shape))
    ends = {"first_seed": places[pair, 0], "second_seed": places[pair, 1]}
    pairs = pd.DataFrame({"cell": cell, "dense_seed": dense_seed, **ends, "lmc": values.ravel()})
    means = values.mean(axis=2)
    table = table_of(*[{}] * cells).assign(n_runs=dense_seeds * siblings, n_dense_seeds=dense_seeds)
    se_dense = means.std(axis=1, ddof=1) / math.sqrt(dense_seeds) if dense_seeds > 1 else math.nan
    table = table.assign(lmc=means.mean(axis=1), lmc_se=standard_error(pairs, "lmc"), lmc_se_dense=se_dense)
    return table, means


@pytest.mark.parametrize("dense_seeds", [1, 2, 3])
@pytest.mark.parametrize("dense_noise", [DENSE_NOISE["lmc"], 1.0])
def test_coverage_of_a_known_truth(dense_seeds, dense_noise):
    """A truth on its threshold is told to be on one side with more than p in twice 1 - p of the cells.

    Somewhat fewer, since the ratio of the noises is taken for less well known than it is here; far fewer where dense
    seeds differ less.
    """
    table, means = simulated(3000, dense_seeds, dense_noise)
    told = with_regimes(table, Thresholds(0.0, 0.98))["p_regime_1"]
    for level in (0.7, 0.9, 0.95):
        beside, expected = (np.maximum(told, 1 - told) > level).mean(), 2 * (1 - level)
        if dense_noise == DENSE_NOISE["lmc"]:
            assert expected - 0.07 < beside < expected + 0.02
        else:
            assert beside < expected - 0.03
    if dense_seeds > 1 and dense_noise > 1:  # resampling the seeds alone is surer than it may be
        random = np.random.default_rng(2)
        picks = random.integers(dense_seeds, size=(400, dense_seeds))
        plain = (means[:, picks].mean(axis=2) < 0).mean(axis=1)
        assert (np.maximum(plain, 1 - plain) > 0.95).mean() > 0.2


def test_that_a_cell_is_connected_is_what_the_draws_say_but_exact():
    cells = [
        {"lmc": -0.05 + shift, "lmc_se": error, "lmc_se_dense": 2 * error, "n_runs": runs}
        for shift in (-0.03, -0.001, 0.0, 0.02)
        for error in (0.003, 0.02)
        for runs in (4, 6, 12)
    ]
    counted = 1 - probabilities(*cells)[:, 0]
    assert connected_probabilities(table_of(*cells), -0.05) == pytest.approx(counted, abs=2 / DRAWS)
    assert connected_probabilities(table_of({"lmc": -0.05}), -0.05)[0] == 0.5


def test_that_a_cell_is_connected_without_noise_or_without_knowing_it():
    exact = {"lmc_se": 0.0, "lmc_se_dense": 0.0}
    cells = table_of({"lmc": -0.05} | exact, {"lmc": -0.051} | exact, {"lmc": -0.04} | exact)
    assert connected_probabilities(cells, -0.05).tolist() == [1, 0, 1]
    unknown = table_of({"lmc_se": math.nan, "lmc_se_dense": math.nan})
    assert math.isnan(connected_probabilities(unknown, -0.05)[0])
    own = table_of({"lmc": -0.04, "lmc_se": 0.01, "n_dense_seeds": math.nan, "n_runs": math.nan})
    assert connected_probabilities(own, -0.05)[0] == pytest.approx(0.8413, abs=1e-4)
