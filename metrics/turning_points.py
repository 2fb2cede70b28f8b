"""Where a curve over rounds turns: whether it falls, rises and falls again."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Turns(NamedTuple):
    """Two positions of a curve.

    Attributes:
        up: Where its largest rise begins; of one that never rises where it is lowest.
        down: Where that ends; of one that never rises the same position.
    """

    up: int
    down: int


class Moves(NamedTuple):
    """How far a curve moves between its turns.

    Attributes:
        fall: From its beginning down to where it turns up; positive if it falls.
        rise: From there up to where it turns down.
        fall_after: From there down to its end.
    """

    fall: float
    rise: float
    fall_after: float


def turns(curve: Sequence[float]) -> Turns:
    """The positions i <= j of which the rise from curve[i] to curve[j] is the largest of all; the first of several.

    Our interpretation of the claim that the PQ Index falls, rises and falls again over rounds (Diao et al. 2023, ICLR,
    section 3.3).

    Raises:
        ValueError: If the curve is empty or has NaN.
    """
    values = np.asarray(curve, dtype=float)
    if values.size == 0 or np.isnan(values).any():
        raise ValueError("the curve has no values, or some that are NaN")
    lowest = np.minimum.accumulate(values)
    down = int(np.argmax(values - lowest))
    if values[down] == lowest[down]:
        down = int(np.argmin(values))
    return Turns(int(np.argmin(values[: down + 1])), down)


def moves(curves: npt.NDArray[np.float64]) -> list[Moves]:
    """How far each of several curves of the same kind moves between the turns of the others' mean.

    Turns found in a curve itself are where its noise is largest, so that even a flat one would fall and rise. Those of
    the mean of all other curves know nothing of its noise: without any true rise the moves are 0 on average, and
    may be negative.

    Args:
        curves: Shape (curves, positions), of independent seeds; at least two.

    Raises:
        ValueError: If there are fewer, or values are NaN.
    """
    if len(curves) < 2:
        raise ValueError(f"there are {len(curves)} curves; give at least two")
    found = []
    for own, curve in enumerate(curves):
        at = turns(np.delete(curves, own, axis=0).mean(axis=0).tolist())
        fall, rise, after = curve[0] - curve[at.up], curve[at.down] - curve[at.up], curve[at.down] - curve[-1]
        found.append(Moves(float(fall), float(rise), float(after)))
    return found
