"""What pruning left of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metrics.sparsity import P, Q, pq_index, pq_index_by_layer
from trainables.pruning.context import State


@dataclass(frozen=True)
class Remains:
    """The prunable weights that are left.

    Attributes:
        weights: Those of each layer, by parameter name.
        before: How many each had before pruning.
    """

    weights: Mapping[str, Tensor]
    before: Mapping[str, int]

    @property
    def density(self) -> float:
        """Fraction of all prunable weights that is kept, in [0, 1]."""
        return sum(own.numel() for own in self.weights.values()) / sum(self.before.values())

    @property
    def density_by_layer(self) -> dict[str, float]:
        """Fraction of each layer, by parameter name."""
        return {name: own.numel() / self.before[name] for name, own in self.weights.items()}

    def pq_index(self, p: float = P, q: float = Q) -> float:
        """PQ Index of all of them together (:func:`metrics.sparsity.pq_index`)."""
        return pq_index(torch.cat([own.flatten() for own in self.weights.values()]), p, q)

    def columns(self, p: float = P, q: float = Q) -> dict[str, Any]:
        """What tables have of it, with PQ Indices of these orders."""
        return {
            "density": self.density,
            "density_by_layer": self.density_by_layer,
            "pq_index": self.pq_index(p, q),
            "pq_index_by_layer": pq_index_by_layer(self.weights, p, q),
        }


def remains(state: State, masks: Mapping[str, Tensor], before: Mapping[str, int]) -> Remains:
    """What is left of a model.

    Args:
        state: State dictionary of a plain model, on the CPU.
        masks: Weights that are kept, by parameter name; all of those without a mask.
        before: How many weights of each prunable parameter there were before, by name.
    """
    return Remains({name: state[name][masks[name]] if name in masks else state[name] for name in before}, before)


def sizes(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """How many weights there are of each parameter, by name."""
    return {name: weight.numel() for name, weight in weights.items()}
