"""The two kinds of work a sweep consists of, and the keys that name their results. Imports no torch."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from trainables.data import content_name
from trainables.measuring.settings import Measurement
from trainables.training.recipe import Recipe

Pruner = Literal["magnitude-uniform", "magnitude-global"]

Keep = Literal["siblings", "best", "nothing"]
"""Which of a point's retrained models are kept once they are measured: all, that of the lowest error, none."""

Rows = dict[str, list[dict[str, Any]]]
"""Results by table: what was measured, in the names of the tables' columns."""

PROTOCOL = 2
"""Enters every key. Raised when the same configuration begins to mean another computation."""


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


@dataclass(frozen=True)
class Point:
    """A dense model pruned to one density and retrained: all that decides it but the retrain seeds.

    Attributes:
        dense: The training the dense model comes from.
        epoch: Its epochs done when the model is taken.
        density: Fraction of the prunable weights to keep, in (0, 1].
        pruner: Rule that chooses them.
        retrain: How the pruned model is retrained.
        measurement: How its siblings are compared.
    """

    dense: DenseRun
    epoch: int
    density: float
    pruner: Pruner
    retrain: Recipe
    measurement: Measurement

    @cached_property
    def key(self) -> str:
        """Name of its results and artifacts."""
        return configuration_key(self)


@dataclass(frozen=True)
class Label:
    """Where a point lies in the sweep's own terms; decides nothing.

    Attributes:
        temperature_axis: The hyperparameter that is the temperature.
        temperature: Its value, in its own unit.
        load_axis: What is the load.
        load: Its value.
    """

    temperature_axis: str
    temperature: float
    load_axis: str
    load: float


@dataclass(frozen=True)
class DenseStage:
    """Work: train a dense model and keep it as it was after each of these epochs (ascending)."""

    run: DenseRun
    epochs: tuple[int, ...]

    def __str__(self) -> str:
        recipe = self.run.recipe
        if self.run.checkpoint is not None:
            return f"{self.run.model} of checkpoint {self.run.checkpoint}"
        how = f"batch size {recipe.batch_size}, lr {recipe.lr:g}" + f", rho {recipe.rho:g}" * bool(recipe.rho)
        return f"dense {self.run.model} of seed {self.run.seed}, {how}"


@dataclass(frozen=True)
class PointStage:
    """Work: prune a dense model, retrain one sibling for each seed, and measure them."""

    point: Point
    seeds: tuple[int, ...]
    label: Label

    @property
    def run(self) -> DenseRun:
        """Training of the dense model that it needs."""
        return self.point.dense

    def __str__(self) -> str:
        label = self.label
        return (
            f"{label.temperature_axis} {label.temperature:g}, {label.load_axis} {label.load:g}, "
            f"dense seed {self.point.dense.seed}"
        )


Stage = DenseStage | PointStage


def dense_name(epoch: int) -> str:
    """Name of what is kept of a dense model after so many epochs."""
    return f"epoch-{epoch:05d}"


def dense_epoch(name: str) -> int:
    """Undo :func:`dense_name`."""
    return int(name.removeprefix("epoch-"))


def configuration_key(config: DenseRun | Point) -> str:
    """Twenty hexadecimal digits that name a configuration: equal exactly if every field is.

    Whole floats and integers are the same number, so the same key: 1 and 1.0.
    """
    fields = asdict(config, dict_factory=_deciding) | {"protocol": PROTOCOL}
    canonical = json.dumps(json.loads(json.dumps(fields, allow_nan=False), parse_int=float), sort_keys=True)
    return hashlib.blake2b(canonical.encode(), digest_size=10).hexdigest()


def _deciding(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Fields as they enter a key."""
    return {name: content_name(value) if name == "data" else value for name, value in fields}
