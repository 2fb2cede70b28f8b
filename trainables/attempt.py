"""A training that goes on where an earlier attempt ended."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import nn

from trainables import artifacts
from trainables.batches import Split, TrainingBatches
from trainables.data import CACHE, DataSet, load
from trainables.folders import Folder
from trainables.measurement import errors
from trainables.models import build
from trainables.stack import GroupedStack, SerialStack, Stack
from trainables.stack_choice import grouping_pays, layout_of
from trainables.stages import DenseRun
from trainables.training import Training


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        epochs: Epochs done.
        of: Of all that it needs.
        images: Images trained on so far in this attempt, counted for each model.
        test_error: Mean over the models where they were evaluated after this epoch, otherwise NaN.
    """

    epochs: int
    of: int
    images: int = 0
    test_error: float = math.nan


@dataclass(frozen=True)
class Machine:
    """Where stages are carried out and what they share.

    Attributes:
        folder: Keeps dense models, siblings and half-done trainings.
        device: Where tensors live.
        checkpoint_seconds: A training that was started anew repeats at most about so much.
        data_folder: Where torchvision's data sets are kept on this machine.
    """

    folder: Folder
    device: torch.device
    checkpoint_seconds: float = 30.0
    data_folder: str = CACHE


class Splits:
    """A data set on the device."""

    def __init__(self, data: DataSet, device: torch.device) -> None:
        self.data, self._device = data, device
        self._kinds: dict[str, tuple[type[GroupedStack] | type[SerialStack], torch.memory_format]] = {}

    @cached_property
    def batches(self) -> TrainingBatches:
        """Training images, augmented."""
        return TrainingBatches(self.data, self._device)

    @cached_property
    def train(self) -> Split:
        """Training images, not augmented."""
        return Split(self.data, self.data.train, self._device)

    @cached_property
    def validation(self) -> Split:
        """Held-out training images."""
        return Split(self.data, self.data.validation, self._device)

    @cached_property
    def test(self) -> Split:
        """Test images."""
        return Split(self.data, self.data.test, self._device)

    def model(self, name: str) -> nn.Module:
        """Make a plain model for these images, on the CPU, initialised from torch's global random state."""
        return build(name, self.data.train.pixels.shape[-1], self.data.classes)

    def stack(self, name: str, models: int) -> Stack:
        """Make a stack of so many copies of a model for these images."""
        model = self.model(name)
        if name not in self._kinds:
            height, width, channels = self.data.train.pixels.shape[1:]
            shape = channels, height, width
            kind = GroupedStack if grouping_pays(model, shape, self._device) else SerialStack
            self._kinds[name] = kind, layout_of(model, shape, self._device)
        kind, layout = self._kinds[name]
        return (kind if models > 1 else GroupedStack)(model, models, layout).to(self._device)


def splits_of(run: DenseRun, machine: Machine) -> Splits:
    """Data set of a training, and of all that comes from it."""
    what = run.data, run.validation_fraction, machine.data_folder, run.crop_padding, run.flip
    return _splits(what, machine.device)


@lru_cache(maxsize=1)  # a worker's stages mostly share their data
def _splits(what: tuple[Any, ...], device: torch.device) -> Splits:
    return Splits(load(*what), device)


class Attempt:
    """A training with what is noted while it runs, kept in a file so that a later attempt goes on from it."""

    def __init__(self, training: Training, splits: Splits, machine: Machine, name: str) -> None:
        self.training, self._splits, self._machine, self._name = training, splits, machine, name
        self.seconds = 0.0
        self.losses: list[list[float]] = []
        self.validation_errors: list[list[float]] = []
        self.test_errors: list[list[float]] = []

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs."""
        return {
            "training": self.training.state_dict(),
            "seconds": self.seconds,
            "losses": self.losses,
            "validation_errors": self.validation_errors,
            "test_errors": self.test_errors,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` gave."""
        self.training.load_state_dict(state["training"])
        self.seconds = state["seconds"]
        unknown = [[math.nan] * self.training.stack.models] * self.training.epoch  # files of earlier versions have none
        self.losses = list(state.get("losses", unknown))
        self.validation_errors, self.test_errors = list(state["validation_errors"]), list(state["test_errors"])

    def run(self, until: int, evaluate_from: int) -> Iterator[Progress]:
        """Train until so many epochs are done or all models diverged, evaluating after the later epochs.

        The file is written now and then, and when this is closed before its end.
        """
        state = artifacts.load(self._machine.folder, self._name)
        if (
            state
            and self.training.epoch < state["training"]["epoch"] <= until
            and self.training.fits(state["training"])
        ):
            self.load_state_dict(state)
        since_saved = 0.0
        while self.training.epoch < until and not all(self.training.diverged):
            started = time.perf_counter()
            self.training.run_epoch()
            self.losses.append(self.training.losses)
            test_error = math.nan
            if self.training.epoch > evaluate_from:
                self.validation_errors.append(errors(self.training.stack, self._splits.validation))
                self.test_errors.append(errors(self.training.stack, self._splits.test))
                test_error = sum(self.test_errors[-1]) / len(self.test_errors[-1])
            taken = time.perf_counter() - started
            self.seconds += taken
            since_saved += taken
            if since_saved > self._machine.checkpoint_seconds:
                self._save()
                since_saved = 0.0
            try:
                yield Progress(self.training.epoch, self.training.recipe.epochs, self.training.images, test_error)
            except GeneratorExit:
                self._save()
                raise

    def _save(self) -> None:
        artifacts.save(self._machine.folder, self._name, self.state_dict())

    def finished(self) -> None:
        """Remove the file: the result is kept elsewhere now."""
        with suppress(OSError):  # it does no harm
            self._machine.folder.delete(self._name)
