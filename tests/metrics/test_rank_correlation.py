import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from metrics.rank_correlation import rank_correlations


def test_only_the_order_counts():
    found = rank_correlations([[1, 2, 3], [1, 10, 1000], [3, 2, 1], [1, 3, 2]])
    assert np.allclose(found[0], [1, 1, -1, 0.5])
    assert np.allclose(found, found.T)


def test_it_is_scipys_with_ties():
    random = np.random.default_rng(0)
    scores = random.integers(5, size=(3, 40)).astype(float)
    found = rank_correlations(scores)
    for i in range(3):
        for j in range(3):
            assert found[i, j] == pytest.approx(spearmanr(scores[i], scores[j]).statistic)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [[], [2.0, 2.0, 2.0], [1.0, math.nan, 2.0]])
def test_where_there_is_no_order_it_is_undefined_and_the_others_are_not(bad):
    found = rank_correlations([[1.0, 2.0, 3.0], bad, [2.0, 3.0, 1.0]])
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert np.allclose(found[0, [0, 2]], [1, -0.5])


@pytest.mark.filterwarnings("error")
def test_without_any_or_of_one_thing_it_is_undefined():
    assert np.isnan(rank_correlations([[], []])).all()
    assert np.isnan(rank_correlations([[1.0], [2.0]])).all()
    assert rank_correlations([]).shape == (0, 0)


def test_scores_of_other_things_are_refused():
    with pytest.raises(ValueError, match="of the same things, but got 2 and 3"):
        rank_correlations([[1, 2], [1, 2, 3], []])
