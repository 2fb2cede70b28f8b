"""Carrying out a stage: train, prune, retrain, measure. Resumable at every point, and without Ray."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from trainables.machine import Machine, task_of
from trainables.measuring.siblings import NOT_FINITE, Execution, Sibling, diverged_point, measure
from trainables.pruning.kept import pack_masks, pack_weights, unpack_masks, unpack_weights
from trainables.pruning.magnitude import magnitude_masks, prunable_weights
from trainables.stages import DenseRun, DenseStage, Point, PointStage, Rows, Stage, dense_epoch, dense_name
from trainables.storage import artifacts
from trainables.storage.checkpoints import checkpoint_file
from trainables.storage.folder import Folder
from trainables.tasks.task import SplitName, Task
from trainables.training.progress import Progress
from trainables.training.resumable import ResumableTraining
from trainables.training.training import Training

TEST_EPOCHS = 5
"""Test and validation error are means over the last epochs of retraining (Zhou et al. 2023, section 4.1)."""


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


def prepare(stage: Stage, machine: Machine) -> None:
    """Load what a stage needs before it can begin, its data and its model; raises whatever is wrong with them here."""
    task_of(stage.run, machine).stack(stage.run.model, 1)


def discard(stage: Stage, rows: Rows, machine: Machine) -> None:
    """Once its results are stored, remove the siblings of a point that are not to be kept."""
    if isinstance(stage, DenseStage) or machine.keep == "siblings":
        return
    folder, key = machine.folder, stage.point.key
    best = _best(rows) if machine.keep == "best" else None
    for name in folder.names(_sibling_folder(key), ".pt"):
        own = [int(seed) for seed in name.split("-")]
        if best in own and len(own) > 1:
            content = _needed(folder, _sibling_file(key, own), f"the siblings of {stage}")
            only = [sibling for sibling in content["siblings"] if sibling["seed"] == best]
            artifacts.save(folder, _sibling_file(key, [best]), content | {"siblings": only})
        if own != [best]:
            folder.delete(_sibling_file(key, own))


def dense_file(run: DenseRun, epoch: int) -> str:
    """Path of the file that holds a dense model after so many epochs."""
    return f"dense/{run.key}/{dense_name(epoch)}.pt"


def dense_epochs(folder: Folder, run: DenseRun) -> list[int]:
    """Epochs, ascending, after which the dense model is kept."""
    return [dense_epoch(name) for name in folder.names(f"dense/{run.key}", ".pt")]


def _best(rows: Rows) -> int | None:
    """Retrain seed of the lowest validation error, or training error where no images are held out; None without any."""
    known = [row for row in rows["runs"] if row["status"] == "ok"]
    by = "train_error" if any(math.isnan(row["validation_error"]) for row in known) else "validation_error"
    return min(known, key=lambda row: row[by])["retrain_seed"] if known else None


def _execute_dense(stage: DenseStage, machine: Machine) -> Execution:
    """Every epoch asked for is a file that holds the model and, but for the last, from which training goes on."""
    run = stage.run
    task = task_of(run, machine)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        stack = task.stack(run.model, 1)
    if run.checkpoint is not None:
        stack.load([_needed(machine.folder, checkpoint_file(run.checkpoint), str(stage))])
    training = Training(stack, run.recipe, task, [("dense", run.seed)])
    name = f"training/dense-{run.key}.pt"
    attempt = ResumableTraining(training, machine.folder, name, machine.checkpoint_seconds)
    earlier = [epoch for epoch in dense_epochs(machine.folder, run) if epoch < stage.epochs[0]]
    if earlier:
        attempt.load_state_dict(_dense(run, earlier[-1], machine.folder)["attempt"])
    rows = []
    for epoch in stage.epochs:
        kept = artifacts.load(machine.folder, dense_file(run, epoch))
        if kept is None:
            yield from attempt.run(until=epoch, evaluate_from=run.recipe.epochs)
            state = attempt.state_dict()
            if epoch == run.recipe.epochs:
                del state["training"]["optimizer"]
            splits: tuple[SplitName, ...] = ("train", "validation", "test")
            found = {split: task.errors(stack, split)[0] for split in splits}
            kept = {"model": state["training"]["models"][0], "attempt": state, **found}
            artifacts.save(machine.folder, dense_file(run, epoch), kept)
        attempt.load_state_dict(kept["attempt"])
        diverged = training.diverged[0]
        rows.append(
            {
                "dense": run.key,
                "epoch": epoch,
                "status": "diverged" if diverged else "ok",
                "message": NOT_FINITE.format(diverged, "dense training") if diverged else "",
                "train_error": kept["train"],
                "validation_error": kept["validation"],
                "test_error": kept["test"],
                "losses": [losses[0] for losses in attempt.losses],
                "seconds": attempt.seconds,
            }
        )
        if epoch != stage.epochs[-1]:  # points of this temperature need not wait for the colder ones
            yield Progress(training.epoch, run.recipe.epochs, training.samples, rows={"dense": rows[-1:]})
    attempt.finished()
    return {"dense": rows}


def _execute_point(stage: PointStage, machine: Machine) -> Execution:
    """Siblings of earlier attempts are taken from their files, the missing ones retrained together."""
    point = stage.point
    dense = _dense(point.dense, point.epoch, machine.folder)
    if diverged := dense["attempt"]["training"]["diverged"][0]:
        return diverged_point(stage, NOT_FINITE.format(diverged, "dense training"))
    siblings = kept_siblings(machine.folder, point.key)
    missing = [seed for seed in stage.seeds if seed not in siblings]
    if missing:
        yield from _retrain(stage, missing, dense["model"], machine)
        siblings = kept_siblings(machine.folder, point.key)
    return (yield from measure(stage, [siblings[seed] for seed in stage.seeds], machine))


def _needed(folder: Folder, name: str, what: str) -> Any:
    content = artifacts.load(folder, name)
    if content is None:
        raise artifacts.ArtifactError(f"{what} is not there")
    return content


def _dense(run: DenseRun, epoch: int, folder: Folder) -> Any:
    return _needed(folder, dense_file(run, epoch), f"the dense model of seed {run.seed} after epoch {epoch}")


def _sibling_folder(key: str) -> str:
    return f"siblings/{key}"


def _sibling_file(key: str, seeds: Sequence[int]) -> str:
    return f"{_sibling_folder(key)}/{'-'.join(map(str, seeds))}.pt"


def kept_siblings(folder: Folder, key: str) -> dict[int, Sibling]:
    """All siblings of a point that are kept, by retrain seed."""
    found: dict[int, Sibling] = {}
    for name in folder.names(_sibling_folder(key), ".pt"):
        content = artifacts.load(folder, f"{_sibling_folder(key)}/{name}.pt")
        if content is not None:
            masks = unpack_masks(content["masks"])
            for sibling in content["siblings"]:
                model = unpack_weights(sibling["model"], masks)
                found[sibling["seed"]] = sibling | {"model": model, "masks": masks}
    return found


def _retrain(stage: PointStage, seeds: Sequence[int], dense: dict[str, Any], machine: Machine) -> Iterator[Progress]:
    """Prune the dense model, retrain one sibling for each seed, and keep them in one file."""
    point = stage.point
    training, masks = retraining(point, seeds, dense, task_of(point.dense, machine))
    name = f"training/{point.key}-{'-'.join(map(str, seeds))}.pt"
    attempt = ResumableTraining(training, machine.folder, name, machine.checkpoint_seconds)
    yield from attempt.run(point.retrain.epochs, evaluate_from=point.retrain.epochs - TEST_EPOCHS)
    siblings = [
        {
            "seed": seed,
            "stack": list(seeds),
            "model": pack_weights(state, masks),
            "diverged": training.diverged[index],
            "losses": [losses[index] for losses in attempt.losses],
            "validation_error": _mean([epoch[index] for epoch in attempt.validation_errors]),
            "test_error": _mean([epoch[index] for epoch in attempt.test_errors]),
            "seconds": attempt.seconds / len(seeds),
        }
        for index, (seed, state) in enumerate(zip(seeds, training.stack.states(), strict=True))
    ]
    content = {"masks": pack_masks(masks), "siblings": siblings}
    artifacts.save(machine.folder, _sibling_file(point.key, seeds), content)
    attempt.finished()


def retraining(
    point: Point, seeds: Sequence[int], dense: dict[str, Any], task: Task
) -> tuple[Training, dict[str, torch.Tensor]]:
    """Prune a dense model, given as the state of a plain one; its siblings ready to be retrained, and their masks."""
    stack = task.stack(point.dense.model, len(seeds))
    stack.load([dense] * len(seeds))
    plain = task.model(point.dense.model)
    plain.load_state_dict(dense)
    masks = magnitude_masks(prunable_weights(plain), point.density, point.pruner)
    return Training(stack, point.retrain, task, [("retrain", seed) for seed in seeds], masks), masks


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
