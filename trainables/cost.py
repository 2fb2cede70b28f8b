"""What models cost: time, from steps measured here on images that only look like the data, and disk."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from trainables.attempt import Splits
from trainables.batches import Split
from trainables.data import DataSet, Images, outline, training_images
from trainables.measuring.measurement import errors
from trainables.models import build
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.memory import LARGEST_BATCH
from trainables.stages.dense import DenseRun
from trainables.training.recipe import Recipe
from trainables.training.training import Training

STEPS, TURNS = 2, 3
"""A training step is timed over so many steps, and the fastest of so many turns counts, after one to warm up."""


@dataclass(frozen=True)
class Sizes:
    """Images of each split of a data set."""

    train: int
    validation: int
    test: int


class StageCosts:
    """Seconds that work takes when nothing else runs; each kind of step is measured once.

    Args:
        device: That carries them out, with as many threads as torch uses now.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._steps: dict[tuple[object, ...], float] = {}

    def training(self, run: DenseRun, recipe: Recipe, epochs: int, models: int) -> float:
        """Seconds of training a stack of so many models for so many epochs."""
        return _steps(recipe, epochs, self.sizes(run).train) * self._step(run, recipe, models)

    def sizes(self, run: DenseRun) -> Sizes:
        """Images of each split of a training."""
        like = outline(run.data)
        train = training_images(run.data, run.validation_fraction)
        return Sizes(train, like.train - train, like.test)

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

    def evaluation(self, run: DenseRun, models: int) -> float:
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


@dataclass(frozen=True)
class ModelBytes:
    """Bytes of a model's tensors: of all, of the parameters, of the weights that pruning may remove."""

    everything: int
    parameters: int
    prunable: int


@cache
def model_bytes(name: str, data: str) -> ModelBytes:
    """Bytes of a model for a data set."""
    like = outline(data)
    with torch.random.fork_rng(devices=[]):
        model = build(name, like.channels, like.classes)
    tensors = model.state_dict().values(), model.parameters(), prunable_weights(model).values()
    return ModelBytes(*(sum(each.numel() * each.element_size() for each in group) for group in tensors))


def _steps(recipe: Recipe, epochs: int, images: int) -> int:
    if recipe.iterations is not None:
        return recipe.iterations
    return epochs * -(-images // recipe.batch_size)
