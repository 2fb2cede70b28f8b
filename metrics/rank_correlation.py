"""Rank correlation: do two scores put the same things in the same order?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def rank_correlations(scores: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Spearman's rank correlation of each pair of scores of the same things.

    Equal values have the mean of their ranks (:func:`scipy.stats.rankdata`).

    Args:
        scores: Several, each with a number for each of n things in the same order, or empty if there are none.

    Returns:
        Shape (scores, scores), in [-1, 1], symmetric: 1 for the same order, -1 for the opposite one. NaN, that is
        undefined, for scores that are empty, all equal, or NaN somewhere.

    Raises:
        ValueError: If scores that are not empty do not cover the same number of things; one sentence.
    """
    from scipy.stats import rankdata  # half a second

    lengths = sorted({len(own) for own in scores if len(own)})
    if len(lengths) > 1:
        raise ValueError(f"rank correlation is of scores of the same things, but got {lengths[0]} and {lengths[-1]}")
    values = np.full((len(scores), lengths[0] if lengths else 1), np.nan)
    for row, own in zip(values, scores, strict=True):
        if len(own):
            row[:] = own
    ranks = rankdata(values, axis=1) - (values.shape[1] + 1) / 2
    ranks[np.isnan(values).any(1)] = np.nan
    sizes = np.sqrt((ranks**2).sum(1))
    sizes[sizes == 0] = np.nan
    ordered = ranks / sizes[:, None]
    return np.clip(ordered @ ordered.T, -1, 1)
