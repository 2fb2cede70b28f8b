"""All that decides a dense model. Imports no torch."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trainables.functions import OwnFunction, is_function
from trainables.stages.keys import configuration_key
from trainables.training.recipe import Recipe

NOT_FINITE = "loss or weights not finite in epoch {} of {}"


@dataclass(frozen=True)
class DenseRun:
    """One training of a dense model: all that decides it.

    Attributes:
        data: Name of the data set.
        validation_fraction: Share of its training images held out for validation, in [0, 1).
        model: Name of the architecture.
        recipe: How it is trained.
        seed: Decides the initial weights and the order and augmentation of the batches.
        crop_padding: Pixels of random shift in augmentation; the data set's own if None.
        flip: Whether augmentation mirrors; the data set's own if None.
        checkpoint: Name of the weights to begin with, of a model that a user trained; its epoch is 0.
    """

    data: str
    validation_fraction: float
    model: str
    recipe: Recipe
    seed: int
    crop_padding: int | None = None
    flip: bool | None = None
    checkpoint: str | None = None

    @cached_property
    def key(self) -> str:
        """Name of its artifacts."""
        return configuration_key(self)

    @property
    def functions(self) -> tuple[OwnFunction, ...]:
        """The user's own functions that it needs."""
        named = {"data": self.data, "model": self.model}
        return tuple(OwnFunction(purpose, name) for purpose, name in named.items() if is_function(name))

    def columns(self) -> dict[str, Any]:
        """Columns of everything that comes from it."""
        return {"data": self.data, "model": self.model, "dense": self.key, "dense_seed": self.seed}
