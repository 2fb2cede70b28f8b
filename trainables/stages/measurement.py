"""Measuring groups of trained models."""

import json
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, Self

from trainables.measuring.metric import MESSAGE, MetricError, Models
from trainables.measuring.registry import METRICS, TABLES, metrics_of
from trainables.measuring.settings import MeasurementSettings
from trainables.stages.dense_run import DenseRun
from trainables.stages.groups import DenseModels, Group, Siblings, Trained
from trainables.stages.keys import configuration_key
from trainables.stages.point import PointStage
from trainables.stages.stage import Execution, Label, Row, Rows, Stage

if TYPE_CHECKING:
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine

MeasuredPart = tuple[Any, ...]
"""Name of a metric, and of the model or the two models that it is measured of."""

MOST_AT_ONCE = 16
"""Models in the stack of which the time is measured, to estimate that of metrics."""

PASS_WORK = 1 / 3
"""A forward pass over the training images, in epochs of training."""


@dataclass(frozen=True)
class MeasurementStage(Stage):
    """Measure models of a group.

    Attributes:
        group: The models.
        settings: How they are measured.
        parts: Metrics, each with the names of the model or the models that it is to be measured of.
    """

    group: Group
    settings: MeasurementSettings
    parts: tuple[MeasuredPart, ...]

    kind = "measurement"

    @property
    def lost_tables(self) -> tuple[str, ...]:  # type: ignore[override]  # its own
        """That some of its metrics failed is noted beside the results of the others."""
        return self.tables()

    def __str__(self) -> str:
        return f"measuring {self.group}"

    @property
    def key(self) -> str:
        """Name of the models, but for their seeds, and of the settings."""
        return f"{self.group.key}-{settings_key(self.settings)}"

    @property
    def run(self) -> DenseRun:  # type: ignore[override]  # derived
        """That of the models, or of one of them."""
        return self.group.run

    @property
    def label(self) -> Label | None:  # type: ignore[override]  # derived
        """That of the group."""
        return self.group.label

    @property
    def completes_point(self) -> bool:
        """Whether it is of siblings: nothing comes after it."""
        return isinstance(self.group, Siblings)

    @property
    def names(self) -> tuple[int, ...]:
        """Names of the models that are measured, ascending."""
        return tuple(sorted({name for _, *names in self.parts for name in names}))

    def with_parts(self, parts: Collection[MeasuredPart]) -> Self:
        """These metrics of these models, in the order of the registry."""
        order = list(METRICS)
        ordered = sorted(parts, key=lambda part: (order.index(part[0]), part[1:]))
        return replace(self, parts=tuple(ordered))

    @property
    def needs(self) -> tuple[Stage, ...]:
        """What trained the models."""
        return self.group.needed(self.names)

    @property
    def read_with(self) -> tuple[Stage, ...]:
        """The siblings' own results."""
        return self.needs if isinstance(self.group, Siblings) else ()

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """Those that some metric is in."""
        return tuple(table for table in TABLES.values() if metrics_of(table))

    def table_of(self, part: MeasuredPart) -> str:
        """That of its metric."""
        return TABLES[METRICS[part[0]].of]

    def part_columns(self, part: MeasuredPart) -> Row:
        """Group, models and settings."""
        table, (_, *names) = self.table_of(part), part
        group, *columns, settings = identity_columns(table)
        return {
            group: self.group.key,
            **dict(zip(columns, names, strict=True)),
            settings: settings_key(self.settings),
        }

    def common_columns(self) -> Row:
        """What decides the models, and the settings."""
        columns = self.group.columns()
        configuration = json.loads(columns["configuration"]) | {"measurement": asdict(self.settings)}
        return columns | asdict(self.settings) | {"configuration": json.dumps(configuration, sort_keys=True)}

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Group, models, settings, and the first column of every metric."""
        return [*identity_columns(table), *(metric.columns[0].name for metric in metrics_of(table))]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[MeasuredPart]]:
        """All metrics that have a value, which may be NaN."""
        group, *columns, settings = identity_columns(table)
        names = [row[column] for column in columns]
        metrics = [metric for metric in metrics_of(table) if row[metric.columns[0].name] is not None]
        return f"{row[group]}-{row[settings]}", [(metric.name, *names) for metric in metrics]

    def execute(self, machine: "Machine") -> Execution:
        """Measure metric by metric. If one fails, the values of the others are kept."""
        from trainables.training.progress import Progress

        trained = self.group.load(machine.folder, self.names)
        rows: dict[tuple[str, tuple[Any, ...]], Row] = {}
        for part in self.parts:
            failed = next((trained[name].diverged for name in part[1:] if trained[name].diverged), "")
            row: Row = {"status": "diverged" if failed else "ok", "message": failed, "seconds": 0.0}
            row = rows.setdefault((self.table_of(part), part[1:]), self.part_columns(part) | row)
            if failed:
                row |= _no_values(part)
        usable = [name for name, model in trained.items() if not model.diverged]
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

    def _measured(
        self,
        trained: Mapping[Any, Trained],
        usable: Sequence[Any],
        machine: "Machine",
        problems: list[MetricError],
    ) -> Iterator[tuple[MeasuredPart, dict[str, Any], float]]:
        """Parts of which all models are usable, with the values and the seconds that it took; and what went wrong."""
        import torch

        from trainables.stacks.memory import is_out_of_memory
        from trainables.stages.machine import task_of

        models = Models(self.run.model, [trained[name].state for name in usable], task_of(self.run, machine))
        index = {name: place for place, name in enumerate(usable)}
        for metric in METRICS.values():
            parts = [part for part in self.parts if part[0] == metric.name and index.keys() >= set(part[1:])]
            if not parts:
                continue
            started = time.perf_counter()
            places = [tuple(index[name] for name in part[1:]) for part in parts]
            try:
                for part, values in zip(parts, metric.measure(models, places, self.settings), strict=True):
                    yield part, values, time.perf_counter() - started
                    started = time.perf_counter()
            except Exception as error:
                if isinstance(error, (OSError, torch.AcceleratorError)) or is_out_of_memory(error):
                    raise  # not the metric's fault
                problems.append(MetricError(f"metric {metric.name}: {type(error).__name__}: {error}"))

    def discard(self, machine: "Machine") -> None:
        """Remove the models that nobody wants to keep."""
        self.group.release(machine.folder, machine.keep)

    @property
    def work(self) -> float:
        """That of its passes over the training images, taken as the same for all metrics."""
        return PASS_WORK * len({part[1:] for part in self.parts}) * 2 * self.settings.path_points

    def seconds(self, costs: "StageCosts") -> float:
        """That of the samples that its metrics look at."""
        train, models = costs.sizes(self.run).measured, len(self.names)
        samples = sum(
            metric.samples(train, models, sum(part[0] == metric.name for part in self.parts), self.settings)
            for metric in METRICS.values()
        )
        at_once = min(self.settings.path_points, MOST_AT_ONCE)
        return samples / at_once * costs.evaluation(self.run, at_once, self.group.density)


@cache
def settings_key(settings: MeasurementSettings) -> str:
    """Name of the settings of a measurement."""
    return configuration_key(settings)


def measurements(points: Iterable[PointStage], settings: MeasurementSettings) -> list[MeasurementStage]:
    """All that is to be measured of these points: their siblings, and the dense models that they come from."""
    points = list(points)
    seeds: dict[DenseModels, set[int]] = {}
    for stage in points:
        group = DenseModels(replace(stage.run, seed=0), stage.point.epoch, ())
        seeds.setdefault(group, set()).add(stage.run.seed)
    dense = [replace(group, names=tuple(sorted(names))) for group, names in seeds.items()]
    groups: list[Group] = [*dense, *map(Siblings, points)]
    found = [MeasurementStage(group, settings, _all_parts(group)) for group in groups]
    return [stage for stage in found if stage.parts]


def _all_parts(group: Group) -> tuple[MeasuredPart, ...]:
    """All metrics of all models of a group, and of all of their pairs."""
    return tuple(
        (metric.name, *names)
        for metric in METRICS.values()
        if metric.of in group.of
        for names in combinations(group.names, 1 + group.of.index(metric.of))
    )


def identity_columns(table: str) -> tuple[str, ...]:
    """Columns that tell rows apart: of the group, the models' names, and of the settings."""
    group = "point" if table in (TABLES["sibling"], TABLES["pair"]) else "dense_models"
    one = "retrain_seed" if group == "point" else "dense_seed"
    names = (one,) if table in (TABLES["sibling"], TABLES["dense"]) else ("first_seed", "second_seed")
    return (group, *names, "measurement")


def _no_values(part: MeasuredPart) -> Row:
    """Columns of a metric of models that diverged."""
    return {column.name: [] if column.is_list else math.nan for column in METRICS[part[0]].columns}
