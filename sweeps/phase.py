"""The phase table: one row for each temperature and load, with the regime found there."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from metrics.regimes import Thresholds, regimes_at_load
from sweeps.schema import PHASE
from sweeps.store import Store, dense_part
from trainables.stages import PointStage


def phase_table(points: Sequence[PointStage], store: Store, thresholds: Thresholds) -> pd.DataFrame:
    """Summarise the stored results of these points and of the siblings named there; nothing else is read.

    Returns:
        One row for each cell of the grid, missing ones included, by temperature, then load; columns as in
        :data:`sweeps.schema.PHASE`, which also says what they mean.
    """
    keys = [stage.point.key for stage in points]
    runs, pairs = (store.table(name, parts=keys).to_pandas() for name in ("runs", "pairs"))
    models = {dense_part(stage.point.dense, stage.point.epoch) for stage in points}
    dense = store.table("dense", parts=sorted(models)).to_pandas()
    cells: dict[tuple[float, float], list[PointStage]] = {}
    for stage in points:
        cells.setdefault((stage.label.temperature, stage.label.load), []).append(stage)
    wanted = {(stage.point.key, seed) for stage in points for seed in stage.seeds}
    runs = runs[_among(runs, "retrain_seed", wanted)]
    pairs = pairs[_among(pairs, "first_seed", wanted) & _among(pairs, "second_seed", wanted)]
    pairs = pairs[pairs["point"].isin(runs["point"])]
    runs_by_point, pairs_by_point = (dict(list(table.groupby("point"))) for table in (runs, pairs))
    dense_errors = dense.set_index(["dense", "epoch"])[["validation_error", "test_error"]].astype(float)
    rows = [_cell(stages, runs_by_point, pairs_by_point, dense_errors) for stages in cells.values()]
    table = pd.DataFrame(rows).sort_values(["temperature", "load"], ignore_index=True)
    table["normalized_test_error"] = normalized_error(table)
    return with_regimes(table, thresholds)[PHASE.names]


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table, by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def none_if_nan(value: float) -> float | None:
    """The value for JSON, which has no NaN."""
    return None if math.isnan(value) else value


def normalized_error(table: pd.DataFrame) -> "pd.Series[float]":
    """Test error minus the smallest of any temperature at the same load (Zhou et al. 2023, section 4.1)."""
    return table["test_error"] - table.groupby("load")["test_error"].transform("min")


def with_regimes(table: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    """Add the column ``regime`` to a table with columns ``load``, ``lmc`` and ``cka``; None where it is undefined."""
    table = table.assign(regime=pd.Series([None] * len(table), dtype=object, index=table.index))
    for _, cells in table.groupby("load"):
        table.loc[cells.index, "regime"] = pd.Series(
            regimes_at_load(list(cells["lmc"]), list(cells["cka"]), thresholds), index=cells.index, dtype=object
        )
    return table


def _among(table: pd.DataFrame, seed: str, wanted: Collection[tuple[str, int]]) -> "pd.Series[bool]":
    """Which rows are of a point and a seed that are wanted."""
    found = [of in wanted for of in zip(table["point"], table[seed], strict=True)]
    return pd.Series(found, index=table.index, dtype=bool)


def _cell(
    stages: Sequence[PointStage],
    runs_by_point: dict[str, pd.DataFrame],
    pairs_by_point: dict[str, pd.DataFrame],
    dense_errors: pd.DataFrame,
) -> dict[str, Any]:
    """Summarise one temperature and load over the dense seeds."""
    keys = [stage.point.key for stage in stages]
    all_runs = _concat([runs_by_point[key] for key in keys if key in runs_by_point])
    all_pairs = _concat([pairs_by_point[key] for key in keys if key in pairs_by_point])
    wanted = sum(len(stage.seeds) for stage in stages)
    label = stages[0].label
    row: dict[str, Any] = {
        "temperature_axis": label.temperature_axis,
        "temperature": label.temperature,
        "load_axis": label.load_axis,
        "load": label.load,
        "status": _status([] if all_runs is None else list(all_runs["status"]), wanted),
        "seconds": sum(float(table["seconds"].sum()) for table in (all_runs, all_pairs) if table is not None),
    }
    runs = None if all_runs is None else all_runs[all_runs["status"] == "ok"]
    pairs = None if all_pairs is None else all_pairs[all_pairs["status"] == "ok"]
    for name in ("test_error", "validation_error", "train_error", "density"):
        row |= _mean_and_errors(runs, name)
    for name in ("lmc", "cka"):
        row |= _mean_and_errors(pairs, name)
        row[f"{name}_se"] = math.nan if pairs is None else _jackknife(pairs, name)
    models = dense_errors.reindex([(stage.point.dense.key, stage.point.epoch) for stage in stages])
    row["dense_validation_error"] = models["validation_error"].mean()
    row["dense_test_error"] = models["test_error"].mean(skipna=False)
    row["n_runs"] = 0 if runs is None else len(runs)
    row["n_pairs"] = 0 if pairs is None else len(pairs)
    row["n_dense_seeds"] = 0 if runs is None else runs["dense_seed"].nunique()
    return row


def _status(statuses: Sequence[str], wanted: int) -> str:
    for status in ("failed", "diverged"):
        if status in statuses:
            return status
    if len(statuses) < wanted:
        return "incomplete" if statuses else "missing"
    return "ok"


def _concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    return pd.concat(tables) if tables else None


def _mean_and_errors(table: pd.DataFrame | None, column: str) -> dict[str, float]:
    """Mean over the defined values, its standard error over them, and over the means of the dense seeds."""
    if table is None:
        return dict.fromkeys((column, f"{column}_se", f"{column}_se_dense"), math.nan)
    values = table[column].astype(float)
    dense = values.groupby(table["dense_seed"]).mean()
    return {column: float(values.mean()), f"{column}_se": _error(values), f"{column}_se_dense": _error(dense)}


def _jackknife(pairs: pd.DataFrame, column: str) -> float:
    """Standard error of the mean over pairs, from leaving out one sibling at a time: pairs share siblings.

    Of each dense seed by itself: what differs between dense seeds is not the siblings' noise.
    """
    pairs = pairs[pairs[column].notna()]
    variance = 0.0
    for _, own in pairs.groupby("dense_seed"):
        siblings = {*own["first_seed"], *own["second_seed"]}
        without = [own[(own["first_seed"] != left) & (own["second_seed"] != left)][column].mean() for left in siblings]
        means = pd.Series(without, dtype=float)
        squares = ((means - means.mean()) ** 2).sum(skipna=False)  # NaN for one pair
        variance += (len(own) / len(pairs)) ** 2 * (len(means) - 1) / len(means) * float(squares)
    return math.sqrt(variance) if len(pairs) else math.nan


def _error(values: "pd.Series[float]") -> float:
    return float(values.std()) / math.sqrt(max(values.count(), 1))
