"""The three regimes of pruning, from connectivity and similarity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Regime = Literal["I", "II-A", "II-B"]
REGIMES: tuple[Regime, ...] = ("I", "II-A", "II-B")
NO_REGIME = -1
SimilarityRule = Literal["fixed", "relative"]
AUTO: Literal["auto"] = "auto"
"""In place of a threshold of LMC: a table decides it."""


@dataclass(frozen=True)
class Thresholds:
    """Where one regime ends and the next begins.

    Zhou et al. 2023 draw the boundaries into their figures and give no numbers ("close to zero", "relatively high"),
    so all of this is our interpretation. CKA is judged against a fixed value by default, because that tells the
    regime of one cell without knowing any other: an adaptive search has no other cells.

    Attributes:
        lmc: Below it, in units of error, siblings are poorly connected. Negative; or ``auto``: a table is to decide,
            and nothing can be compared with it until :func:`sweeps.results.phase.resolved` has found the number.
        cka: With rule ``fixed``, connected siblings are similar from this CKA on, in [0, 1].
        margin: With rule ``relative``, they are similar if their CKA is at most so much below the best of any
            temperature at the same load, in [0, 1].
        rule: What CKA is compared with.
        lmc_reason: How a table decided ``lmc``, for a person; empty where it was given.
    """

    lmc: float | Any  # a Literal would have to be told from numbers wherever one is used
    cka: float
    margin: float = 0.01
    rule: SimilarityRule = "fixed"
    lmc_reason: str = field(default="", compare=False)


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
    numbers = regime_numbers(np.asarray(lmcs, dtype=float), np.asarray(ckas, dtype=float), thresholds)
    return [None if number == NO_REGIME else REGIMES[number] for number in numbers]


def regime_numbers(
    lmcs: npt.NDArray[np.float64], ckas: npt.NDArray[np.float64], thresholds: Thresholds
) -> npt.NDArray[np.int64]:
    """Regimes as places in :data:`REGIMES`, or :data:`NO_REGIME`, of many tables at once.

    Args:
        lmcs: As in :func:`regimes_at_load`, of shape (..., temperatures).
        ckas: Of the same shape.
        thresholds: The boundaries.

    Returns:
        Of the same shape.
    """
    least = least_similar(ckas, thresholds)
    conditions = [np.isnan(lmcs), lmcs < thresholds.lmc, np.isnan(ckas), ckas >= least]
    return np.select(conditions, [NO_REGIME, 0, NO_REGIME, 2], 1)


def least_similar(ckas: npt.NDArray[np.float64], thresholds: Thresholds) -> npt.NDArray[np.float64]:
    """CKA at which Regime II-B begins, of shape (..., 1) for CKA of shape (..., temperatures at one load).

    NaN with rule ``relative`` where no CKA is known.
    """
    if thresholds.rule == "fixed":
        return np.full((*ckas.shape[:-1], 1), thresholds.cka)
    return np.fmax.reduce(ckas, axis=-1, keepdims=True, initial=np.nan) - thresholds.margin


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
