"""One-shot pruning by the magnitude of the weights (Zhou et al. 2023, section 4.1)."""

from collections.abc import Mapping

from torch import Tensor

from trainables.pruning.ranking import highest_of_all, highest_of_each


def per_layer(weights: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """Keep the weights of largest magnitude in every layer, the same share of each."""
    return highest_of_each({name: weight.abs() for name, weight in weights.items()}, density)


def all_layers(weights: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """Keep the weights of largest magnitude of all layers together."""
    return highest_of_all({name: weight.abs() for name, weight in weights.items()}, density)
