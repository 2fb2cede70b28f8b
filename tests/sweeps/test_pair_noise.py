"""The standard error of a mean over pairs against the truth, simulated: siblings' noise, pairs' own noise, both."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from sweeps.results.pair_noise import PAIR_NOISE, standard_error

CELLS, DENSE_SEEDS = 2000, 2
ASSUMED = math.sqrt(PAIR_NOISE["lmc"])


def simulated(siblings, of_siblings, of_pairs):
    """Pairs of cells whose true mean is 0."""
    random = np.random.default_rng(1)
    places = list(combinations(range(siblings), 2))
    first, second = (np.array(ends) for ends in zip(*places, strict=True))
    own = of_siblings * random.standard_normal((CELLS, DENSE_SEEDS, siblings))
    values = own[..., first] + own[..., second]
    values += of_pairs * random.standard_normal(values.shape)
    cell, dense_seed, pair = (index.ravel() for index in np.indices(values.shape))
    ends = {"first_seed": first[pair], "second_seed": second[pair]}
    return pd.DataFrame({"cell": cell, "dense_seed": dense_seed, **ends, "lmc": values.ravel()})


@pytest.mark.parametrize(
    ("siblings", "of_siblings", "of_pairs", "ratio"),
    [
        (3, 1, 0, 0.707),
        (3, 1, 1, 0.894),
        (3, 1, ASSUMED, 1),
        (3, 0, 1, 1.414),
        (6, 1, 0, 0.894),
        (6, 1, 1, 0.953),
        (6, 1, ASSUMED, 1),
        (6, 0, 1, 1.414),
    ],
)
def test_it_is_right_for_the_noise_that_is_assumed_and_at_most_root_two_off(siblings, of_siblings, of_pairs, ratio):
    pairs = simulated(siblings, of_siblings, of_pairs)
    estimated = math.sqrt((standard_error(pairs, "lmc") ** 2).mean())
    assert estimated / pairs.groupby("cell")["lmc"].mean().std() == pytest.approx(ratio, rel=0.04)


def test_by_hand():
    """Three siblings with LMC -0.1, -0.2, -0.4: leaving one out leaves a pair; the factor is (1 + c / 4) / (1 + c)."""
    pairs = pd.DataFrame(
        {"cell": 0, "dense_seed": 1, "first_seed": [1, 1, 2], "second_seed": [2, 3, 3], "lmc": [-0.1, -0.2, -0.4]}
    )
    mean = -0.7 / 3
    jackknife = 2 / 3 * sum((lmc - mean) ** 2 for lmc in pairs["lmc"])
    assert standard_error(pairs, "lmc")[0] == pytest.approx(math.sqrt(jackknife * 1.5 / 3))
    assert math.isnan(standard_error(pairs[:1], "lmc")[0])
