"""Pruning that is a stage of its own: a method's run, from which models of several densities come."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from trainables.stages.method_stage import MethodStage
from trainables.stages.pruning_run import PruningRun, pruned_density, pruned_file
from trainables.stages.rounds import ROUNDS, round_row
from trainables.stages.siblings import Keep
from trainables.stages.stage import Execution, Row

if TYPE_CHECKING:
    from trainables.methods.method import Method
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine
    from trainables.storage.folder import Folder

PRUNED = "pruned"
"""The table: a row for each pruned model."""

UNKNOWN: dict[str, Any] = {"density": math.nan, "density_by_layer": {}, "pq_index": math.nan, "pq_index_by_layer": {}}
"""Columns of what is left of a model that there is not."""


@dataclass(frozen=True)
class PruningStage(MethodStage):
    """Run a method on a dense model, and keep what it prunes to each of these densities (descending)."""

    densities: tuple[float, ...]

    kind = "pruning"
    artifact_folder = "pruning"
    gives_parts_early = True
    lost_tables = ("runs",)
    label = None

    @property
    def parts(self) -> tuple[float, ...]:  # type: ignore[override]  # derived
        """The densities."""
        return self.densities

    def with_parts(self, parts: Collection[float]) -> Self:
        """The same run, with these densities."""
        return type(self)(self.pruning, tuple(sorted(parts, reverse=True)))

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
        return key, [pruned_density(name)]

    def execute(self, machine: "Machine") -> Execution:
        """Run the method; every density is a file with the pruned model and that from which the method goes on."""
        from trainables.stages.at_work import begun, take_up_density
        from trainables.storage import artifacts
        from trainables.training.progress import Progress

        folder, rows = machine.folder, []
        method: Method | None = None
        rounds: dict[tuple[int, float], Row] = {}
        for density in self.densities:
            kept = artifacts.load(folder, pruned_file(self.pruning, density))
            if kept is None:
                if method is None:
                    method = begun(self.pruning, machine, self.end, self.trainings, counts_rounds=False)
                    take_up_density(method, self.pruning, density)
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
        known |= {place: round_row(self.key, row) for place, row in new.items()}
        return [known[place] for place in new]

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
    def trainings(self) -> int:
        """How many it takes about to come to the lowest density."""
        return self.pruning.trainings(self.densities[-1])

    @property
    def tried_densities(self) -> tuple[float, ...]:
        """All of them."""
        return self.densities

    def seconds(self, costs: "StageCosts") -> float:
        """Trainings, as if all were of the density in the middle, and the errors after each."""
        return self.training_seconds(costs, math.sqrt(self.densities[-1]))

    def kept_bytes(self, keep: Keep) -> int:
        """A pruned model, and what the method goes on from, for each density."""
        return len(self.densities) * 2 * self.running_bytes


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
