"""Comparing trained models: errors on the line between two of them, and their similarity."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from metrics.connectivity import interpolate, path_positions, reestimate_batch_norm
from metrics.similarity import linear_cka
from trainables.measuring.settings import MeasurementSettings
from trainables.stacks.memory import free_cached_memory, is_out_of_memory
from trainables.stacks.stack import Stack
from trainables.tasks.evaluation import in_float32
from trainables.tasks.random_numbers import random_numbers
from trainables.tasks.task import Task

State = Mapping[str, Tensor]


class PathStacks:
    """Stacks for the positions of paths, one at a time.

    Args:
        make: Gives a stack of so many models.
        at_once: Positions that are measured at the same time; halved as long as memory does not suffice, which changes
            nothing but rounding.
    """

    def __init__(self, make: Callable[[int], Stack], at_once: int) -> None:
        self._make, self.at_once = make, at_once
        self._latest: Stack | None = None

    def of(self, models: int) -> Stack:
        """Give a stack of so many models, to be overwritten; the one before is gone if it was of another number."""
        if self._latest is None or self._latest.models != models:
            self._latest = None
            self._latest = self._make(models)
        return self._latest

    def halve(self) -> None:
        """Measure fewer positions at the same time from now on."""
        self._latest = None
        self.at_once = -(-self.at_once // 2)


def path_errors(stacks: PathStacks, start: State, end: State, task: Task, settings: MeasurementSettings) -> list[float]:
    """Training error along the line between two models, ends included; batch-norm is re-estimated at every position.

    Args:
        stacks: In which the positions are measured.
        start: State dictionary of the plain model at position 0.
        end: State dictionary of the plain model at position 1.
        task: Whose training samples the statistics and the errors are of.
        settings: Number of positions and size of the batches of the re-estimation.
    """
    positions = path_positions(settings.path_points)
    found: list[float] = []
    while len(found) < len(positions):
        try:
            found += _errors_at(stacks, positions[len(found) :][: stacks.at_once], start, end, task, settings)
            continue
        except Exception as problem:
            if stacks.at_once == 1 or not is_out_of_memory(problem):
                raise
        stacks.halve()
        free_cached_memory(task.device)
    return found


def _errors_at(
    stacks: PathStacks,
    positions: Sequence[float],
    start: State,
    end: State,
    task: Task,
    settings: MeasurementSettings,
) -> list[float]:
    """Errors at these positions of the line."""
    stack = stacks.of(len(positions))
    stack.load([interpolate(start, end, position) for position in positions])
    with torch.no_grad(), in_float32(), random_numbers(0, task.device):  # for dropout, in models that have it
        reestimate_batch_norm(stack, task.statistics_inputs(stack.models, settings.batch_norm_batch_size))
    return task.errors(stack, "train")


def similarities(
    stack: Stack, pairs: Sequence[tuple[int, int]], task: Task, settings: MeasurementSettings
) -> list[float]:
    """CKA of the outputs of these pairs of models of the stack; NaN where it is undefined."""
    outputs = task.outputs(stack, settings.cka_images)
    return [linear_cka(outputs[first], outputs[second]) for first, second in pairs]
