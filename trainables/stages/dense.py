"""Training a dense model, which is kept as it was after certain epochs."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from trainables.stages.data_dimension import data_columns
from trainables.stages.dense_run import NOT_FINITE, DenseRun
from trainables.stages.siblings import Keep
from trainables.stages.stage import Execution, Row, Stage
from trainables.training.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from trainables.pruning.context import State
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine
    from trainables.storage.folder import Folder
    from trainables.tasks.task import SplitName, Task

SPLITS: tuple["SplitName", ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class DenseStage(Stage):
    """Train a dense model and keep it as it was after each of these epochs (ascending)."""

    run: DenseRun
    epochs: tuple[int, ...]

    kind = "dense"
    artifact_folder = "dense"
    gives_parts_early = True
    lost_tables = ("runs", "connections", "curvature")
    label = None

    def __str__(self) -> str:
        recipe = self.run.recipe
        if self.run.checkpoint is not None:
            return f"{self.run.model} of checkpoint {self.run.checkpoint}"
        how = f"{recipe.optimizer}, batch size {recipe.batch_size}, lr {recipe.lr:g}"
        return f"dense {self.run.model} of seed {self.run.seed}, {how}" + f", rho {recipe.rho:g}" * bool(recipe.rho)

    @property
    def key(self) -> str:
        """That of the training."""
        return self.run.key

    @property
    def parts(self) -> tuple[int, ...]:  # type: ignore[override]  # derived
        """The epochs."""
        return self.epochs

    def with_parts(self, parts: Collection[int]) -> Self:
        """The same training, kept after these epochs."""
        return type(self)(self.run, tuple(sorted(parts)))

    @property
    def needs(self) -> tuple[Stage, ...]:
        """Nothing."""
        return ()

    def passes_through(self, part: int) -> bool:
        """Whether training comes by this epoch."""
        return part < self.epochs[-1]

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """One row for each model."""
        return ("dense",)

    def part_columns(self, part: int) -> Row:
        """Training and epoch."""
        return {"dense": self.run.key, "epoch": part}

    def common_columns(self) -> Row:
        """What decides the training."""
        return self.run.columns() | {"configuration": json.dumps(asdict(self.run), sort_keys=True)}

    def file(self, row: Row) -> str:
        """A file for each model."""
        return dense_part(self.run, row["epoch"])

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Training and epoch."""
        return ["dense", "epoch"]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[int]]:
        """A row is an epoch."""
        return row["dense"], [row["epoch"]]

    @classmethod
    def parts_in_artifact(cls, file: str) -> tuple[str, Iterable[int]]:
        """A file is an epoch."""
        key, _, name = file.removesuffix(".pt").partition("/")
        return key, [dense_epoch(name)]

    def execute(self, machine: "Machine") -> Execution:
        """Train; every epoch asked for is a file that holds the model and, but for the last, from which it goes on."""
        import torch

        from trainables.stages.machine import task_of
        from trainables.storage import artifacts
        from trainables.storage.checkpoints import checkpoint_file
        from trainables.training.progress import Progress
        from trainables.training.resumable import ResumableTraining
        from trainables.training.training import Training

        run = self.run
        task = task_of(run, machine)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            stack = task.stack(run.model, 1, {} if run.recipe.precision == "float32" else None)
        if run.checkpoint is not None:
            stack.load([artifacts.needed(machine.folder, checkpoint_file(run.checkpoint), str(self))])
        training = Training(stack, run.recipe, task, [("dense", run.seed)])
        execution = machine.chooser.settle(training, run.model, run.data)
        name = f"training/dense-{run.key}.pt"
        attempt = ResumableTraining(training, machine.folder, name, machine.checkpoint_seconds)
        earlier = [epoch for epoch in _kept_epochs(machine.folder, run) if epoch < self.epochs[0]]
        if earlier:
            attempt.load_state_dict(dense_model(run, earlier[-1], machine.folder)["attempt"])
        rows = []
        for epoch in self.epochs:
            kept = artifacts.load(machine.folder, dense_file(run, epoch))
            if kept is None:
                yield from attempt.run(until=epoch, evaluate_from=run.recipe.epochs)
                state = attempt.state_dict()
                if epoch == run.recipe.epochs:
                    del state["training"]["optimizer"]
                kept = {"model": state["training"]["models"][0], "attempt": state, "execution": execution}
                evaluations = {split: task.evaluation(stack, split) for split in SPLITS}
                kept |= {split: evaluation.errors[0] for split, evaluation in evaluations.items()}
                kept["train_loss"] = evaluations["train"].losses[0]
                kept["scores"] = task.scores(stack)[0]
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
                    "train_loss": kept.get("train_loss"),
                    "validation_error": kept["validation"],
                    "test_error": kept["test"],
                    **known_scores(kept.get("scores", {}), diverged),
                    **self._pq_index(kept["model"], task),
                    "losses": [losses[0] for losses in attempt.losses],
                    "seconds": attempt.seconds,
                    "execution": kept.get("execution", ""),
                    **data_columns(run, machine),
                }
            )
            if epoch != self.epochs[-1]:  # points of this temperature need not wait for the colder ones
                yield Progress(training.epoch, run.recipe.epochs, training.samples, rows={"dense": rows[-1:]})
        attempt.finished()
        return {"dense": rows}

    def _pq_index(self, state: "State", task: "Task") -> Row:
        """Columns of the PQ Index of a dense model."""
        from trainables.pruning.prunable import prunable_weights
        from trainables.pruning.remains import remains, sizes

        columns = remains(state, {}, sizes(prunable_weights(task.model(self.run.model)))).columns()
        return {name: value for name, value in columns.items() if name.startswith("pq_index")}

    @property
    def work(self) -> float:
        """Epochs up to the last."""
        return self.epochs[-1]

    def seconds(self, costs: "StageCosts") -> float:
        """Training up to the last epoch, and the errors of each model."""
        sizes = costs.sizes(self.run)
        measured = len(self.epochs) * (sizes.measured + sizes.validation + sizes.test) * costs.evaluation(self.run, 1)
        return costs.training(self.run, self.run.recipe, self.epochs[-1], 1) + measured

    def kept_bytes(self, keep: Keep) -> int:
        """Models, with what the optimizer keeps of them where training may go on."""
        from trainables.stages.cost import model_bytes

        size = model_bytes(self.run.model, self.run.data)
        going_on = sum(epoch < self.run.recipe.epochs for epoch in self.epochs)
        return (
            len(self.epochs) * size.everything
            + going_on * OPTIMIZERS[self.run.recipe.optimizer].moments * size.parameters
        )

    @property
    def running_bytes(self) -> int:
        """Weights, and what the optimizer keeps of them."""
        from trainables.stages.cost import model_bytes

        size = model_bytes(self.run.model, self.run.data)
        return size.everything + OPTIMIZERS[self.run.recipe.optimizer].moments * size.parameters


def dense_name(epoch: int) -> str:
    """Name of what is kept of a dense model after so many epochs."""
    return f"epoch-{epoch:05d}"


def dense_epoch(name: str) -> int:
    """Undo :func:`dense_name`."""
    return int(name.removeprefix("epoch-"))


def dense_part(run: DenseRun, epoch: int) -> str:
    """Name of the file of the table ``dense`` that holds a model's row."""
    return f"{run.key}-{dense_name(epoch)}"


def dense_file(run: DenseRun, epoch: int) -> str:
    """Path of the file that holds a dense model after so many epochs."""
    return f"dense/{run.key}/{dense_name(epoch)}.pt"


def dense_model(run: DenseRun, epoch: int, folder: "Folder") -> Any:
    """What is kept of a dense model: its ``model``, a state dictionary, and the ``attempt`` that gave it.

    Raises:
        ArtifactError: If it is not there, or damaged.
    """
    from trainables.storage import artifacts

    return artifacts.needed(folder, dense_file(run, epoch), f"the dense model of seed {run.seed} after epoch {epoch}")


def diverged_epoch(kept: Mapping[str, Any]) -> int:
    """Epoch in which a dense model that is kept diverged; 0 if it did not."""
    return int(kept["attempt"]["training"]["diverged"][0])


def known_scores(scores: Mapping[str, Any], diverged: int) -> dict[str, Any]:
    """What a task says of a model (:meth:`trainables.tasks.task.Task.scores`), with NaN for numbers if it diverged.

    Args:
        scores: That are kept; none by older versions.
        diverged: Epoch of divergence or 0.
    """
    return {name: math.nan if diverged and isinstance(each, float) else each for name, each in scores.items()}


def _kept_epochs(folder: "Folder", run: DenseRun) -> list[int]:
    """Epochs, ascending, after which the dense model is kept."""
    return [dense_epoch(name) for name in folder.names(f"dense/{run.key}", ".pt")]
