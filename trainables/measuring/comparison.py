"""Comparing trained models: errors and losses on the line between two of them, and their similarity."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from metrics.connectivity import bezier, interpolate, path_positions, reestimate_batch_norm
from metrics.similarity import linear_cka
from trainables.measuring.settings import MeasurementSettings
from trainables.stacks.memory import free_cached_memory, is_out_of_memory
from trainables.stacks.stack import Stack
from trainables.tasks.evaluation import in_float32
from trainables.tasks.random_numbers import random_numbers
from trainables.tasks.task import Evaluation, Task

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


def path_evaluations(
    stacks: PathStacks,
    states: Sequence[State],
    pairs: Sequence[tuple[int, int]],
    task: Task,
    settings: MeasurementSettings,
    bends: Sequence[State] = (),
) -> Iterator[Evaluation]:
    """Training errors and losses along the lines between these pairs of models, or along curves, ends included.

    Batch-norm is re-estimated at every position. Positions of all pairs are measured together, an end that several of
    them share once.

    Args:
        stacks: In which the positions are measured.
        states: State dictionaries of plain models.
        pairs: Indices of the models at positions 0 and 1.
        task: Whose training samples the statistics, the errors and the losses are of.
        settings: Number of positions and size of the batches of the re-estimation.
        bends: State dictionaries of the bends of Bezier curves between these pairs; none for lines.

    Yields:
        Those of each pair, as soon as they are known: a number for each position.
    """
    lines = [[_place(*pair, t) for t in path_positions(settings.path_points)] for pair in pairs]
    places = list(dict.fromkeys(place for line in lines for place in line))
    found: dict[tuple[int, int, float], tuple[float, float]] = {}
    bend_of = dict(zip(pairs, bends, strict=True)) if bends else {}

    def model(first: int, second: int, t: float) -> State:
        if (bend := bend_of.get((first, second))) is None:
            return interpolate(states[first], states[second], t)
        return bezier(states[first], bend, states[second], t)

    while left := places[len(found) :][: stacks.at_once]:
        try:
            models = [model(*place) for place in left]
            evaluation = _evaluation_of(stacks.of(len(left)), models, task, settings)
            found |= zip(left, zip(*evaluation, strict=True), strict=True)
            while lines and found.keys() >= {*lines[0]}:
                errors, losses = zip(*(found[place] for place in lines.pop(0)), strict=True)
                yield Evaluation(list(errors), list(losses))
            continue
        except Exception as problem:
            if stacks.at_once == 1 or not is_out_of_memory(problem):
                raise
        stacks.halve()
        free_cached_memory(task.device)


def kept_weights(states: Sequence[State]) -> dict[str, Tensor]:
    """Weights that are not zero in all of these models, as masks by name: what pruning left of them."""
    names = [name for name, tensor in states[0].items() if tensor.dim() > 1]
    return {name: torch.stack([state[name] != 0 for state in states]).any(0) for name in names}


def _place(first: int, second: int, position: float) -> tuple[int, int, float]:
    """A place on the line between two models; each end has one name, whatever line it is of."""
    if position in (0, 1):
        end = second if position else first
        return end, end, 0.0
    return first, second, position


def _evaluation_of(stack: Stack, states: Sequence[State], task: Task, settings: MeasurementSettings) -> Evaluation:
    """Training errors and losses of these models, once their batch-norm statistics are re-estimated."""
    stack.load(states)
    with torch.no_grad(), in_float32(), random_numbers(0, task.device):  # for dropout, in models that have it
        reestimate_batch_norm(stack, task.statistics_inputs(stack.models, settings.batch_norm_batch_size))
    return task.evaluation(stack, "train")


def similarities(
    stack: Stack, pairs: Sequence[tuple[int, int]], task: Task, settings: MeasurementSettings, mixed_up: bool = False
) -> list[float]:
    """CKA of the outputs of these pairs of models of the stack; NaN where it is undefined.

    Args:
        stack: The models.
        pairs: Indices of two of them.
        task: Whose training samples the outputs are for.
        settings: How many samples.
        mixed_up: Whether these are mixed up in pairs, as of :meth:`Task.outputs`.
    """
    outputs = task.outputs(stack, settings.cka_images, mixed_up)
    return [linear_cka(outputs[first], outputs[second]) for first, second in pairs]
