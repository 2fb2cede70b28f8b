"""Which LMC parts connected siblings from poorly connected ones, found in the cells of a table themselves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

USUAL = -0.05
"""LMC that is taken where no error is known."""

SHARE_OF_ERROR = 1 / 4
"""Of the median error: how deep a barrier parts the regimes where the barriers are not of two kinds."""

LEAST_OF_ERROR = 1 / 10
"""Of the median error: what parts two kinds of barriers is at least so deep; less is noise."""

APART = 4.0
"""So many times as deep as the barriers of one group those of the other are, in the mean, if there are two kinds."""

FEWEST = 3
"""Cells in which groups are looked for."""

_ROUNDING = 12
"""Decimals in which splits are compared, so that it is no rounding that chooses among splits that are as good."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """A threshold of LMC that a table decides.

    Attributes:
        lmc: Regime I is where LMC lies below, in units of error, in [-1, 0).
        reason: Where it comes from, for a person, in a few words.
    """

    lmc: float
    reason: str


def lmc_threshold(lmcs: Array, errors: Array) -> Found:
    """Threshold of LMC of a table.

    The depth of a cell's barrier is max(-LMC, 0). The depths are split into two groups so that the squared deviations
    of their square roots from the mean of their group have the least sum: Otsu's criterion, or 2-means in one
    dimension. The threshold is minus the square of the middle between the two neighbouring square roots. The square
    root, since depths differ by orders of magnitude. It counts only where the groups are clearly apart: the deeper one
    is in the mean :data:`APART` times as deep as the other, and the threshold at least :data:`LEAST_OF_ERROR` of the
    median error. Otherwise, and with fewer than :data:`FEWEST` cells, it is minus :data:`SHARE_OF_ERROR` of the median
    error, so that noise does not split cells that are all connected, or have all barriers. If LMC and errors have
    another unit, the threshold is that in the other unit. Where no error is known, or the median is 0, there is no such
    measure; the median is then taken as 0.2, of which the share is the usual threshold, -0.05.

    All of it is our interpretation: Zhou et al. 2023 draw the boundaries and give no numbers.

    Args:
        lmcs: Of the cells, in any order, in units of error, of shape (cells,); NaN is not known, and left out.
        errors: Of the same cells after retraining, in [0, 1], of any number; NaN is not known, and left out.
    """
    depths = np.sort(np.maximum(-lmcs[~np.isnan(lmcs)], 0.0))
    known = errors[~np.isnan(errors)]
    median = float(np.median(known)) if len(known) else 0.0
    scale = median or -USUAL / SHARE_OF_ERROR
    of_error = f"a quarter of the median error, {median:.3g}" if median else "no error is known to compare with"
    if len(depths) < FEWEST:
        return Found(-SHARE_OF_ERROR * scale, f"LMC is known of fewer than {FEWEST} cells; {of_error}")
    roots = np.sqrt(depths)
    deeper = _split(roots)
    means = depths[:deeper].mean(), depths[deeper:].mean()
    depth = float((roots[deeper - 1] + roots[deeper]) / 2) ** 2
    if means[1] < APART * means[0] or depth < LEAST_OF_ERROR * scale:
        return Found(-SHARE_OF_ERROR * scale, f"no two clear groups of barriers; {of_error}")
    groups = f"{deeper} cells with barriers of {means[0]:.2g} and {len(depths) - deeper} of {means[1]:.2g}"
    return Found(-depth, f"between {groups}, on average")


def _split(values: Array) -> int:
    """Place of the second group's first value in ascending values, of splits that are as good the first place.

    The least sum of squares within the groups is the largest between them: of n values, of which i are in the first
    group, i (n - i) / n times the square of how far the means are apart.
    """
    first = np.arange(1, len(values))
    sums = np.cumsum(values)
    means = sums[:-1] / first, (sums[-1] - sums[:-1]) / (len(values) - first)
    between = first * (len(values) - first) * (means[1] - means[0]) ** 2
    return int(np.argmax(np.round(between / max(between.max(), np.finfo(float).tiny), _ROUNDING))) + 1
