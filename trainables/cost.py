"""What stages will cost: time, from steps measured here on images that only look like the data, and disk."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import comb

import numpy as np
import torch

from trainables.attempt import Splits
from trainables.batches import Split
from trainables.data import DataSet, Images, outline, training_images
from trainables.execution import TEST_EPOCHS
from trainables.measuring.measurement import errors
from trainables.models import build
from trainables.pruning.magnitude import prunable_weights
from trainables.stacks.memory import LARGEST_BATCH
from trainables.stages import DenseRun, DenseStage, Keep, PointStage, Stage
from trainables.training.optimizers import OPTIMIZERS
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
        kind = recipe.batch_size, recipe.optimizer, bool(recipe.rho), bool(recipe.gradient_clipping), recipe.precision
        key = ("step", run.model, run.data, models, *kind)
        if key not in self._steps:
            splits = self._splits(run, STEPS * recipe.batch_size)
            plain = replace(recipe, epochs=1 + TURNS, iterations=None)
            training = Training(splits.stack(run.model, models), plain, splits.batches, [("cost", 0)] * models)
            self._steps[key] = self._fastest(training.run_epoch) / STEPS
        return self._steps[key]

    def _evaluation(self, run: DenseRun, models: int) -> float:
        """Seconds that a stack needs for an image without training."""
        key = ("evaluation", run.model, run.data, models)
        if key not in self._steps:
            splits = self._splits(run, LARGEST_BATCH)
            stack, split = splits.stack(run.model, models), Split(splits.data, splits.data.train, self._device)
            self._steps[key] = self._fastest(lambda: errors(stack, split)) / LARGEST_BATCH
        return self._steps[key]

    def _splits(self, run: DenseRun, images: int) -> Splits:
        """So many random images of the data's shape."""
        like, random = outline(run.data), np.random.default_rng(0)
        pixels = random.integers(256, size=(images, like.height, like.width, like.channels), dtype=np.uint8)
        some = Images(pixels, random.integers(like.classes, size=images))
        statistics = (127.5,) * like.channels, (73.9,) * like.channels
        return Splits(DataSet(some, some[:0], some[:0], like.classes, *statistics, 1, True), self._device)

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
    """Disk that a stage takes while it runs: weights of its models, and what the optimizer keeps of them."""
    size = _model_bytes(stage.run.model, stage.run.data)
    recipe, models = (stage.point.retrain, len(stage.seeds)) if isinstance(stage, PointStage) else (stage.run.recipe, 1)
    return (size.everything + OPTIMIZERS[recipe.optimizer].moments * size.parameters) * models


def _kept_bytes(stage: Stage, keep: Keep, kept: int) -> int:
    size = _model_bytes(stage.run.model, stage.run.data)
    if isinstance(stage, DenseStage):
        going_on = sum(epoch < stage.run.recipe.epochs for epoch in stage.epochs)  # with their momentum
        moments = OPTIMIZERS[stage.run.recipe.optimizer].moments
        return len(stage.epochs) * size.everything + going_on * moments * size.parameters
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
    like = outline(data)
    with torch.random.fork_rng(devices=[]):
        model = build(name, like.channels, like.classes)
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
