"""What the pruning rule of a point is given: its dense training, and the data that this was of."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from trainables.pruning.context import PruningContext, State
from trainables.stacks.inputs import ModelInputs
from trainables.stages.dense import dense_model
from trainables.stages.dense_run import DenseRun
from trainables.stages.machine import Machine, task_of
from trainables.tasks.random_numbers import random_stream
from trainables.tasks.task import Task


class DenseModelContext(PruningContext):
    """Of a dense model.

    Args:
        run: Its training.
        epoch: After which it is pruned.
        density: Fraction of the prunable weights to keep, in (0, 1].
        task: What it is trained for.
        state_at: Gives the state dictionary of the plain dense model after so many epochs.
    """

    def __init__(self, run: DenseRun, epoch: int, density: float, task: Task, state_at: Callable[[int], State]) -> None:
        super().__init__(density, epoch)
        self._run, self._state_at, self._task = run, state_at, task

    def state_at(self, epoch: int) -> State:
        """As :meth:`PruningContext.state_at`."""
        return self._state_at(epoch)

    def plain_model(self) -> nn.Module:
        """As :meth:`PruningContext.plain_model`."""
        return self._task.model(self._run.model).to(self._task.device)

    def example_inputs(self, samples: int) -> ModelInputs:
        """As :meth:`PruningContext.example_inputs`."""
        return self._task.example_inputs(samples)

    def random_stream(self, *names: str | int) -> torch.Generator:
        """As :meth:`PruningContext.random_stream`."""
        return random_stream("pruning", self._run.seed, *names)

    def loss_parts(self, model: nn.Module, examples: int, at_once: int = 64) -> Iterator[Tensor]:
        """As :meth:`PruningContext.loss_parts`."""
        return self._task.loss_parts(model, examples, at_once)


def dense_context(run: DenseRun, epoch: int, density: float, machine: Machine) -> DenseModelContext:
    """Of a dense model that is kept on a machine, and of the others of its training; arguments as of the class.

    Asked for one that is not kept it raises ArtifactError.
    """

    def state_at(epoch: int) -> State:
        state: State = dense_model(run, epoch, machine.folder)["model"]
        return state

    return DenseModelContext(run, epoch, density, task_of(run, machine), state_at)
