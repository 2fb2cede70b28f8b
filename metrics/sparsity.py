"""How much of a model pruning kept, and how sparse the weights that it kept are."""

from collections.abc import Mapping

from torch import Tensor

P, Q = 0.5, 1.0
"""Norms of the PQ Index, one of the two published settings (Diao et al. 2023); the other is 1 and 2."""


def density_by_layer(masks: Mapping[str, Tensor]) -> dict[str, float]:
    """Fraction of weights kept in each layer, in [0, 1], by parameter name.

    Args:
        masks: Boolean tensors by parameter name, True where the weight is kept.
    """
    return {name: int(mask.count_nonzero()) / mask.numel() for name, mask in masks.items()}


def density(masks: Mapping[str, Tensor]) -> float:
    """Fraction of all prunable weights kept, in [0, 1]; larger layers count for more."""
    return sum(int(mask.count_nonzero()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


def pq_index(weights: Tensor, p: float = P, q: float = Q) -> float:
    """PQ Index: how unequal the magnitudes of weights are. Larger is sparser, that is easier to compress.

    Of d weights w it is 1 - d^(1/q - 1/p) ||w||_p / ||w||_q (Diao et al. 2023, section 3), computed in float64 as one
    minus the power mean of order p over that of order q, of magnitudes in units of the largest: no size of weights
    overflows or vanishes.

    Args:
        weights: The active ones alone, of any shape and floating point type.
        p: Order of the smaller norm, above 0.
        q: Order of the larger one, above p.

    Returns:
        In [0, 1 - d^(1/q - 1/p)]: 0 for equal magnitudes, the most for a single weight that is not zero. 0, too, for no
        weights and for zeros alone, which is a convention. NaN if a weight is not finite.
    """
    sizes = weights.detach().double().abs().flatten()
    if not sizes.count_nonzero():
        return 0.0
    sizes = sizes / sizes.max()
    ratio = sizes.pow(p).mean() ** (1 / p) / sizes.pow(q).mean() ** (1 / q)
    return float((1 - ratio).clamp(min=0))  # of magnitudes that are nearly equal, rounding makes less


def pq_index_by_layer(weights: Mapping[str, Tensor], p: float = P, q: float = Q) -> dict[str, float]:
    """:func:`pq_index` of each layer, by parameter name.

    Args:
        weights: The active ones alone of each layer, of any shape, by parameter name.
        p: As of :func:`pq_index`.
        q: Likewise.
    """
    return {name: pq_index(weight, p, q) for name, weight in weights.items()}
