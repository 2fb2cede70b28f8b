"""Measuring the siblings of a point, each by itself and in pairs."""

import json
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trainables.measuring.metric import MESSAGE, MetricError, Models, Of
from trainables.measuring.registry import METRICS, TABLES, metrics_of
from trainables.measuring.settings import MeasurementSettings
from trainables.stages.dense_run import DenseRun
from trainables.stages.keys import configuration_key
from trainables.stages.point import PointStage, diverged_before
from trainables.stages.siblings import discard_siblings, diverged_message, keep_only_best, kept_siblings
from trainables.stages.stage import Execution, Label, Row, Rows, Stage
from trainables.storage.artifacts import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine
    from trainables.storage.folder import Folder

MeasuredPart = tuple[Any, ...]
"""Name of a metric, and the retrain seed of the sibling or of the two that it is measured of."""

SEED_COLUMNS: dict[Of, tuple[str, ...]] = {"sibling": ("retrain_seed",), "pair": ("first_seed", "second_seed")}
"""Columns that say of which siblings of a point a row of measured values is."""

MOST_AT_ONCE = 16
"""Models in the stack of which the time is measured, to estimate that of metrics."""

PASS_WORK = 1 / 3
"""A forward pass over the training images, in epochs of training."""


class Trained(NamedTuple):
    """A sibling to be measured: its state dictionary, and why there are no results of it, if that is so."""

    state: Mapping[str, "Tensor"]
    diverged: str


@dataclass(frozen=True)
class MeasurementStage(Stage):
    """Measure siblings of a point.

    Attributes:
        siblings: What retrains them.
        settings: How they are measured.
        parts: Metrics, each with the seeds of the sibling or the siblings that it is to be measured of.
    """

    siblings: PointStage
    settings: MeasurementSettings
    parts: tuple[MeasuredPart, ...]

    kind = "measurement"

    @property
    def lost_tables(self) -> tuple[str, ...]:  # type: ignore[override]  # its own
        """That some of its metrics failed is noted beside the results of the others."""
        return self.tables()

    def __str__(self) -> str:
        return f"measuring siblings of {self.siblings}"

    @property
    def key(self) -> str:
        """Name of the point, and of the settings."""
        return f"{self.siblings.key}-{settings_key(self.settings)}"

    @property
    def run(self) -> DenseRun:  # type: ignore[override]  # derived
        """That of the dense model that they come from."""
        return self.siblings.run

    @property
    def label(self) -> Label | None:  # type: ignore[override]  # derived
        """That of the point."""
        return self.siblings.label

    @property
    def completes_point(self) -> bool:
        """Yes: nothing comes after it."""
        return True

    @property
    def seeds(self) -> tuple[int, ...]:
        """Retrain seeds of the siblings that are measured, ascending."""
        return tuple(sorted({seed for _, *seeds in self.parts for seed in seeds}))

    def with_parts(self, parts: Collection[MeasuredPart]) -> Self:
        """These metrics of these siblings, in the order of the registry."""
        order = list(METRICS)
        ordered = sorted(parts, key=lambda part: (order.index(part[0]), part[1:]))
        return replace(self, parts=tuple(ordered))

    @property
    def needs(self) -> tuple[Stage, ...]:
        """What retrains them."""
        return (self.siblings.with_parts(self.seeds),)

    @property
    def read_with(self) -> tuple[Stage, ...]:
        """The siblings' own results."""
        return self.needs

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """Those that some metric is in."""
        return tuple(table for table in TABLES.values() if metrics_of(table))

    def table_of(self, part: MeasuredPart) -> str:
        """That of its metric."""
        return TABLES[METRICS[part[0]].of]

    def part_columns(self, part: MeasuredPart) -> Row:
        """Point, siblings and settings."""
        _, *seeds = part
        columns = dict(zip(seed_columns(self.table_of(part)), seeds, strict=True))
        return {"point": self.siblings.key, **columns, "measurement": settings_key(self.settings)}

    def common_columns(self) -> Row:
        """What decides the siblings, and the settings."""
        columns = self.siblings.common_columns()
        configuration = json.loads(columns["configuration"]) | {"measurement": asdict(self.settings)}
        return columns | asdict(self.settings) | {"configuration": json.dumps(configuration, sort_keys=True)}

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Point, siblings, settings, and the first column of every metric."""
        values = [metric.columns[0].name for metric in metrics_of(table)]
        return ["point", *seed_columns(table), "measurement", *values]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[MeasuredPart]]:
        """All metrics that have a value, which may be NaN."""
        seeds = [row[column] for column in seed_columns(table)]
        metrics = [metric for metric in metrics_of(table) if row[metric.columns[0].name] is not None]
        return f"{row['point']}-{row['measurement']}", [(metric.name, *seeds) for metric in metrics]

    def execute(self, machine: "Machine") -> Execution:
        """Measure metric by metric. If one fails, the values of the others are kept."""
        from trainables.training.progress import Progress

        trained = self._trained(machine.folder)
        rows: dict[tuple[str, tuple[Any, ...]], Row] = {}
        for part in self.parts:
            failed = next((trained[seed].diverged for seed in part[1:] if trained[seed].diverged), "")
            row: Row = {"status": "diverged" if failed else "ok", "message": failed, "seconds": 0.0}
            row = rows.setdefault((self.table_of(part), part[1:]), self.part_columns(part) | row)
            if failed:
                row |= _no_values(part)
        usable = [seed for seed, model in trained.items() if not model.diverged]
        problems: list[MetricError] = []
        for done, (part, values, seconds) in enumerate(self._measured(trained, usable, machine, problems), start=1):
            row = rows[self.table_of(part), part[1:]]
            if MESSAGE in values:
                row["status"] = "diverged"
            row |= values | {"seconds": row["seconds"] + seconds}
            yield Progress(done, len(self.parts))
        found: Rows = {}
        for (table, _), row in rows.items():
            if any(metric.columns[0].name in row for metric in metrics_of(table)):
                found.setdefault(table, []).append(row)
        if problems:
            yield Progress(len(self.parts), len(self.parts), rows=found)
            raise problems[0]
        return found

    def _trained(self, folder: "Folder") -> dict[int, Trained]:
        """Read the siblings, by seed; all of them count as diverged if the dense model did."""
        kept = kept_siblings(folder, self.siblings.key)
        if not kept and (diverged := diverged_before(self.siblings.point, folder)):
            return dict.fromkeys(self.seeds, Trained({}, diverged))
        if missing := [seed for seed in self.seeds if seed not in kept]:
            raise ArtifactError(f"sibling {missing[0]} of {self.siblings} is not there")
        return {seed: Trained(kept[seed]["model"], diverged_message(kept[seed])) for seed in self.seeds}

    def _measured(
        self,
        trained: Mapping[int, Trained],
        usable: Sequence[int],
        machine: "Machine",
        problems: list[MetricError],
    ) -> Iterator[tuple[MeasuredPart, dict[str, Any], float]]:
        """Parts of which all models are usable, with the values and the seconds that it took; and what went wrong."""
        import torch

        from trainables.stacks.memory import is_out_of_memory
        from trainables.stages.machine import task_of

        models = Models(self.run.model, [trained[seed].state for seed in usable], task_of(self.run, machine))
        index = {seed: place for place, seed in enumerate(usable)}
        for metric in METRICS.values():
            parts = [part for part in self.parts if part[0] == metric.name and index.keys() >= set(part[1:])]
            if not parts:
                continue
            started = time.perf_counter()
            places = [tuple(index[seed] for seed in part[1:]) for part in parts]
            try:
                for part, values in zip(parts, metric.measure(models, places, self.settings), strict=True):
                    yield part, values, time.perf_counter() - started
                    started = time.perf_counter()
            except Exception as error:
                if isinstance(error, (OSError, torch.AcceleratorError)) or is_out_of_memory(error):
                    raise  # not the metric's fault
                problems.append(MetricError(f"metric {metric.name}: {type(error).__name__}: {error}"))

    def discard(self, machine: "Machine") -> None:
        """Remove the siblings that nobody wants to keep."""
        if machine.keep == "best":
            keep_only_best(machine.folder, self.siblings.key)
        elif machine.keep == "nothing":
            discard_siblings(machine.folder, self.siblings.key)

    @property
    def work(self) -> float:
        """That of its passes over the training images, taken as the same for all metrics."""
        return PASS_WORK * len({part[1:] for part in self.parts}) * 2 * self.settings.path_points

    def seconds(self, costs: "StageCosts") -> float:
        """That of the samples that its metrics look at."""
        train, models = costs.sizes(self.run).measured, len(self.seeds)
        samples = sum(
            metric.samples(train, models, sum(part[0] == metric.name for part in self.parts), self.settings)
            for metric in METRICS.values()
        )
        at_once = min(self.settings.path_points, MOST_AT_ONCE)
        return samples / at_once * costs.evaluation(self.run, at_once, self.siblings.point.density)


@cache
def settings_key(settings: MeasurementSettings) -> str:
    """Name of the settings of a measurement."""
    return configuration_key(settings)


def measurements(points: Iterable[PointStage], settings: MeasurementSettings) -> list[MeasurementStage]:
    """All that is to be measured of the siblings of these points."""
    found = [MeasurementStage(stage, settings, _all_parts(stage.seeds)) for stage in points]
    return [stage for stage in found if stage.parts]


def _all_parts(seeds: Sequence[int]) -> tuple[MeasuredPart, ...]:
    """All metrics of all siblings, and of all of their pairs."""
    return tuple(
        (metric.name, *those)
        for metric in METRICS.values()
        for those in combinations(seeds, len(SEED_COLUMNS[metric.of]))
    )


def seed_columns(table: str) -> tuple[str, ...]:
    """:data:`SEED_COLUMNS` of a table."""
    return next(columns for of, columns in SEED_COLUMNS.items() if TABLES[of] == table)


def _no_values(part: MeasuredPart) -> Row:
    """Columns of a metric of models that diverged."""
    return {column.name: [] if column.is_list else math.nan for column in METRICS[part[0]].columns}
