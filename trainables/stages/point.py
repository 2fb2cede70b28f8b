"""A point of a sweep: pruning a dense model to one density, and retraining siblings from it."""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from trainables.functions import OwnFunction
from trainables.pruning import RULES
from trainables.stages.data_dimension import data_columns
from trainables.stages.dense import DenseStage, dense_model, diverged_epoch, known_scores
from trainables.stages.dense_run import NOT_FINITE, DenseRun
from trainables.stages.keys import configuration_key
from trainables.stages.pruning import UNKNOWN, PruningStage, pruned_model
from trainables.stages.pruning_run import PruningRun
from trainables.stages.siblings import Keep, Sibling, diverged_message, kept_siblings, sibling_file, stacks_to_retrain
from trainables.stages.stage import Execution, Label, Row, Stage
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import Recipe

if TYPE_CHECKING:
    from trainables.pruning.context import Pruned
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine
    from trainables.storage.folder import Folder
    from trainables.training.progress import Progress
    from trainables.training.training import Training

TEST_EPOCHS = 5
"""Test and validation error are means over the last epochs of retraining (Zhou et al. 2023, section 4.1)."""


@dataclass(frozen=True)
class Point:
    """A dense model pruned to one density and retrained: all that decides it but the retrain seeds.

    Attributes:
        dense: The training the dense model comes from.
        epoch: Its epochs done when the model is taken.
        density: Fraction of the prunable weights to keep, in (0, 1].
        pruner: Name of the rule that chooses them.
        retrain: How the pruned model is retrained.
        pruning: What prunes the model, if the rule is a method.
    """

    dense: DenseRun
    epoch: int
    density: float
    pruner: str
    retrain: Recipe
    pruning: PruningRun | None = field(default=None, metadata={"added": True})

    @cached_property
    def key(self) -> str:
        """Name of its results and artifacts."""
        return configuration_key(self)


@dataclass(frozen=True)
class PointStage(Stage):
    """Prune a dense model, and retrain one sibling for each seed."""

    point: Point
    seeds: tuple[int, ...]
    label: Label

    kind = "point"
    artifact_folder = "siblings"

    def __str__(self) -> str:
        return f"{self.label}, dense seed {self.point.dense.seed}"

    @property
    def run(self) -> DenseRun:  # type: ignore[override]  # derived
        """Training of the dense model that it needs."""
        return self.point.dense

    @property
    def key(self) -> str:
        """That of the point."""
        return self.point.key

    @property
    def parts(self) -> tuple[int, ...]:  # type: ignore[override]  # derived
        """The seeds of the siblings."""
        return self.seeds

    def with_parts(self, parts: Collection[int]) -> Self:
        """The same point with these siblings."""
        return type(self)(self.point, tuple(sorted(parts)), self.label)

    def of_variant(self, name: str) -> Self:
        """The same point as one of a sweep of a study."""
        return replace(self, label=replace(self.label, variant=name))

    @property
    def needs(self) -> tuple[Stage, ...]:
        """What a method prunes to this density; or the dense model, and those of other epochs that the rule takes."""
        if self.point.pruning is not None:
            return (PruningStage(self.point.pruning, (self.point.density,)),)
        epochs = {self.point.epoch, *RULES[self.point.pruner].epochs}
        return (DenseStage(self.point.dense, tuple(sorted(epochs))),)

    @property
    def functions(self) -> tuple[OwnFunction, ...]:
        """Those of pruning, too."""
        return self.run.functions if self.point.pruning is None else self.point.pruning.functions

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """One row for each sibling."""
        return ("runs",)

    def part_columns(self, part: int) -> Row:
        """Point and seed."""
        return {"point": self.point.key, "retrain_seed": part}

    def common_columns(self) -> Row:
        """What decides the point, and where it lies."""
        point, label = self.point, self.label
        return point.dense.columns() | {
            "point": point.key,
            "epoch": point.epoch,
            **label.columns(),
            "pruner": point.pruner,
            "pruning": "" if point.pruning is None else point.pruning.key,
            "configuration": json.dumps(asdict(point), sort_keys=True),
        }

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Point and seed."""
        return ["point", "retrain_seed"]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[int]]:
        """A row is a sibling."""
        return row["point"], [row["retrain_seed"]]

    @classmethod
    def parts_in_artifact(cls, file: str) -> tuple[str, Iterable[int]]:
        """A file holds the siblings of a stack."""
        key, _, name = file.removesuffix(".pt").partition("/")
        return key, map(int, name.split("-"))

    def execute(self, machine: "Machine") -> Execution:
        """Take siblings of earlier attempts from their files, and retrain the missing ones together."""
        point = self.point
        if diverged := diverged_before(point, machine.folder):
            return {"runs": [self._row(seed, diverged) | data_columns(self.run, machine) for seed in self.seeds]}
        siblings = kept_siblings(machine.folder, point.key)
        for seeds in stacks_to_retrain(self.seeds, siblings):
            yield from self._retrain(seeds, machine)
            siblings = kept_siblings(machine.folder, point.key)
        return {"runs": [self._sibling_row(siblings[seed]) | data_columns(self.run, machine) for seed in self.seeds]}

    def _retrain(self, seeds: Sequence[int], machine: "Machine") -> Iterator["Progress"]:
        """Take or make the pruned model, retrain one sibling for each seed, and keep them in one file."""
        from trainables.pruning.packing import pack_masks, pack_weights
        from trainables.pruning.remains import sizes
        from trainables.storage import artifacts
        from trainables.training.resumable import ResumableTraining

        point = self.point
        pruned = pruned_of(point, machine)
        training, masks = retraining(point, seeds, pruned, machine), pruned.masks
        execution = machine.chooser.settle(training, point.dense.model, point.dense.data, masks)
        name = f"training/{point.key}-{'-'.join(map(str, seeds))}.pt"
        attempt = ResumableTraining(training, machine.folder, name, machine.checkpoint_seconds)
        yield from attempt.run(point.retrain.epochs, evaluate_from=point.retrain.epochs - TEST_EPOCHS)
        trained = training.task.evaluation(training.stack, "train")
        scores = training.task.scores(training.stack)
        siblings = [
            {
                "seed": seed,
                "stack": list(seeds),
                "execution": execution,
                "model": pack_weights(state, masks),
                "diverged": training.diverged[index],
                "losses": [losses[index] for losses in attempt.losses],
                "train_error": trained.errors[index],
                "train_loss": trained.losses[index],
                "validation_error": _mean([epoch[index] for epoch in attempt.validation_errors]),
                "test_error": _mean([epoch[index] for epoch in attempt.test_errors]),
                "scores": scores[index],
                "seconds": attempt.seconds / len(seeds),
            }
            for index, (seed, state) in enumerate(zip(seeds, training.stack.states(), strict=True))
        ]
        before = sizes(masks) if pruned.before is None else pruned.before
        content = {"masks": pack_masks(masks), "before": before, "siblings": siblings}
        artifacts.save(machine.folder, sibling_file(point.key, seeds), content)
        attempt.finished()

    def _sibling_row(self, sibling: Sibling) -> Row:
        from trainables.pruning.remains import remains, sizes

        masks = sibling["masks"]
        known = {
            **remains(sibling["model"], masks, sibling.get("before") or sizes(masks)).columns(),
            **{name: sibling[name] for name in ("stack", "losses", "seconds")},
            "execution": sibling.get("execution", ""),
            **known_scores(sibling.get("scores", {}), sibling["diverged"]),
        }
        if not (message := diverged_message(sibling)):
            known |= {name: sibling[name] for name in ("train_error", "validation_error", "test_error")}
            known["train_loss"] = sibling.get("train_loss")
        return self._row(sibling["seed"], message) | known

    def _row(self, seed: int, message: str) -> Row:
        """Row of a sibling of which nothing is known but this."""
        nothing: Row = UNKNOWN | {"stack": [], "losses": [], "seconds": 0.0, "execution": ""}
        nothing |= dict.fromkeys(("train_error", "validation_error", "test_error", "train_loss"), math.nan)
        return self.part_columns(seed) | nothing | {"status": "diverged" if message else "ok", "message": message}

    @property
    def work(self) -> float:
        """Epochs of all siblings."""
        return len(self.seeds) * self.point.retrain.epochs

    def seconds(self, costs: "StageCosts") -> float:
        """Retraining, and the errors of the siblings."""
        run, sizes, siblings = self.run, costs.sizes(self.run), len(self.seeds)
        evaluated = TEST_EPOCHS * (sizes.validation + sizes.test) + sizes.measured
        retrain, density = self.point.retrain, self.point.density
        training = costs.training(run, retrain, retrain.epochs, siblings, density)
        return training + evaluated * costs.evaluation(run, siblings, density)

    def kept_bytes(self, keep: Keep) -> int:
        """What is left of the siblings."""
        from trainables.stages.cost import model_bytes

        size = model_bytes(self.run.model, self.run.data)
        siblings = {"siblings": len(self.seeds), "best": 1, "nothing": 0}[keep]
        masks = size.prunable // 32  # a bit for each number of 32
        of_each = size.everything - size.prunable + round(self.point.density * size.prunable)
        return siblings * of_each + masks * (siblings > 0)

    @property
    def running_bytes(self) -> int:
        """Weights of all siblings, and what the optimizer keeps of them."""
        from trainables.stages.cost import model_bytes

        size = model_bytes(self.run.model, self.run.data)
        moments = OPTIMIZERS[self.point.retrain.optimizer].moments
        return (size.everything + moments * size.parameters) * len(self.seeds)


def diverged_before(point: Point, folder: "Folder") -> str:
    """Why there is nothing to retrain, since a training before diverged: a sentence; empty if there is.

    Raises:
        ArtifactError: If what it comes from is not there.
    """
    if point.pruning is not None:
        return str(pruned_model(point.pruning, point.density, folder)["diverged"])
    diverged = diverged_epoch(dense_model(point.dense, point.epoch, folder))
    return NOT_FINITE.format(diverged, "dense training") if diverged else ""


def pruned_of(point: Point, machine: "Machine") -> "Pruned":
    """The pruned model of a point: as its method left it, or made now by its rule."""
    from trainables.pruning import prune
    from trainables.pruning.context import Pruned
    from trainables.pruning.packing import unpack_masks, unpack_weights
    from trainables.stages.pruning_context import dense_context

    if point.pruning is not None:
        kept = pruned_model(point.pruning, point.density, machine.folder)
        masks = unpack_masks(kept["masks"])
        return Pruned(masks, unpack_weights(kept["model"], masks), kept["before"])

    return prune(point.pruner, dense_context(point.dense, point.epoch, point.density, machine))


def retraining(point: Point, seeds: Sequence[int], pruned: "Pruned", machine: "Machine") -> "Training":
    """Siblings of a pruned model, ready to be retrained."""
    from trainables.stages.machine import task_of
    from trainables.training.training import Training

    task = task_of(point.dense, machine)
    masks = pruned.masks if point.retrain.precision == "float32" else None
    stack = task.stack(point.dense.model, len(seeds), masks, pruned.state)
    stack.load([pruned.state] * len(seeds))
    return Training(stack, point.retrain, task, [("retrain", seed) for seed in seeds], pruned.masks)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
