"""All that decides a dense model. Imports no torch."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from trainables.data import AS_PUBLISHED, Augmentation, without_suffixes
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
        augmentation: How training images are changed at random, also those of siblings that come of it.
        checkpoint: Name of the weights to begin with, of a model that a user trained; its epoch is 0.
        loss: What it minimizes, and its siblings: the user's own, a pinned function's name; None for the task's.
    """

    data: str
    validation_fraction: float
    model: str
    recipe: Recipe
    seed: int
    augmentation: Augmentation = field(default=AS_PUBLISHED, metadata={"flat": True})
    checkpoint: str | None = None
    loss: str | None = field(default=None, metadata={"added": True})

    @cached_property
    def key(self) -> str:
        """Name of its artifacts."""
        return configuration_key(self)

    @property
    def functions(self) -> tuple[OwnFunction, ...]:
        """The user's own functions that it needs."""
        own = self.augmentation.function, self.loss
        named = zip(
            ("data", "model", "augmentation", "loss"), (without_suffixes(self.data), self.model, *own), strict=True
        )
        return tuple(OwnFunction(purpose, name) for purpose, name in named if name and is_function(name))

    def columns(self) -> dict[str, Any]:
        """Columns of everything that comes from it."""
        return {"data": self.data, "model": self.model, "dense": self.key, "dense_seed": self.seed}
