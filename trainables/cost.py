"""What stages will cost: time, from steps measured here on random data that only look like the real ones, and disk."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import comb

import torch

from trainables.data import outline, training_images
from trainables.execution import TEST_EPOCHS
from trainables.pruning.magnitude import prunable_weights
from trainables.stacks.memory import LARGEST_BATCH
from trainables.stages import DenseRun, DenseStage, Keep, PointStage, Stage
from trainables.tasks import lookalike_task
from trainables.training.recipe import Recipe
from trainables.training.training import Training

STEPS, TURNS = 2, 3
"""A training step is timed over so many steps, and the fastest of so many turns counts, after one to warm up."""


class StageCosts:
    """Seconds that stages take when nothing else runs; each kind of step is measured once.

    Args:
        device: That carries them out, with as many threads as torch uses now.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._steps: dict[tuple[object, ...], float] = {}

    def seconds(self, stage: Stage, kept: int = 0) -> float:
        """Estimate one stage.

        Args:
            stage: The stage.
            kept: So many of a point's siblings are kept, and only measured again.
        """
        if isinstance(stage, DenseStage):
            run, sizes = stage.run, _sizes(stage.run)
            measured = len(stage.epochs) * (sizes.train + sizes.validation + sizes.test) * self._evaluation(run, 1)
            return _steps(run.recipe, stage.epochs[-1], sizes.train) * self._step(run, run.recipe, 1) + measured
        point, siblings = stage.point, len(stage.seeds)
        run, sizes, measurement = point.dense, _sizes(point.dense), point.measurement
        steps = _steps(point.retrain, point.retrain.epochs, sizes.train)
        evaluated = TEST_EPOCHS * (sizes.validation + sizes.test) + sizes.train + measurement.cka_images
        on_paths = 2 * sizes.train * comb(siblings, 2)  # statistics, then errors
        return (
            (steps * self._step(run, point.retrain, siblings - kept) if siblings > kept else 0.0)
            + evaluated * self._evaluation(run, siblings)
            + on_paths * self._evaluation(run, measurement.path_points)
        )

    def _step(self, run: DenseRun, recipe: Recipe, models: int) -> float:
        """Seconds of a training step of a stack."""
        key = ("step", run.model, run.data, models, recipe.batch_size, bool(recipe.rho), recipe.precision)
        if key not in self._steps:
            task = lookalike_task(run.data, self._device, STEPS * recipe.batch_size)
            plain = replace(recipe, epochs=1 + TURNS, iterations=None)
            training = Training(task.stack(run.model, models), plain, task, [("cost", 0)] * models)
            self._steps[key] = self._fastest(training.run_epoch) / STEPS
        return self._steps[key]

    def _evaluation(self, run: DenseRun, models: int) -> float:
        """Seconds that a stack needs for a sample without training."""
        key = ("evaluation", run.model, run.data, models)
        if key not in self._steps:
            task = lookalike_task(run.data, self._device, LARGEST_BATCH)
            stack = task.stack(run.model, models)
            self._steps[key] = self._fastest(lambda: task.errors(stack, "train")) / LARGEST_BATCH
        return self._steps[key]

    def _fastest(self, work: Callable[[], object]) -> float:
        turns = []
        for _ in range(1 + TURNS):
            started = time.perf_counter()
            work()
            if self._device.type == "cuda":
                torch.cuda.synchronize()
            turns.append(time.perf_counter() - started)
        return min(turns[1:])


def kept_bytes(stages: Mapping[Stage, int], keep: Keep) -> int:
    """Disk that the models of these stages take once they are done; tables and pictures are small beside it.

    Args:
        stages: To be carried out, with the number of siblings of each that are kept already.
        keep: Which siblings are kept.
    """
    return sum(_kept_bytes(stage, keep, kept) for stage, kept in stages.items())


def training_bytes(stage: Stage) -> int:
    """Disk that a stage takes while it runs: weights and momentum of its models."""
    size = _model_bytes(stage.run.model, stage.run.data)
    return (size.everything + size.parameters) * (len(stage.seeds) if isinstance(stage, PointStage) else 1)


def _kept_bytes(stage: Stage, keep: Keep, kept: int) -> int:
    size = _model_bytes(stage.run.model, stage.run.data)
    if isinstance(stage, DenseStage):
        going_on = sum(epoch < stage.run.recipe.epochs for epoch in stage.epochs)  # with their momentum
        return len(stage.epochs) * size.everything + going_on * size.parameters
    siblings = {"siblings": len(stage.seeds) - kept, "best": 1, "nothing": 0}[keep]
    masks = size.prunable // 32  # a bit for each number of 32
    of_each = size.everything - size.prunable + round(stage.point.density * size.prunable)
    return siblings * of_each + masks * (siblings > 0)


@dataclass(frozen=True)
class _ModelBytes:
    everything: int
    parameters: int
    prunable: int


@cache
def _model_bytes(name: str, data: str) -> _ModelBytes:
    with torch.random.fork_rng(devices=[]):
        model = lookalike_task(data, torch.device("cpu")).model(name)
    tensors = model.state_dict().values(), model.parameters(), prunable_weights(model).values()
    return _ModelBytes(*(sum(each.numel() * each.element_size() for each in group) for group in tensors))


@dataclass(frozen=True)
class _Sizes:
    train: int
    validation: int
    test: int


def _sizes(run: DenseRun) -> _Sizes:
    like = outline(run.data)
    train = training_images(run.data, run.validation_fraction)
    return _Sizes(train, like.train - train, like.test)


def _steps(recipe: Recipe, epochs: int, images: int) -> int:
    if recipe.iterations is not None:
        return recipe.iterations
    return epochs * -(-images // recipe.batch_size)
