"""The tables of the study of importance: accuracy by measure, what pruning changes, and how measures agree."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from metrics.intervals import mean_interval
from metrics.rank_correlation import rank_correlations
from sweeps.results.columns import column
from sweeps.results.phase import phase_table
from sweeps.results.phase_schema import PHASE
from sweeps.results.sibling_errors import sibling_errors
from sweeps.results.store import Store
from sweeps.results.table_files import with_schema
from sweeps.spec.importance import Importance
from trainables.stages import PointStage

_END = "of its 95 % interval over dense seeds (Student's); NaN for one"
_PAIRED = "paired by dense seed, mean over these"
_BY_ITSELF = "by pruning itself, before retraining: after it minus before, of the last removal; mean over dense seeds"
_OF_PHASE = ("temperature_axis", "temperature", "load", "density", "status", "regime", "test_error", "lmc", "cka")


def _with_interval(name: str, unit: str, description: str) -> list[pa.Field]:
    return [
        column(name, pa.float64(), unit, f"{description}; NaN if not known"),
        column(f"{name}_low", pa.float64(), unit, f"beginning {_END}"),
        column(f"{name}_high", pa.float64(), unit, f"end {_END}"),
    ]


IMPORTANCE = pa.schema(
    [
        column("measure", pa.string(), "", "importance measure, a rule of --pruner", True),
        column("rounds", pa.int64(), "", "rounds in which filters were removed", True),
        *(PHASE.field(name) for name in _OF_PHASE),
        *_with_interval("test_error_over_seeds", "fraction", "mean over dense seeds of the mean over siblings"),
        *_with_interval("difference", "fraction", f"test error minus that of the study's first measure, {_PAIRED}"),
        *_with_interval("loss_change", "nats", f"change of the loss {_BY_ITSELF}"),
        *_with_interval("gradient_norm_change", "", f"change of the gradient's L2 norm {_BY_ITSELF}"),
        column("n_dense_seeds", pa.int64(), "", "dense seeds with a sibling that has a result"),
    ]
)
"""One row for each measure, number of rounds, temperature and share of the filters kept."""

CORRELATIONS = pa.schema(
    [
        column("temperature_axis", pa.string(), "", "the temperature of the dense models"),
        column("temperature", pa.float64(), "that of the axis", "its value", True),
        column("measure", pa.string(), "", "importance measure", True),
        column("other", pa.string(), "", "another one", True),
        *_with_interval("correlation", "in [-1, 1]", "Spearman's, of the scores of all filters of a dense model; mean"),
        column("n_dense_seeds", pa.int64(), "", "dense models of which it is known"),
    ]
)
"""One row for each temperature and ordered pair of measures."""


def importance_table(study: Importance, store: Store) -> pd.DataFrame:
    """What is stored of a study, in the columns of :data:`IMPORTANCE`.

    Raises:
        UsageError: If a table is damaged.
    """
    compared = study.compared()
    points = {name: store.with_added_siblings(own) for name, own in study.points_by_variant().items()}
    errors = {name: _errors(own, store) for name, own in points.items()}
    changes = _changes([stage for own in points.values() for stage in own], store)
    rows = []
    for name, (measure, number) in compared.items():
        phase = phase_table(points[name], store, study.thresholds, study.measurement)
        reference = errors[next(other for other, (_, rounds) in compared.items() if rounds == number)]
        for cell in phase.to_dict("records"):
            at = cell["temperature"], cell["load"]
            own = [stage for stage in points[name] if (stage.label.temperature, stage.label.load) == at]
            test = [errors[name][(*at, stage.run.seed)] for stage in own]
            base = [reference[(*at, stage.run.seed)] for stage in own]
            known = [
                changes.get((stage.point.pruning.key, stage.point.density)) for stage in own if stage.point.pruning
            ]
            rows.append(
                {"measure": measure, "rounds": number, **{name: cell[name] for name in _OF_PHASE}}
                | _interval("test_error_over_seeds", test)
                | _interval("difference", [a - b for a, b in zip(test, base, strict=True)])
                | _interval("loss_change", [change[0] for change in known if change])
                | _interval("gradient_norm_change", [change[1] for change in known if change])
                | {"n_dense_seeds": sum(not math.isnan(value) for value in test)}
            )
    return with_schema(rows, IMPORTANCE)


def importance_tables(study: Importance, store: Store) -> dict[str, pd.DataFrame]:
    """Both tables by name; raises as :func:`importance_table`."""
    return {
        "importance": importance_table(study, store),
        "importance_correlations": correlation_table(study, store),
    }


def correlation_table(study: Importance, store: Store) -> pd.DataFrame:
    """How measures agree on the filters of dense models, in the columns of :data:`CORRELATIONS`.

    Raises:
        UsageError: If a table is damaged.
    """
    return with_schema(list(_correlations(study, store)), CORRELATIONS)


def _correlations(study: Importance, store: Store) -> Iterator[dict[str, Any]]:
    models: dict[float, set[tuple[str, int]]] = {}
    for stage in study.points():
        models.setdefault(stage.label.temperature, set()).add((stage.run.key, stage.point.epoch))
    parts = {key for own in models.values() for key, _ in own}
    table = store.table("filter_scores", parts=parts).to_pylist()
    scores = {(row["dense"], row["epoch"], row["measure"]): row["scores"] for row in table if row["status"] == "ok"}
    for temperature, own in models.items():
        found = [rank_correlations([scores.get((*model, each)) or [] for each in study.measures]) for model in own]
        for row, measure in enumerate(study.measures):
            for place, other in enumerate(study.measures):
                values = [float(matrix[row, place]) for matrix in found]
                where = {"temperature_axis": study.temperature, "temperature": temperature}
                known = sum(not math.isnan(value) for value in values)
                yield (
                    where
                    | {"measure": measure, "other": other, "n_dense_seeds": known}
                    | _interval("correlation", values)
                )


def _errors(points: Sequence[PointStage], store: Store) -> dict[tuple[float, float, int], float]:
    """Mean test error of the siblings of each point, by temperature, load and dense seed; NaN without any."""
    siblings = sibling_errors(points, store)
    return {
        (stage.label.temperature, stage.label.load, stage.run.seed): mean_interval(siblings[stage.key]).mean
        for stage in points
    }


def _changes(points: Sequence[PointStage], store: Store) -> dict[tuple[str, float], tuple[float, float]]:
    """Change of loss and of the gradient's norm by pruning, by the method's run and density."""
    runs = {stage.point.pruning.key for stage in points if stage.point.pruning}
    return {
        (row["pruning"], row["target_density"]): (
            _difference(row, "loss"),
            _difference(row, "gradient_norm"),
        )
        for row in store.table("pruned", parts=runs).to_pylist()
        if row["status"] == "ok"
    }


def _difference(row: dict[str, Any], name: str) -> float:
    before, after = row[f"{name}_before"], row[f"{name}_after"]
    return math.nan if before is None or after is None else after - before


def _interval(name: str, values: Sequence[float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), mean_interval(values), strict=True))
