"""How well a mean over pairs of siblings is known: pairs share siblings, so they are not independent."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

PAIR_NOISE = {"lmc": 2.0, "cka": 0.8, "mc": 2.0, "line_mc": 2.0}
"""Variance of a pair's own noise over that of a sibling's, by column: measured, and assumed everywhere.

A pair of siblings i and j is taken for mu + a_i + a_j + e_ij, with noise a of variance A of each sibling and e of
variance E of each pair; three siblings have three pairs and cannot tell the two apart. This is E / A, of the digits
preset with 6 siblings (``tests/benchmarks/sibling_noise.py``): 2.1, with a 95 % interval from 1.6 to 3.6, for LMC, and
0.8, from 0.6 to 1.2, for CKA; larger problems were not measured. If it is wrong in a sweep of three siblings, the
standard error of LMC is 0.71 times (sibling noise alone) to 1.41 times (pair noise alone) the true one. Our
interpretation, as that mode connectivity of dense models (``mc``, ``line_mc``) is as LMC.
"""


def standard_error(pairs: "pd.DataFrame", column: str) -> "pd.Series[float]":
    """Standard error of the mean over the pairs of each cell, from leaving out one sibling at a time.

    Of each dense seed by itself: what differs between dense seeds is not the siblings' noise. With n siblings the mean
    over their pairs has the variance 4 A / n + 2 E / (n (n - 1)) in the terms of :data:`PAIR_NOISE`; the jackknife's
    expectation is 4 A / n + 4 E / (n (n - 2)). The jackknife is corrected by their ratio, (1 + c / (2 (n - 1))) /
    (1 + c / (n - 2)) with c = E / A; derived here.

    Args:
        pairs: A row for each pair, with the columns ``cell``, ``dense_seed``, ``first_seed``, ``second_seed`` and that
            of the values; rows without a value do not count. Where pairs are missing the factor is that of all pairs.
        column: Name of the values.

    Returns:
        In the unit of the values, by cell; NaN where a sibling is in all pairs of a dense seed, as it is in a single
        one.
    """
    import pandas as pd  # who needs no standard errors does not wait for it

    model = ["cell", "dense_seed"]
    pairs = pairs[pairs[column].notna()]
    ends = pd.concat([pairs.assign(sibling=pairs[seed]) for seed in ("first_seed", "second_seed")])
    own = ends.groupby([*model, "sibling"])[column].agg(["sum", "count"])
    rest = own.groupby(model).transform("sum") / 2 - own
    without = (rest["sum"] / rest["count"]).groupby(model)
    siblings, ratio = without.size(), PAIR_NOISE[column]
    jackknife = (siblings - 1) * without.var(ddof=0)
    correction = (1 + ratio / (2 * (siblings - 1))) / (1 + ratio / (siblings - 2))
    share = own["count"].groupby(model).sum() / own["count"].groupby("cell").sum()
    variance = share**2 * jackknife * correction
    return np.sqrt(variance.groupby("cell").sum()).mask((rest["count"] == 0).groupby("cell").any())
