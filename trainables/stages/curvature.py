"""Measuring how well dense models fit their data, and how curved the loss is there."""

import json
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from trainables.measuring.settings import CurvatureSettings
from trainables.stages.dense import DenseStage, dense_model, diverged_epoch
from trainables.stages.dense_run import NOT_FINITE, DenseRun
from trainables.stages.keys import configuration_key
from trainables.stages.stage import Execution, Row, Stage

if TYPE_CHECKING:
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine

TABLE = "curvature"
"""The table: a row for each dense model and settings."""

PASSES = 2.8
"""A product with the Hessian, in passes of training over the same samples: measured on two kinds of models."""

LANCZOS = 14
"""Products that the largest eigenvalue takes, about."""

_NOTHING: Row = dict.fromkeys(
    ("train_loss", "train_error", "hessian_eigenvalue", "hessian_trace", "hessian_trace_se"), math.nan
)


@dataclass(frozen=True)
class CurvatureStage(Stage):
    """Measure a dense model as it was after each of these epochs (ascending)."""

    run: DenseRun
    epochs: tuple[int, ...]
    settings: CurvatureSettings

    kind = "curvature"
    lost_tables = ("curvature",)
    label = None

    def __str__(self) -> str:
        return f"curvature at {DenseStage(self.run, self.epochs)}"

    @property
    def key(self) -> str:
        """Name of the training and of the settings."""
        return f"{self.run.key}-{configuration_key(self.settings)}"

    @property
    def parts(self) -> tuple[int, ...]:  # type: ignore[override]  # derived
        """The epochs."""
        return self.epochs

    def with_parts(self, parts: Collection[int]) -> Self:
        """The same training after these epochs."""
        return replace(self, epochs=tuple(sorted(parts)))

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The dense models."""
        return (DenseStage(self.run, self.epochs),)

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """One row for each model."""
        return (TABLE,)

    def part_columns(self, part: int) -> Row:
        """Training, epoch and settings."""
        return {"dense": self.run.key, "epoch": part, "measurement": configuration_key(self.settings)}

    def common_columns(self) -> Row:
        """What decides the training, and the settings."""
        configuration = asdict(self.run) | {"measurement": asdict(self.settings)}
        return self.run.columns() | {
            "hessian_images": self.settings.images,
            "hessian_products": self.settings.products,
            "configuration": json.dumps(configuration, sort_keys=True),
        }

    def failed_rows(self, message: str) -> dict[str, list[Row]]:
        """Rows that say of every model why there is no result."""
        return {TABLE: [_NOTHING | row for row in super().failed_rows(message)[TABLE]]}

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Training, epoch and settings."""
        return ["dense", "epoch", "measurement"]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[int]]:
        """A row is an epoch."""
        return f"{row['dense']}-{row['measurement']}", [row["epoch"]]

    def execute(self, machine: "Machine") -> Execution:
        """Measure model by model; one whose layers have no second derivative has its loss alone, and says why."""
        from trainables.training.progress import Progress

        rows: list[Row] = []
        for done, epoch in enumerate(self.epochs, start=1):
            started = time.perf_counter()
            kept = dense_model(self.run, epoch, machine.folder)
            row = self.part_columns(epoch) | {"status": "ok", "message": ""} | _NOTHING
            if diverged := diverged_epoch(kept):
                row |= {"status": "diverged", "message": NOT_FINITE.format(diverged, "dense training")}
            else:
                row |= self._measured(kept["model"], machine)
            rows.append(row | {"seconds": time.perf_counter() - started})
            yield Progress(done, len(self.epochs), rows={TABLE: rows[-1:]})
        return {TABLE: rows}

    def _measured(self, state: Mapping[str, Any], machine: "Machine") -> Row:
        """Values of a model."""
        from trainables.measuring.curvature import curvature
        from trainables.stages.machine import task_of

        task = task_of(self.run, machine)
        stack = task.stack(self.run.model, 1)
        stack.load([state])
        fit = task.evaluation(stack, "train")
        row: Row = {"train_loss": fit.losses[0], "train_error": fit.errors[0]}
        try:
            found = curvature(self.run.model, state, task, self.settings)
        except (NotImplementedError, RuntimeError) as error:
            said = any(word in str(error) for word in ("derivative", "differentiate"))
            if not said and not isinstance(error, NotImplementedError):
                raise
            return row | {"message": f"no second derivative: {str(error).splitlines()[0]}"}
        names = ("hessian_eigenvalue", "hessian_trace", "hessian_trace_se")
        return row | dict(zip(names, found, strict=True))

    @property
    def work(self) -> float:
        """Products, of few images; and the training images once."""
        return len(self.epochs) * (1 / 3 + PASSES * (self.settings.products + LANCZOS) * self.settings.images / 5000)

    def seconds(self, costs: "StageCosts") -> float:
        """Products as if they were steps with the same images, and the errors of each model."""
        sizes = costs.sizes(self.run)
        steps = math.ceil(PASSES * (self.settings.products + LANCZOS))
        recipe = replace(self.run.recipe, batch_size=min(self.settings.images, sizes.train), iterations=steps, rho=0.0)
        evaluated = sizes.measured * costs.evaluation(self.run, 1)
        return len(self.epochs) * (costs.training(self.run, recipe, 1, 1) + evaluated)
