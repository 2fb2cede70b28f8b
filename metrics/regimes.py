"""The three regimes of pruning, from connectivity and similarity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Regime = Literal["I", "II-A", "II-B"]
SimilarityRule = Literal["fixed", "relative"]


@dataclass(frozen=True)
class Thresholds:
    """Where one regime ends and the next begins.

    Zhou et al. 2023 draw the boundaries into their figures and give no numbers ("close to zero", "relatively high"),
    so all of this is our interpretation. CKA is judged against a fixed value by default, because that tells the
    regime of one cell without knowing any other: an adaptive search has no other cells.

    Attributes:
        lmc: Below it, in units of error, siblings are poorly connected. Negative.
        cka: With rule ``fixed``, connected siblings are similar from this CKA on, in [0, 1].
        margin: With rule ``relative``, they are similar if their CKA is at most so much below the best of any
            temperature at the same load, in [0, 1].
        rule: What CKA is compared with.
    """

    lmc: float
    cka: float
    margin: float = 0.01
    rule: SimilarityRule = "fixed"


def regimes_at_load(lmcs: Sequence[float], ckas: Sequence[float], thresholds: Thresholds) -> list[Regime | None]:
    """Regimes of the temperatures at one load.

    Regime I: poorly connected, LMC below its threshold. Regime II-A: connected but dissimilar. Regime II-B: connected
    and similar (Zhou et al. 2023, section 3.2).

    Args:
        lmcs: Mean LMC of each temperature, in units of error, at most 1.
        ckas: Mean CKA of each temperature, in [0, 1].
        thresholds: The boundaries.

    Returns:
        One regime for each temperature; None where LMC is NaN, or where the models are connected and CKA is NaN.
    """
    best = max((cka for cka in ckas if not math.isnan(cka)), default=math.nan)
    least = thresholds.cka if thresholds.rule == "fixed" else best - thresholds.margin
    return [_regime(lmc, cka, thresholds.lmc, least) for lmc, cka in zip(lmcs, ckas, strict=True)]


def _regime(lmc: float, cka: float, least_lmc: float, least_cka: float) -> Regime | None:
    if math.isnan(lmc):
        return None
    if lmc < least_lmc:
        return "I"
    if math.isnan(cka):
        return None
    return "II-B" if cka >= least_cka else "II-A"


SURE = 0.95
"""A regime is sure from this probability on, as 95 % intervals are; a convention of ours."""


def possible_regimes(p_regime_1: float, p_regime_2a: float, p_regime_2b: float) -> list[str]:
    """Which regimes a cell may be in: the fewest that are together as probable as :data:`SURE`.

    Args:
        p_regime_1: Probability of Regime I, in [0, 1]; NaN if it is not known.
        p_regime_2a: Of Regime II-A; NaN if only that of II, 1 - p_regime_1, is known.
        p_regime_2b: Of Regime II-B, likewise.

    Returns:
        The most probable first: one regime where it is sure, several where it could be either, of ``I``, ``II-A`` and
        ``II-B``, or of ``I`` and ``II`` where these are not told apart; empty if nothing is known.
    """
    if math.isnan(p_regime_1):
        return []
    known = {"I": p_regime_1, "II-A": p_regime_2a, "II-B": p_regime_2b}
    if math.isnan(p_regime_2a):
        known = {"I": p_regime_1, "II": 1 - p_regime_1}
    possible, together = list[str](), 0.0
    for regime in sorted(known, key=known.__getitem__, reverse=True):
        if together < SURE:
            possible.append(regime)
            together += known[regime]
    return possible
