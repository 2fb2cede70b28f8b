"""Pruning that is a stage of its own: a method's run, from which models of several densities come."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from trainables.functions import OwnFunction
from trainables.stages.dense import DenseStage, dense_model, diverged_epoch
from trainables.stages.dense_run import NOT_FINITE, DenseRun
from trainables.stages.pruning_run import PruningRun
from trainables.stages.siblings import Keep
from trainables.stages.stage import Execution, Row, Stage
from trainables.training.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from trainables.methods.method import Method
    from trainables.pruning.context import State
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine
    from trainables.storage.folder import Folder
    from trainables.tasks.task import Task

PRUNED, ROUNDS = "pruned", "rounds"
"""The tables: a row for each pruned model, and for each round that a method trained."""

UNKNOWN: dict[str, Any] = {"density": math.nan, "density_by_layer": {}, "pq_index": math.nan, "pq_index_by_layer": {}}
"""Columns of what is left of a model that there is not."""


@dataclass(frozen=True)
class PruningStage(Stage):
    """Run a method on a dense model, and keep what it prunes to each of these densities (descending)."""

    pruning: PruningRun
    densities: tuple[float, ...]

    kind = "pruning"
    artifact_folder = "pruning"
    gives_parts_early = True
    lost_tables = ("runs",)
    label = None

    def __str__(self) -> str:
        run = self.pruning
        return f"{run.pruner.partition('#')[0]} of {DenseStage(self.run, (run.epoch,))}, after {run.epoch} epochs"

    @property
    def run(self) -> DenseRun:  # type: ignore[override]  # derived
        """Training of the dense model."""
        return self.pruning.dense

    @property
    def key(self) -> str:
        """That of the run."""
        return self.pruning.key

    @property
    def parts(self) -> tuple[float, ...]:  # type: ignore[override]  # derived
        """The densities."""
        return self.densities

    def with_parts(self, parts: Collection[float]) -> Self:
        """The same run, with these densities."""
        return type(self)(self.pruning, tuple(sorted(parts, reverse=True)))

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The dense model, and those of other epochs that the method takes."""
        return (DenseStage(self.run, self.pruning.dense_epochs),)

    @property
    def functions(self) -> tuple[OwnFunction, ...]:
        """Those of the run."""
        return self.pruning.functions

    def passes_through(self, part: float) -> bool:
        """Whether it comes by this density."""
        return part > self.densities[-1]

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """One row for each pruned model, and one for each round."""
        return (PRUNED, ROUNDS)

    def part_columns(self, part: float) -> Row:
        """Run and density."""
        return {"pruning": self.pruning.key, "target_density": part}

    def common_columns(self) -> Row:
        """What decides the run."""
        run = self.pruning
        return run.dense.columns() | {
            "pruning": run.key,
            "epoch": run.epoch,
            "pruner": run.pruner,
            "configuration": json.dumps(asdict(run), sort_keys=True),
        }

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Run and density."""
        return ["pruning", "target_density"] if table == PRUNED else ["pruning"]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[float]]:
        """A row is a density; rounds are none."""
        return row["pruning"], [row["target_density"]] if table == PRUNED else []

    @classmethod
    def parts_in_artifact(cls, file: str) -> tuple[str, Iterable[float]]:
        """A file is a density."""
        key, _, name = file.removesuffix(".pt").partition("/")
        return key, [float(name.removeprefix("density-"))]

    def execute(self, machine: "Machine") -> Execution:
        """Run the method; every density is a file with the pruned model and that from which the method goes on."""
        from trainables.storage import artifacts
        from trainables.training.progress import Progress

        folder, rows = machine.folder, []
        method: Method | None = None
        rounds: dict[tuple[int, float], Row] = {}
        for density in self.densities:
            kept = artifacts.load(folder, pruned_file(self.pruning, density))
            if kept is None:
                if method is None:
                    method = self._method(machine)
                    self._take_up(method, density, folder)
                for progress in method.until(density) if not method.diverged else ():
                    new = self._new_rounds(method.rounds, rounds)
                    yield replace(progress, rows={ROUNDS: new} if new else {})
                kept = self._kept(method, density)
                artifacts.save(folder, pruned_file(self.pruning, density), kept)
            rows.append(self._row(density, kept))
            new_rounds = self._new_rounds(kept["state"]["rounds"], rounds)
            if density != self.densities[-1]:  # points of this density need not wait for the lower ones
                complete = {PRUNED: rows[-1:], ROUNDS: new_rounds}
                told = Progress(0, 1) if method is None else method.told
                yield replace(told, rows=complete)
        for name in folder.names("training", ".pt"):
            if name.startswith(f"pruning-{self.key}"):
                with suppress(OSError):  # it does no harm
                    folder.delete(f"training/{name}.pt")
        return {PRUNED: rows, ROUNDS: list(rounds.values())}

    def _new_rounds(self, done: Iterable[Row], known: dict[tuple[int, float], Row]) -> list[Row]:
        """Rows of rounds that are not known yet, and are from now on."""
        new = {(row["round"], row["density"]): row for row in done if (row["round"], row["density"]) not in known}
        common = {"pruning": self.key, "status": "ok", "message": ""}
        known |= {place: common | row for place, row in new.items()}
        return [known[place] for place in new]

    def check(self, task: "Task") -> None:
        """Try what can be known without training, on a model with random weights.

        Args:
            task: On random data that look like the real ones.

        Raises:
            ValueError: If the method cannot do what is asked of it; one sentence for the user.
        """
        import torch

        from trainables.stages.pruning_context import DenseModelContext

        run = self.pruning
        with torch.random.fork_rng(devices=[]):
            state = task.model(run.dense.model).state_dict()

        def state_at(epoch: int) -> "State":
            if epoch not in run.dense_epochs:
                said = f"asks for the dense model after {epoch} epochs, of which that after {run.epoch} is kept alone"
                raise ValueError(f"{run.pruner.partition('#')[0]} {said}")
            return state

        context = DenseModelContext(run.dense, run.epoch, run.end or self.densities[-1], task, state_at)
        kind: type[Method] = run.method.function  # type: ignore[assignment]  # methods are classes
        kind.check(run.pruner, context, self.densities)

    def _method(self, machine: "Machine") -> "Method":
        """The method at its beginning."""
        from trainables.methods.method import Work
        from trainables.stages.machine import task_of
        from trainables.stages.pruning_context import DenseModelContext

        run = self.pruning

        def state_at(epoch: int) -> "State":
            state: State = dense_model(run.dense, epoch, machine.folder)["model"]
            return state

        task = task_of(run.dense, machine)
        work = Work(
            run.pruner,
            run.settings,
            DenseModelContext(run.dense, run.epoch, run.end or self.densities[-1], task, state_at),
            task,
            run.dense.model,
            run.dense.data,
            run.dense.seed,
            run.recipe,
            run.epochs,
            machine.folder,
            f"training/pruning-{run.key}",
            machine.checkpoint_seconds,
            machine.chooser,
            run.trainings(self.densities[-1]),
        )
        method: Method = run.method.function(work)
        if diverged := diverged_epoch(dense_model(run.dense, run.epoch, machine.folder)):
            method.diverged = NOT_FINITE.format(diverged, "dense training")
        return method

    def _take_up(self, method: "Method", density: float, folder: "Folder") -> None:
        """Go on from the nearest higher density that is kept."""
        from trainables.storage import artifacts

        names = folder.names(f"pruning/{self.key}", ".pt")
        higher = [each for name in names for each in self.parts_in_artifact(f"{self.key}/{name}")[1] if each > density]
        kept = artifacts.load(folder, pruned_file(self.pruning, min(higher))) if higher else None
        if kept is not None and not method.diverged:
            method.load_state_dict(kept["state"])

    def _kept(self, method: "Method", density: float) -> dict[str, Any]:
        """What is kept of a pruned model."""
        from trainables.pruning.change import change
        from trainables.pruning.packing import pack_masks, pack_weights
        from trainables.pruning.remains import remains, sizes

        if method.diverged:
            return {"diverged": method.diverged, "state": method.state_dict()}
        pruned, before = method.pruned(density), sizes(method.work.context.weights)
        return {
            "diverged": "",
            "masks": pack_masks(pruned.masks),
            "model": pack_weights(pruned.state, pruned.masks),
            "before": before,
            "columns": remains(pruned.state, pruned.masks, before).columns()
            | change(method.work.context, method.before(), method.after(pruned)),
            "state": method.state_dict(),
        }

    def _row(self, density: float, kept: Mapping[str, Any]) -> Row:
        """Row of a pruned model."""
        from trainables.pruning.change import UNKNOWN_CHANGE

        known = UNKNOWN | UNKNOWN_CHANGE if kept["diverged"] else kept["columns"]
        status = {"status": "diverged" if kept["diverged"] else "ok", "message": kept["diverged"]}
        return self.part_columns(density) | status | {"seconds": kept["state"]["seconds"]} | known

    @property
    def work(self) -> float:
        """Epochs of its trainings."""
        return self.pruning.epochs * self.pruning.trainings(self.densities[-1])

    def seconds(self, costs: "StageCosts") -> float:
        """Trainings, as if all were of the density in the middle, and the errors after each."""
        pruning, sizes = self.pruning, costs.sizes(self.run)
        if pruning.recipe is None:
            return 0.0
        middle = math.sqrt(self.densities[-1])
        training = costs.training(self.run, pruning.recipe, pruning.epochs, 1, middle)
        errors = (sizes.train + sizes.validation + sizes.test) * costs.evaluation(self.run, 1, middle)
        return pruning.trainings(self.densities[-1]) * (training + errors)

    def kept_bytes(self, keep: Keep) -> int:
        """A pruned model, and what the method goes on from, for each density."""
        return len(self.densities) * 2 * self.running_bytes

    @property
    def running_bytes(self) -> int:
        """Weights, and what the optimizer keeps of them."""
        from trainables.stages.cost import model_bytes

        size, recipe = model_bytes(self.run.model, self.run.data), self.pruning.recipe
        moments = 0 if recipe is None else OPTIMIZERS[recipe.optimizer].moments
        return size.everything + moments * size.parameters


def pruned_file(run: PruningRun, density: float) -> str:
    """Path of the file that holds what a method pruned to a density."""
    return f"pruning/{run.key}/density-{density!r}.pt"


def pruned_model(run: PruningRun, density: float, folder: "Folder") -> Any:
    """What is kept of a pruned model.

    ``diverged`` is a sentence, or empty; if empty there are its packed masks and model, how many weights each prunable
    parameter had ``before``, and its columns of tables.

    Raises:
        ArtifactError: If it is not there, or damaged.
    """
    from trainables.storage import artifacts

    what = f"the model of seed {run.dense.seed} that {run.pruner} pruned to {density:g}"
    return artifacts.needed(folder, pruned_file(run, density), what)
