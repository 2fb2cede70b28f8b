"""Keeping what scores highest, exactly so many weights."""

from collections.abc import Mapping

import torch
from torch import Tensor


def highest_of_each(scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """Masks that drop the round((1 - density) n) lowest scores of every layer.

    Exactly that many are dropped: of equal scores those that come first go first. A share that falls on a half is
    rounded to even.

    Args:
        scores: By parameter name, of any shapes; none is NaN.
        density: Fraction to keep, in (0, 1].

    Returns:
        Boolean tensors by parameter name, of the scores' shapes, True where the weight is kept.
    """
    return {name: _highest(score.flatten(), density).view_as(score) for name, score in scores.items()}


def highest_of_all(scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """As :func:`highest_of_each`, with the scores of all layers together as those of one."""
    flat = _highest(torch.cat([score.flatten() for score in scores.values()]), density)
    parts = flat.split([score.numel() for score in scores.values()])
    return {name: part.view_as(score) for (name, score), part in zip(scores.items(), parts, strict=True)}


def _highest(scores: Tensor, density: float) -> Tensor:
    dropped = round((1 - density) * scores.numel())
    keep = torch.ones_like(scores, dtype=torch.bool)
    keep[scores.argsort(stable=True)[:dropped]] = False
    return keep
