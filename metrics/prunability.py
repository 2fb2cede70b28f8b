"""How much of a model can be pruned without harm."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

Bound = Literal["", "at least", "at most"]
"""Whether a share is known, or only on which side of it the true one lies."""


class Removable(NamedTuple):
    """The largest share of the weights that can be removed.

    Attributes:
        share: In [0, 1); NaN if nothing is known.
        bound: What the share is, if the densities that were tried do not reach further.
    """

    share: float
    bound: Bound


def removable_share(densities: Sequence[float], excess: Sequence[float], tolerance: float) -> Removable:
    """Largest share of weights that can be removed so that the error rises by no more than a tolerance.

    Going down from the highest density, the share is where the error first rises above the tolerance; between two
    densities it is interpolated linearly in the logarithm of the density. Prunability is defined so by Ankner et al.
    (2022, arXiv 2212.00291); tolerance and interpolation are our interpretation.

    Args:
        densities: Fractions of the weights kept, in (0, 1].
        excess: Error of the pruned and retrained model minus that of the dense one at each; NaN are left out.
        tolerance: In units of error, above 0.

    Returns:
        ``at least`` if it never rises above the tolerance, and ``at most`` if it does so at the highest density.

    Raises:
        ValueError: If the numbers of densities and errors differ, a density is not in (0, 1], or the tolerance is not
            above 0.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance:g}; it is above 0")
    for density in densities:
        if not 0 < density <= 1:
            raise ValueError(f"density is {density:g}; it is in (0, 1]")
    pairs = zip(densities, excess, strict=True)
    known = sorted(((density, own) for density, own in pairs if not math.isnan(own)), reverse=True)
    if not known:
        return Removable(math.nan, "")
    before: tuple[float, float] | None = None
    for density, own in known:
        if own > tolerance:
            if before is None:
                return Removable(1 - density, "at most")
            fraction = (tolerance - before[1]) / (own - before[1])
            return Removable(1 - math.exp((1 - fraction) * math.log(before[0]) + fraction * math.log(density)), "")
        before = density, own
    return Removable(1 - known[-1][0], "at least")
