"""The table of the study of prunability: how much can be removed, against the dimension of the data."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from metrics.intervals import Interval, mean_interval
from metrics.prunability import removable_share
from sweeps.results.columns import column
from sweeps.results.sibling_errors import sibling_errors
from sweeps.results.store import Store
from sweeps.results.table_files import with_schema
from sweeps.spec.errors import UsageError
from sweeps.spec.prunability import OWN_DATA, Prunability
from sweeps.spec.spec import SweepSpec
from trainables.stages import PointStage
from trainables.stages.dense import dense_part

_FRACTION = "fraction in [0, 1]"
_OF_DATA = ("data_dimension", "data_dimension_se", "data_duplicates")
_INTERVAL = (
    "of its 95 % interval over dense seeds, Student's, of the logarithm of 1 - share; NaN for one dense seed, and "
    "where of some only a bound is known"
)
_WEIGHTS = "weights (of filters with rules that remove these)"

PRUNABILITY = pa.schema(
    [
        column("dimension", pa.float64(), "", "dimension that the data were given; NaN for the data as they are", True),
        column("temperature_axis", pa.string(), "", "the temperature of the dense models"),
        column("temperature", pa.float64(), "that of the axis", "its value", True),
        column("status", pa.string(), "", "ok; incomplete: results are missing, diverged or failed; missing"),
        column("data_dimension", pa.float64(), "", "intrinsic dimension of the training images; NaN if not known"),
        column("data_dimension_se", pa.float64(), "", "its standard error over images"),
        column("data_duplicates", pa.float64(), "images", "that were left out of that, being copies of others"),
        column("tolerance", pa.float64(), _FRACTION, "test error that pruning may add to the dense model's"),
        column("dense_test_error", pa.float64(), _FRACTION, "mean over dense models"),
        column("share", pa.float64(), _FRACTION, f"largest share of {_WEIGHTS} that can go within the tolerance"),
        column("share_low", pa.float64(), _FRACTION, f"beginning {_INTERVAL}"),
        column("share_high", pa.float64(), _FRACTION, f"end {_INTERVAL}"),
        column("bound", pa.string(), "", "at least or at most: densities do not reach further for some dense seed"),
        column("n_dense_seeds", pa.int64(), "", "dense models of which it is known"),
    ]
)
"""One row for each dimension and temperature."""


ERRORS = pa.schema(
    [
        PRUNABILITY.field("dimension"),
        column("temperature", pa.float64(), "that of the axis", "temperature of the dense model", True),
        column("dense_seed", pa.int64(), "", "seed of the dense model", True),
        column("density", pa.float64(), _FRACTION, f"share of the {_WEIGHTS} that was kept", True),
        column("n_missing", pa.int64(), "", "siblings without a result: not there yet, diverged or failed"),
        column(
            "excess",
            pa.float64(),
            "fraction",
            "mean test error of the siblings minus the dense model's; NaN if not known",
        ),
        column("dense_test_error", pa.float64(), _FRACTION, "test error of the dense model; NaN if not known"),
        *(PRUNABILITY.field(name) for name in ("data_dimension", "data_dimension_se", "data_duplicates")),
    ]
)
"""One row for each point."""


def error_table(study: Prunability, store: Store) -> pd.DataFrame:
    """Test errors beyond those of dense models, in the columns of :data:`ERRORS`.

    Raises:
        UsageError: If a table is damaged.
    """
    rows = [row for name, points in study.points_by_variant().items() for row in _of_points(name, points, store)]
    return with_schema(rows, ERRORS)


def prunability_table(study: Prunability, errors: pd.DataFrame) -> pd.DataFrame:
    """What :func:`error_table` says of a study, in the columns of :data:`PRUNABILITY`."""
    rows = [_row(study, own) for _, own in errors.groupby(["dimension", "temperature"], dropna=False, sort=False)]
    return with_schema(rows, PRUNABILITY)


def prunability_tables(study: Prunability, store: Store) -> dict[str, pd.DataFrame]:
    """Both tables by name, read once; raises as :func:`error_table`."""
    errors = error_table(study, store)
    return {"prunability": prunability_table(study, errors), "prunability_errors": errors}


def _of_points(name: str, points: list[PointStage], store: Store) -> Iterator[dict[str, Any]]:
    """Rows of the points of one dimension."""
    points = store.with_added_siblings(points)
    siblings = sibling_errors(points, store)
    parts = {dense_part(stage.run, stage.point.epoch) for stage in points}
    dense = {(row["dense"], row["epoch"]): row for row in store.table("dense", parts=parts).to_pylist()}
    for stage in points:
        own = dense.get((stage.run.key, stage.point.epoch), {})
        own = own if own.get("status") == "ok" else {}
        errors = siblings[stage.key]
        yield {
            "dimension": math.nan if name == OWN_DATA else float(name),
            "temperature": stage.label.temperature,
            "dense_seed": stage.run.seed,
            "density": stage.point.density,
            "n_missing": len(stage.seeds) - len(errors),
            "excess": mean_interval(errors).mean - _known(own, "test_error"),
            "dense_test_error": _known(own, "test_error"),
            **{column: _known(own, column) for column in _OF_DATA},
        }


def _known(row: Mapping[str, Any], name: str) -> float:
    return math.nan if row.get(name) is None else float(row[name])


def _row(study: Prunability, table: pd.DataFrame) -> dict[str, Any]:
    """Row of one dimension and temperature."""
    shares = [
        removable_share(own["density"].tolist(), own["excess"].tolist(), study.tolerance)
        for _, own in table.groupby("dense_seed")
    ]
    known = [own for own in shares if not math.isnan(own.share)]
    interval = _interval([own.share for own in known])
    if any(own.bound for own in known):  # how far true shares are apart is not known
        interval = Interval(interval.mean, math.nan, math.nan)
    first, missing = table.drop_duplicates("dense_seed"), table["excess"].isna()
    incomplete = missing | (table["n_missing"] > 0)
    return {
        "dimension": first["dimension"].iloc[0],
        "temperature_axis": study.temperature,
        "temperature": first["temperature"].iloc[0],
        "status": "missing" if missing.all() else "incomplete" if incomplete.any() else "ok",
        **{name: first[name].mean() for name in (*_OF_DATA, "dense_test_error")},
        "tolerance": study.tolerance,
        "share": interval.mean,
        "share_low": interval.low,
        "share_high": interval.high,
        "bound": " and ".join(sorted({own.bound for own in known} - {""})),
        "n_dense_seeds": len(known),
    }


def _interval(shares: list[float]) -> Interval:
    """Of the mean over dense seeds, taken of the logarithm of what is kept: that is never below 0."""
    of_kept = mean_interval([math.log(1 - share) for share in shares])
    mean, low, high = (1 - math.exp(value) for value in of_kept)
    return Interval(mean, high, low)


def prunability_of(spec: SweepSpec, store: Store, tolerance: float) -> Prunability:
    """The study that a grid's results are of: on its data, or those of its axis, at all densities that are stored.

    Args:
        spec: The grid.
        store: Its results.
        tolerance: Of the study.

    Raises:
        UsageError: If it is of other models.
    """
    if spec.load in ("width", "data_amount"):
        said = f"holds a grid over {spec.load_values.replace('_', ' ')}"
        read = "prunability is read of one over densities, or over dimensions of the data"
        raise UsageError(f"{store.folder} {said}; {read}.")
    plain = {field.name: getattr(spec, field.name) for field in fields(SweepSpec)}
    rows = store.rows("runs", ["point", "configuration"])
    tried = {json.loads(row["configuration"])["density"] for row in rows if row["configuration"]}
    study = replace(Prunability(**plain, tolerance=tolerance), load="density", densities=tuple(sorted(tried)))
    stored = {row["point"] for row in rows}
    densities = {stage.point.density for stage in study.points() if stage.key in stored}  # of other sweeps' points none
    return replace(study, densities=tuple(sorted(densities or spec.densities)))
