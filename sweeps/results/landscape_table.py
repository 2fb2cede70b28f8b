"""The table of the landscape of dense models: a row for each temperature and load, with its phase."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from metrics.five_phases import PhaseThresholds, told_phases
from metrics.intervals import Interval, mean_interval, positive_interval, students_interval
from sweeps.results.landscape_schema import LANDSCAPE, POSITIVE
from sweeps.results.pair_noise import standard_error
from sweeps.results.stage_rows import lost_file
from sweeps.results.store import Store
from sweeps.results.table_files import with_schema
from sweeps.spec.landscape import Landscape
from trainables.stages import ConnectionStage, CurvatureStage, DenseStage
from trainables.stages.dense import dense_part

_OF_CURVATURE = ("train_loss", "train_error", "hessian_eigenvalue", "hessian_trace")
_OF_MODELS = ("test_error", "validation_error")
_OF_PAIRS = ("mc", "line_mc", "cka")

_SHARE, _ERRORS = (0.0, 1.0), (-1.0, 1.0)
RANGES = {
    **dict.fromkeys(("train_error", "validation_error", "test_error", "cka"), _SHARE),
    **dict.fromkeys(("mc", "line_mc"), _ERRORS),
}
"""Of values that have ends, beyond which Student's intervals of few seeds would reach."""

Row = dict[str, Any]


def landscape_tables(study: Landscape, store: Store) -> dict[str, pd.DataFrame]:
    """What is stored of a study: one table, ``landscape``, in the columns of :data:`LANDSCAPE`.

    Raises:
        UsageError: If a table is damaged.
    """
    connections, curvatures = study.connections(), {stage.run.key: stage for stage in study.curvatures()}
    models = _read(store, "dense", ["dense", "epoch"], _dense_files(connections))
    fits = _read(store, "curvature", ["dense", "epoch", "measurement"], _files(curvatures.values()))
    pairs = _read(store, "connections", ["curve", "first_seed", "second_seed", "measurement"], _files(connections))
    rows = []
    for stage in connections:
        cell = _Cell(stage, curvatures, models, fits, pairs)
        rows.append(cell.row(study.phase_thresholds))
    return {"landscape": with_schema(rows, LANDSCAPE)}


class _Cell:
    """What is stored of the dense models of one temperature and load.

    Args:
        stage: That connects them.
        curvatures: Stages that measure dense models, by the keys of their trainings.
        models: Rows of dense models by training and epoch.
        fits: Rows of their curvature, by these and the settings.
        pairs: Rows of pairs, by curve, seeds and settings.
    """

    def __init__(
        self,
        stage: ConnectionStage,
        curvatures: Mapping[str, CurvatureStage],
        models: Mapping[tuple[Any, ...], Row],
        fits: Mapping[tuple[Any, ...], Row],
        pairs: Mapping[tuple[Any, ...], Row],
    ) -> None:
        self._stage = stage
        parts = [(curvatures[run.key], stage.epoch) for run in stage.runs]
        self._models = [models.get((run.key, stage.epoch)) for run in stage.runs]
        self._fits = [fits.get(_place(own.part_columns(epoch))) for own, epoch in parts]
        self._pairs = [pairs.get(_place(stage.part_columns(pair))) for pair in stage.pairs]

    def row(self, thresholds: PhaseThresholds) -> Row:
        """Its row."""
        label = self._stage.label
        assert label is not None  # of every stage of a study
        intervals = {name: _interval(name)(_values(self._fits, name)) for name in _OF_CURVATURE}
        intervals |= {name: mean_interval(_values(self._models, name)) for name in _OF_MODELS}
        intervals |= {name: self._of_pairs(name) for name in _OF_PAIRS}
        phase, others = told_phases(intervals["train_loss"], intervals["mc"], intervals["cka"], thresholds)
        row: Row = {
            **label.columns(),
            "status": self._status(),
            "phase": phase,
            "other_phases": " ".join(others),
            "n_models": _count(self._fits, "ok"),
            "n_diverged": _count(self._fits, "diverged"),
            "n_pairs": _count(self._pairs, "ok"),
            "loss_threshold": thresholds.loss,
            "mc_threshold": thresholds.mc,
            "cka_threshold": thresholds.cka,
        }
        for name, interval in intervals.items():
            interval = _within(interval, *RANGES.get(name, (-math.inf, math.inf)))
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
        return row

    def _of_pairs(self, name: str) -> Interval:
        """Mean over the pairs, and its interval by leaving out one dense model at a time."""
        there = [row for row in self._pairs if row and row["status"] == "ok" and not math.isnan(row[name])]
        known = [row | {"cell": 0, "dense_seed": 0} for row in there]  # similarity may be undefined
        mean = mean_interval([row[name] for row in known]).mean
        models = len({row[seed] for row in known for seed in ("first_seed", "second_seed")})
        if models < 3:
            return Interval(mean, math.nan, math.nan)
        error = float(standard_error(pd.DataFrame(known), name).iloc[0])
        return students_interval(mean, error, models - 1)

    def _status(self) -> str:
        """As of the phase table."""
        wanted = [*self._fits, *self._pairs]
        there = {row["status"] for row in wanted if row}
        for status in ("failed", "diverged"):
            if status in there:
                return status
        if not there:
            return "missing"
        return "incomplete" if None in wanted else "ok"


def _read(store: Store, table: str, names: Sequence[str], files: set[str]) -> dict[tuple[Any, ...], Row]:
    """Rows of these files by what tells them apart."""
    return {tuple(row[name] for name in names): row for row in store.table(table, parts=files).to_pylist()}


def _place(columns: Row) -> tuple[Any, ...]:
    return tuple(columns.values())


def _files(stages: Any) -> set[str]:
    """Files in which the results of stages are, and where it is noted that they cannot be."""
    needs = {need.key for stage in stages for need in stage.needs}
    return {stage.key for stage in stages} | {lost_file(key) for key in needs}


def _dense_files(stages: Sequence[ConnectionStage]) -> set[str]:
    needs = [need for stage in stages for need in stage.needs if isinstance(need, DenseStage)]
    return {dense_part(need.run, epoch) for need in needs for epoch in need.epochs}


def _values(rows: Sequence[Row | None], name: str) -> list[float]:
    return [row[name] for row in rows if row and row["status"] == "ok" and row[name] is not None]


def _interval(name: str) -> Callable[[Sequence[float]], Interval]:
    return positive_interval if name in POSITIVE else mean_interval


def _within(interval: Interval, least: float, most: float) -> Interval:
    """An interval without what no value can be."""
    if math.isnan(interval.low):
        return interval
    return Interval(interval.mean, max(interval.low, least), min(interval.high, most))


def _count(rows: Sequence[Row | None], status: str) -> int:
    return sum(row is not None and row["status"] == status for row in rows)
