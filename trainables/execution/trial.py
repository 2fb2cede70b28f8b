"""Trying ways of computing on trainings that are thrown away, with the models and data of one that will be kept."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice

import torch

from trainables.execution import ways
from trainables.execution.compiled import draws_random_numbers
from trainables.execution.timings import Timing
from trainables.tasks.random_numbers import random_stream
from trainables.training.training import Training

STEPS, TURNS = 3, 4
"""Steps are timed so many at a time, all ways by turns, and the fastest of so many turns counts."""

STAGES = 3
"""A worker is taken to have so many stages like the one at hand; it compiles for all of them once."""

CLEARLY = 2.0
"""What is saved has to be so many times as much as what compiling takes."""

FASTER = 0.95
"""A way takes at most so much of the time of computing plainly, or is not taken."""


class DrawsError(Exception):
    """A model draws random numbers, so that another way of computing would train another model."""

    def __str__(self) -> str:
        return "it has layers that draw random numbers, as dropout does, and compiled code would draw others"


class Trial:
    """Trainings like another one, in which no weight moves; torch's random numbers stay as they are.

    Args:
        training: The one that will be kept; nothing of it changes.
        model: Name of its architecture.
        masks: Weights to keep.

    Attributes:
        problems: Why ways cannot be used, by their names.
    """

    def __init__(self, training: Training, model: str, masks: ways.Masks) -> None:
        task, self._like, self._model, self._masks = training.task, training, model, masks
        self._device = training.stack.device
        streams = [random_stream("trial", index) for index in range(training.stack.models)]
        found = list(islice(task.batches(streams, training.recipe.batch_size), STEPS))
        self._batches = [batch for batch in found if batch.samples == found[0].samples]
        self._trainings: dict[str, Training] = {}
        self.problems: dict[str, Exception] = {}

    def works(self, name: str) -> bool:
        """Whether a way can be used; if not its problem is kept."""
        try:
            self._begun(name)
        except Exception as problem:  # whatever compilers raise: then this way is not taken
            self.problems[name] = problem
        return name not in self.problems

    def timings(self, names: Iterable[str], turns: int = TURNS) -> dict[str, Timing]:
        """Time these ways side by side; those that cannot be used are left out."""
        begun = {name: _seconds(lambda name=name: self.works(name)) for name in names}  # type: ignore[misc]
        steps: dict[str, list[float]] = {name: [] for name in begun if name not in self.problems}
        for _ in range(turns):
            for name, own in steps.items():
                own.append(_seconds(lambda name=name: self._run(name)) / len(self._batches))  # type: ignore[misc]
        return {name: Timing(1000 * min(own), max(begun[name] - min(own), 0.0)) for name, own in steps.items()}

    def _begun(self, name: str) -> Training:
        """A training that took its first step in this way; raises whatever is wrong with that."""
        if name not in self._trainings:
            with self._random_numbers_kept():
                like = self._like
                masks = self._masks if like.stack.has_kernels else None
                stack = like.task.stack(self._model, like.stack.models, masks, like.stack.states()[0])
                seeds = [("trial", index) for index in range(stack.models)]
                training = Training(stack, replace(like.recipe, lr=0.0), like.task, seeds, self._masks)
                batch = self._batches[0]
                if not ways.WAYS[name].draws_alike and draws_random_numbers(
                    lambda: stack.train()(batch.inputs), stack.device
                ):
                    raise DrawsError
                ways.begin(name, stack, self._masks)
                training.try_on([batch])
                if (problem := ways.problem_of(stack)) is not None:
                    raise problem
                self._trainings[name] = training
        return self._trainings[name]

    def _run(self, name: str) -> None:
        with self._random_numbers_kept():
            self._begun(name).try_on(self._batches)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)

    def _random_numbers_kept(self) -> AbstractContextManager[None]:
        return torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else [])


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def worth(timings: Mapping[str, Timing], steps: int) -> str:
    """The way that is clearly the fastest for so many steps, with what it takes to begin; plainly if none is.

    Args:
        timings: By way; plainly is among them.
        steps: Of the training.
    """
    plain = timings[ways.PLAIN].step_ms

    def saved(name: str) -> float:
        """Seconds that are saved in all stages of a worker."""
        return STAGES * steps * (plain - timings[name].step_ms) / 1000 - CLEARLY * timings[name].begin_s

    fastest = max(timings, key=saved)
    return fastest if saved(fastest) > 0 and timings[fastest].step_ms <= FASTER * plain else ways.PLAIN
