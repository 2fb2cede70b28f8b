"""Carrying out a stage: train, prune, retrain, measure. Resumable at every point, and without Ray."""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any

import torch

from metrics.connectivity import linear_mode_connectivity
from metrics.sparsity import density, density_by_layer
from trainables import artifacts
from trainables.artifacts import Folder
from trainables.batches import Split, TrainingBatches
from trainables.data import load
from trainables.measurement import errors, path_errors, similarities
from trainables.models import build
from trainables.pruning.magnitude import magnitude_masks, prunable_weights
from trainables.stack import Stack
from trainables.stages import DenseRun, DenseStage, PointStage, Stage, dense_epoch, dense_name
from trainables.training import Training

TEST_EPOCHS = 5
"""Test and validation error are means over the last epochs of retraining (Zhou et al. 2023, section 4.1)."""

NOT_FINITE = "loss or weights not finite in epoch {} of {}"

Rows = dict[str, list[dict[str, Any]]]
"""Results by table: what was measured, in the names of the tables' columns."""


@dataclass(frozen=True)
class Progress:
    """How far a stage is: epochs done of all it needs."""

    epochs: int
    of: int


Execution = Generator[Progress, None, Rows]
"""Gives progress after every epoch, and in the end returns the rows."""


@dataclass(frozen=True)
class Machine:
    """Where stages are carried out and what they share.

    Attributes:
        folder: Keeps dense models, siblings and half-done trainings.
        device: Where tensors live.
        checkpoint_seconds: A training that was started anew repeats at most about so much.
    """

    folder: Folder
    device: torch.device
    checkpoint_seconds: float = 30.0


def execute(stage: Stage, machine: Machine) -> Execution:
    """Carry out a stage, going on from whatever an earlier attempt left in the folder."""
    return _execute_dense(stage, machine) if isinstance(stage, DenseStage) else _execute_point(stage, machine)


def finish(execution: Execution) -> Rows:
    """Run an execution to its end."""
    while True:
        try:
            next(execution)
        except StopIteration as end:
            return end.value


def dense_file(run: DenseRun, epoch: int) -> str:
    """Path of the file that holds a dense model after so many epochs."""
    return f"dense/{run.key}/{dense_name(epoch)}.pt"


def dense_epochs(folder: Folder, run: DenseRun) -> list[int]:
    """Epochs, ascending, after which the dense model is kept."""
    return [dense_epoch(name) for name in folder.names(f"dense/{run.key}", ".pt")]


class _Splits:
    """A data set on the device."""

    def __init__(self, name: str, validation_fraction: float, device: torch.device) -> None:
        self.data, self._device = load(name, validation_fraction), device

    @cached_property
    def batches(self) -> TrainingBatches:
        return TrainingBatches(self.data, self._device)

    @cached_property
    def train(self) -> Split:
        return Split(self.data, self.data.train, self._device)

    @cached_property
    def validation(self) -> Split:
        return Split(self.data, self.data.validation, self._device)

    @cached_property
    def test(self) -> Split:
        return Split(self.data, self.data.test, self._device)

    def stack(self, model: str, models: int) -> Stack:
        channels = self.data.train.pixels.shape[-1]
        return Stack(build(model, channels, self.data.classes), models).to(self._device)


_splits = lru_cache(maxsize=2)(_Splits)


class _Attempt:
    """A training with what is noted while it runs, kept in a file so that a later attempt goes on from it."""

    def __init__(self, training: Training, splits: _Splits, machine: Machine, name: str) -> None:
        self.training, self._splits, self._machine, self._name = training, splits, machine, name
        self.seconds = 0.0
        self.validation_errors: list[list[float]] = []
        self.test_errors: list[list[float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {
            "training": self.training.state_dict(),
            "seconds": self.seconds,
            "validation_errors": self.validation_errors,
            "test_errors": self.test_errors,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.training.load_state_dict(state["training"])
        self.seconds = state["seconds"]
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
            if self.training.epoch > evaluate_from:
                self.validation_errors.append(errors(self.training.stack, self._splits.validation))
                self.test_errors.append(errors(self.training.stack, self._splits.test))
            taken = time.perf_counter() - started
            self.seconds += taken
            since_saved += taken
            if since_saved > self._machine.checkpoint_seconds:
                self._save()
                since_saved = 0.0
            try:
                yield Progress(self.training.epoch, self.training.recipe.epochs)
            except GeneratorExit:
                self._save()
                raise

    def _save(self) -> None:
        artifacts.save(self._machine.folder, self._name, self.state_dict())

    def finished(self) -> None:
        """Remove the file: the result is kept elsewhere now."""
        self._machine.folder.delete(self._name)


def _execute_dense(stage: DenseStage, machine: Machine) -> Execution:
    """Every epoch asked for is a file that holds the model and from which training goes on."""
    run = stage.run
    splits = _splits(run.data, run.validation_fraction, machine.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        stack = splits.stack(run.model, 1)
    training = Training(stack, run.recipe, splits.batches, [("dense", run.seed)])
    attempt = _Attempt(training, splits, machine, f"training/dense-{run.key}.pt")
    rows = []
    earlier = [epoch for epoch in dense_epochs(machine.folder, run) if epoch < stage.epochs[0]]
    for epoch in (*earlier[-1:], *stage.epochs):
        kept = artifacts.load(machine.folder, dense_file(run, epoch))
        if kept is None:
            yield from attempt.run(until=epoch, evaluate_from=run.recipe.epochs)
            kept = attempt.state_dict() | {
                split: errors(stack, getattr(splits, split))[0] for split in ("train", "validation")
            }
            artifacts.save(machine.folder, dense_file(run, epoch), kept)
        attempt.load_state_dict(kept)
        diverged = training.diverged[0]
        rows.append(
            {
                "dense": run.key,
                "epoch": epoch,
                "status": "diverged" if diverged else "ok",
                "message": NOT_FINITE.format(diverged, "dense training") if diverged else "",
                "train_error": kept["train"],
                "validation_error": kept["validation"],
                "seconds": kept["seconds"],
            }
        )
    attempt.finished()
    return {"dense": rows}


def _execute_point(stage: PointStage, machine: Machine) -> Execution:
    """Siblings of earlier attempts are taken from their files, the missing ones retrained together."""
    point = stage.point
    dense = artifacts.load(machine.folder, dense_file(point.dense, point.epoch))
    if dense is None:
        raise FileNotFoundError(f"the dense model of seed {point.dense.seed} after epoch {point.epoch} is not there")
    if diverged := dense["training"]["diverged"][0]:
        return _diverged_point(stage, NOT_FINITE.format(diverged, "dense training"))
    siblings = _siblings(machine.folder, point.key)
    missing = [seed for seed in stage.seeds if seed not in siblings]
    if missing:
        yield from _retrain(stage, missing, dense["training"]["stack"], machine)
        siblings = _siblings(machine.folder, point.key)
    return (yield from _measure(stage, [siblings[seed] for seed in stage.seeds], machine))


def _siblings(folder: Folder, key: str) -> dict[int, dict[str, Any]]:
    """All siblings of a point that are kept, by retrain seed."""
    files = [artifacts.load(folder, f"siblings/{key}/{name}.pt") for name in folder.names(f"siblings/{key}", ".pt")]
    return {sibling["seed"]: sibling for siblings in files if siblings for sibling in siblings}


def _retrain(stage: PointStage, seeds: Sequence[int], dense: dict[str, Any], machine: Machine) -> Iterator[Progress]:
    """Prune the dense model, retrain one sibling for each seed, and keep them in one file."""
    point = stage.point
    splits = _splits(point.dense.data, point.dense.validation_fraction, machine.device)
    stack = splits.stack(point.dense.model, len(seeds))
    stack.load([dense] * len(seeds))
    plain = splits.stack(point.dense.model, 1)
    plain.load([dense])
    masks = magnitude_masks(prunable_weights(plain.module), point.density, point.pruner)
    training = Training(stack, point.retrain, splits.batches, [("retrain", seed) for seed in seeds], masks)
    name = "-".join(map(str, seeds))
    attempt = _Attempt(training, splits, machine, f"training/{point.key}-{name}.pt")
    yield from attempt.run(point.retrain.epochs, evaluate_from=point.retrain.epochs - TEST_EPOCHS)
    kept = [
        {
            "seed": seed,
            "model": state,
            "masks": {weight: mask.cpu() for weight, mask in masks.items()},
            "diverged": training.diverged[index],
            "validation_error": _mean([epoch[index] for epoch in attempt.validation_errors]),
            "test_error": _mean([epoch[index] for epoch in attempt.test_errors]),
            "seconds": attempt.seconds / len(seeds),
        }
        for index, (seed, state) in enumerate(zip(seeds, stack.states(), strict=True))
    ]
    artifacts.save(machine.folder, f"siblings/{point.key}/{name}.pt", kept)
    attempt.finished()


def _measure(stage: PointStage, siblings: Sequence[dict[str, Any]], machine: Machine) -> Execution:
    point, measurement = stage.point, stage.point.measurement
    splits = _splits(point.dense.data, point.dense.validation_fraction, machine.device)
    started = time.perf_counter()
    stack = splits.stack(point.dense.model, len(siblings))
    stack.load([sibling["model"] for sibling in siblings])
    train_errors = errors(stack, splits.train)
    places = list(combinations(range(len(siblings)), 2))
    ckas = similarities(stack, places, splits.train, measurement)
    common_seconds = (time.perf_counter() - started) / len(places)
    path = splits.stack(point.dense.model, measurement.path_points)
    pairs = []
    for (first, second), cka in zip(places, ckas, strict=True):
        started = time.perf_counter()
        ends = siblings[first], siblings[second]
        failed = _message(*ends)
        curve = [] if failed else path_errors(path, ends[0]["model"], ends[1]["model"], splits.train, measurement)
        if any(map(math.isnan, curve)):
            failed = "outputs not finite on the path"
        pairs.append(
            {
                "point": point.key,
                "first_seed": ends[0]["seed"],
                "second_seed": ends[1]["seed"],
                "status": "diverged" if failed else "ok",
                "message": failed,
                "lmc": math.nan if failed else linear_mode_connectivity(curve),
                "cka": math.nan if failed else cka,
                "path_errors": curve,
                "seconds": common_seconds + time.perf_counter() - started,
            }
        )
        yield Progress(point.retrain.epochs, point.retrain.epochs)
    runs = [
        {
            "point": point.key,
            "retrain_seed": sibling["seed"],
            "status": "diverged" if (failed := _message(sibling)) else "ok",
            "message": failed,
            "train_error": math.nan if failed else train_error,
            "validation_error": math.nan if failed else sibling["validation_error"],
            "test_error": math.nan if failed else sibling["test_error"],
            "density": density(sibling["masks"]),
            "density_by_layer": density_by_layer(sibling["masks"]),
            "seconds": sibling["seconds"],
        }
        for sibling, train_error in zip(siblings, train_errors, strict=True)
    ]
    return {"pairs": pairs, "runs": runs}


def _message(*siblings: dict[str, Any]) -> str:
    """Why these siblings have no results, or nothing."""
    for sibling in siblings:
        if sibling["diverged"]:
            return NOT_FINITE.format(sibling["diverged"], f"retraining with seed {sibling['seed']}")
    return ""


def _diverged_point(stage: PointStage, message: str) -> Rows:
    """Rows of a point whose dense model is not usable."""
    common = {"point": stage.point.key, "status": "diverged", "message": message, "seconds": 0.0}
    nothing = dict.fromkeys(("train_error", "validation_error", "test_error", "density"), math.nan)
    return {
        "pairs": [
            common | {"first_seed": first, "second_seed": second, "lmc": math.nan, "cka": math.nan, "path_errors": []}
            for first, second in combinations(stage.seeds, 2)
        ],
        "runs": [common | nothing | {"retrain_seed": seed, "density_by_layer": {}} for seed in stage.seeds],
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
