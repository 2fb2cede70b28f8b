"""What models cost: time, from steps measured here on random data that only look like the real ones, and disk."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch

from trainables.data import held_out_samples, outline, training_samples
from trainables.pruning.prunable import prunable_weights, random_masks
from trainables.stacks.memory import LARGEST_BATCH
from trainables.stages.dense_run import DenseRun
from trainables.tasks import lookalike_task, measured_samples
from trainables.training.recipe import Recipe
from trainables.training.training import Training

STEPS, TURNS = 2, 3
"""A training step is timed over so many steps, and the fastest of so many turns counts, after one to warm up."""

STEPS_ON_GPU = 50
"""There a step is short, and what an epoch begins and ends with, such as looking for weights that are not finite, would
count for a large part of two of them; of the hundreds of an epoch it is none."""


@dataclass(frozen=True)
class Sizes:
    """Samples of each split, and how many of the training samples errors are taken of."""

    train: int
    measured: int
    validation: int
    test: int


class StageCosts:
    """Seconds that work takes when nothing else runs; each kind of step is measured once.

    Args:
        device: That carries them out, with as many threads as torch uses now.
        kernels: Whether layers may compute with kernels of our own.
    """

    def __init__(self, device: torch.device, kernels: bool = True) -> None:
        self._device, self._kernels = device, kernels
        self._timed = STEPS_ON_GPU if device.type == "cuda" else STEPS
        self._steps: dict[tuple[object, ...], float] = {}

    def training(self, run: DenseRun, recipe: Recipe, epochs: int, models: int, density: float = 1.0) -> float:
        """Seconds of training a stack of so many models, pruned to a density, for so many epochs."""
        if recipe.iterations is not None:
            steps: float = recipe.iterations
        else:
            steps = epochs * math.ceil(self.sizes(run).train / outline(run.data).samples_in(recipe.batch_size))
        return steps * self._step(run, recipe, models, density)

    def sizes(self, run: DenseRun) -> Sizes:
        """Images of each split of a training."""
        like = outline(run.data)
        train = training_samples(run.data, run.validation_fraction)
        held_out = held_out_samples(run.data, run.validation_fraction)
        return Sizes(train, measured_samples(run.data, run.validation_fraction), held_out, like.test)

    def _step(self, run: DenseRun, recipe: Recipe, models: int, density: float) -> float:
        """Seconds of a training step of a stack."""
        kind = recipe.batch_size, recipe.optimizer, bool(recipe.rho), bool(recipe.gradient_clipping), recipe.precision
        own = run.augmentation, run.loss
        key = ("step", run.model, run.data, models, density, *kind, *own)
        if key not in self._steps:
            samples = math.ceil(self._timed * outline(run.data).samples_in(recipe.batch_size))
            task = lookalike_task(run.data, self._device, samples, *own)
            task.kernels = self._kernels
            plain = replace(recipe, epochs=1 + TURNS, iterations=None)
            masks = random_masks(task.model(run.model), density)
            stack = task.stack(run.model, models, masks if recipe.precision == "float32" else None)
            training = Training(stack, plain, task, [("cost", 0)] * models, masks)
            self._steps[key] = self._fastest(training.run_epoch) / task.steps_per_epoch(recipe.batch_size)
        return self._steps[key]

    def evaluation(self, run: DenseRun, models: int, density: float = 1.0) -> float:
        """Seconds that a stack, pruned to a density, needs for a sample without training."""
        key = ("evaluation", run.model, run.data, models, density)
        if key not in self._steps:
            task = lookalike_task(run.data, self._device, LARGEST_BATCH)
            task.kernels = self._kernels
            stack = task.stack(run.model, models, random_masks(task.model(run.model), density))
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


@dataclass(frozen=True)
class ModelBytes:
    """Bytes of a model's tensors: of all, of the parameters, of the weights that pruning may remove."""

    everything: int
    parameters: int
    prunable: int


@cache
def model_bytes(name: str, data: str) -> ModelBytes:
    """Bytes of a model for a data set."""
    with torch.random.fork_rng(devices=[]):
        model = lookalike_task(data, torch.device("cpu")).model(name)
    tensors = model.state_dict().values(), model.parameters(), prunable_weights(model).values()
    return ModelBytes(*(sum(each.numel() * each.element_size() for each in group) for group in tensors))
