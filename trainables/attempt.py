"""A training that goes on where an earlier attempt ended."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from trainables.batches import Split, TrainingBatches
from trainables.data import CACHE, SPLIT_SEED, DataSet, load
from trainables.measuring.measurement import errors
from trainables.models import build
from trainables.stacks import memory
from trainables.stacks.choice import layout_of, stack_kind
from trainables.stacks.stack import GroupedStack, SerialStack, Stack
from trainables.stages import DenseRun, Keep, Rows
from trainables.storage import artifacts
from trainables.storage.folder import OF_STORAGE, Folder
from trainables.training.training import Training

SAVING_SHARE = 1 / 20
"""Of the time of a training, checkpoints take so much at most; those of large models are written more rarely."""


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        epochs: Epochs done.
        of: Of all that it needs.
        images: Images trained on so far in this attempt, counted for each model.
        test_error: Mean over the models where they were evaluated after this epoch, otherwise NaN.
        rows: Results that are complete already, and can be stored now.
    """

    epochs: int
    of: int
    images: int = 0
    test_error: float = math.nan
    rows: Rows = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """Where stages are carried out and what they share.

    Attributes:
        folder: Keeps dense models, siblings and half-done trainings.
        device: Where tensors live.
        checkpoint_seconds: A training that was started anew repeats at most about so much; more where saving takes so
            long that it would cost more than :data:`SAVING_SHARE` of the time.
        data_folder: Where torchvision's data sets are kept on this machine.
        gpu_share: How much of a GPU this process may use, in (0, 1].
        keep: Which siblings of a point are kept once it is measured.
    """

    folder: Folder
    device: torch.device
    checkpoint_seconds: float = 30.0
    data_folder: str = CACHE
    gpu_share: float = 1.0
    keep: Keep = "siblings"


@dataclass(frozen=True)
class _Suited:
    """How models of an architecture run on the device.

    Attributes:
        kind: Of stack.
        layout: Of weights and images in memory.
        weights: Bytes of a model.
        activation: Bytes of the largest activation of an image.
    """

    kind: type[GroupedStack] | type[SerialStack]
    layout: torch.memory_format
    weights: int
    activation: int

    def activations(self, models: int) -> int:
        """Bytes of the largest activation of an image in a stack."""
        return self.activation * (models if self.kind is GroupedStack else 1)


class Splits:
    """A data set on the device.

    Args:
        data: The data set.
        device: Where it is to be.
        room: Bytes for the largest activation of a batch in measuring (:func:`trainables.stacks.memory.room`).
    """

    def __init__(self, data: DataSet, device: torch.device, room: int = memory.ROOM_ON_CPU) -> None:
        self.data, self._device, self._room = data, device, room
        self._suited: dict[str, _Suited] = {}

    @cached_property
    def batches(self) -> TrainingBatches:
        """Training images, augmented."""
        return TrainingBatches(self.data, self._device)

    @cached_property
    def train(self) -> Split:
        """Training images, not augmented, in a random order that depends on their number alone.

        What is measured in batches, or on some of them, must not depend on how somebody sorted a file.
        """
        order = np.random.default_rng(SPLIT_SEED).permutation(len(self.data.train))
        return Split(self.data, self.data.train[order], self._device)

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
        model, suited = self._model(name)
        kind = suited.kind if models > 1 else GroupedStack
        stack = kind(model, models, suited.layout).to(self._device)
        stack.images_at_once = memory.images_at_once(self._room, suited.activations(models))
        return stack

    def models_at_once(self, name: str, models: int, batch_size: int) -> int:
        """How many of so many models are to be in a stack that is measured in batches of so many images."""
        _, suited = self._model(name)
        of_each = suited.weights + batch_size * (suited.activation if suited.kind is GroupedStack else 0)
        return memory.models_at_once(models, self._room, of_each)

    def _model(self, name: str) -> tuple[nn.Module, _Suited]:
        model = self.model(name)
        if name not in self._suited:
            height, width, channels = self.data.train.pixels.shape[1:]
            shape = channels, height, width
            layout = layout_of(model, shape, self._device)
            self._suited[name] = _Suited(
                stack_kind(model, shape, self._device, layout),
                layout,
                sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values()),
                memory.activation_bytes(model, shape),
            )
        return model, self._suited[name]


def splits_of(run: DenseRun, machine: Machine) -> Splits:
    """Data set of a training, and of all that comes from it."""
    what = run.data, run.validation_fraction, machine.data_folder, run.crop_padding, run.flip
    return _splits(what, machine.device, memory.room(machine.device, machine.gpu_share))


@lru_cache(maxsize=1)  # a worker's stages mostly share their data
def _splits(what: tuple[Any, ...], device: torch.device, room: int) -> Splits:
    return Splits(load(*what), device, room)


class Attempt:
    """A training with what is noted while it runs, kept in a file so that a later attempt goes on from it."""

    def __init__(self, training: Training, splits: Splits, machine: Machine, name: str) -> None:
        self.training, self._splits, self._machine, self._name = training, splits, machine, name
        self.seconds, self._saving = 0.0, 0.0
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
        self.losses = list(state["losses"])
        self.validation_errors, self.test_errors = list(state["validation_errors"]), list(state["test_errors"])

    def run(self, until: int, evaluate_from: int) -> Iterator[Progress]:
        """Train until so many epochs are done or all models diverged, evaluating after the later epochs.

        The file is written now and then, and when this is closed before its end.
        """
        state = artifacts.load(self._machine.folder, self._name)
        if state and self.training.epoch < state["training"]["epoch"] <= until:
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
            if since_saved > max(self._machine.checkpoint_seconds, self._saving / SAVING_SHARE):
                self._save()
                since_saved = 0.0
            try:
                yield Progress(self.training.epoch, self.training.recipe.epochs, self.training.images, test_error)
            except GeneratorExit:
                self._save()
                raise

    def _save(self) -> None:
        started = time.perf_counter()
        try:
            artifacts.save(self._machine.folder, self._name, self.state_dict())
        except OSError as error:
            if not getattr(error, OF_STORAGE, False):
                raise
            return  # the training need not end for it: there will be another checkpoint
        self._saving = time.perf_counter() - started

    def finished(self) -> None:
        """Remove the file: the result is kept elsewhere now."""
        with suppress(OSError):  # it does no harm
            self._machine.folder.delete(self._name)
