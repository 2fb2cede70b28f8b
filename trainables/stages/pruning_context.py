"""What the pruning rule of a point is given: its dense training, and the data that this was of."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from trainables.attempt import Machine, splits_of
from trainables.batches import random_stream
from trainables.pruning.context import PruningContext, State
from trainables.stages.point import Point


class PointContext(PruningContext):
    """Of a point.

    Args:
        point: The point.
        machine: That carries it out.
        state_at: Gives the state dictionary of the plain dense model after so many epochs.
    """

    def __init__(self, point: Point, machine: Machine, state_at: Callable[[int], State]) -> None:
        super().__init__(point.density, point.epoch)
        self._run, self._state_at, self._device = point.dense, state_at, machine.device
        self._splits = splits_of(point.dense, machine)

    def state_at(self, epoch: int) -> State:
        """As :meth:`PruningContext.state_at`."""
        return self._state_at(epoch)

    def plain_model(self) -> nn.Module:
        """As :meth:`PruningContext.plain_model`."""
        return self._splits.model(self._run.model).to(self._device)

    def random_stream(self, *names: str | int) -> torch.Generator:
        """As :meth:`PruningContext.random_stream`."""
        return random_stream("pruning", self._run.seed, *names)

    def loss_parts(self, model: nn.Module, examples: int, at_once: int = 64) -> Iterator[Tensor]:
        """As :meth:`PruningContext.loss_parts`: cross-entropy of the first images of the fixed random order."""
        split = self._splits.train
        labels = split.labels[:examples]
        for images, own in zip(split.batches(at_once, examples), labels.split(at_once), strict=True):
            yield F.cross_entropy(model(images.permute(0, 3, 1, 2)), own, reduction="sum") / len(labels)
