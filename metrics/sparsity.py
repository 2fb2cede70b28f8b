"""How much of a model pruning kept."""

from collections.abc import Mapping

from torch import Tensor


def density_by_layer(masks: Mapping[str, Tensor]) -> dict[str, float]:
    """Fraction of weights kept in each layer, in [0, 1], by parameter name.

    Args:
        masks: Boolean tensors by parameter name, True where the weight is kept.
    """
    return {name: int(mask.count_nonzero()) / mask.numel() for name, mask in masks.items()}


def density(masks: Mapping[str, Tensor]) -> float:
    """Fraction of all prunable weights kept, in [0, 1]; larger layers count for more."""
    return sum(int(mask.count_nonzero()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())
