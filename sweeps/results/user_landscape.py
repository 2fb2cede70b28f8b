"""Tables of the landscape of dense models of any origin: a row for each measurement at a temperature and a load."""

import math
from typing import Any

import numpy as np
import pandas as pd

from metrics.five_phases import PhaseThresholds, told_phases
from metrics.intervals import Interval, mean_interval, positive_interval
from sweeps.results.landscape_schema import LANDSCAPE, POSITIVE
from sweeps.results.user_files import MOST_CELLS, Range, as_labels, check_columns, numbers_of
from sweeps.spec.errors import UsageError

NEEDED = ("temperature", "load", "train_loss", "mc")
TOLD = ("phase", "other_phases", "loss_threshold", "mc_threshold", "cka_threshold")
"""Columns that are computed from the others."""

_ERROR = Range(0, 1, "an error is a fraction in [0, 1]")
_CONNECTIVITY = Range(-1, 1, "mode connectivity is in units of error, in [-1, 1]")
_ANY = Range(-math.inf, math.inf, "it has to be a finite number")
_COUNT = Range(0, math.inf, "a number of models is 0 or more")
MEANS = {
    "train_loss": Range(0, math.inf, "a training loss is a finite number of nats, 0 or more"),
    "mc": _CONNECTIVITY,
    "line_mc": _CONNECTIVITY,
    "cka": Range(0, 1 + 1e-6, "CKA is in [0, 1]"),
    "hessian_eigenvalue": _ANY,
    "hessian_trace": _ANY,
    "test_error": _ERROR,
    "validation_error": _ERROR,
    "train_error": _ERROR,
}
"""Columns of which the rows of a cell are averaged."""

COUNTS = {"n_models": _COUNT, "n_diverged": _COUNT, "n_pairs": _COUNT}
"""Columns of which they are added."""

RANGES = {
    "temperature": Range(0, math.inf, "a temperature is a finite number, 0 or more, on every axis"),
    "load": Range(0, math.inf, "a load is a finite number, 0 or more"),
    **MEANS,
    **{f"{name}_{end}": _ANY for name in MEANS for end in ("low", "high")},
    **COUNTS,
}

BEST = 0.05
"""So much better than its ends, beyond what their training loss allows, a path is only with the other sign."""


def is_landscape(table: pd.DataFrame) -> bool:
    """Whether the columns of a table are those of a landscape, and not of regimes, which have ``lmc``."""
    return "lmc" not in table and ("mc" in table or {"train_loss", "load"}.issubset(table))


def landscape_rows(table: pd.DataFrame, path: str) -> pd.DataFrame:
    """The rows of a table with the columns :data:`NEEDED`, and optionally others, such as ``cka``.

    Args:
        table: As :func:`~sweeps.results.user_files.read_file` gives it.
        path: Of its file.

    Returns:
        Its rows, without what is computed anew. Of a landscape's table of this project, rows of cells without results
        go.

    Raises:
        UsageError: If columns lack, numbers are none or out of range, or barriers have the other sign.
    """
    table = table.drop(columns=list(TOLD), errors="ignore")
    check_columns(table, NEEDED, path)
    ours = {"load_axis", "status"}.issubset(table)
    there = table[["train_loss", "mc"]].notna().all(axis=1)
    known = there | (table["status"] == "diverged") if ours else pd.Series(True, index=table.index)
    if not known.any():
        raise UsageError(f"{path} has no rows with results.")
    exact = ("temperature", "load") if ours else NEEDED
    numbers = {name: numbers_of(table[name], path, RANGES[name], name not in exact) for name in RANGES if name in table}
    _check_sign(numbers["mc"], numbers["train_loss"], path)
    for name in ("temperature", "load"):
        numbers[name] = as_labels(numbers[name])
    return table.assign(**numbers).loc[known].reset_index(drop=True)


def landscape_of(rows: pd.DataFrame, path: str, temperature_axis: str, thresholds: PhaseThresholds) -> pd.DataFrame:
    """Average the rows of each cell, and tell its phase.

    Args:
        rows: As :func:`landscape_rows` gives them.
        path: Of their file.
        temperature_axis: What their temperature is.
        thresholds: Borders of the phases.

    Returns:
        A row for each temperature and load, also for those that have none, in the columns of
        :data:`~sweeps.results.landscape_schema.LANDSCAPE`, NaN where they are not known. Intervals are those of the
        file where a cell has one row, and Student's over the rows where it has several.

    Raises:
        UsageError: If the file has several axes of loads, or too many cells.
    """
    cells = rows.groupby(["temperature", "load"])
    if rows["temperature"].nunique() * rows["load"].nunique() > MOST_CELLS:
        raise UsageError(f"{path} has more than {MOST_CELLS:,} cells; round its numbers to a grid.")
    columns = {name: cells[name].sum() for name in COUNTS if name in rows}
    for name in (name for name in MEANS if name in rows):
        columns |= _interval(cells, name)
    table = pd.DataFrame(columns)
    everything = pd.MultiIndex.from_product([sorted(set(rows["temperature"])), sorted(set(rows["load"]))])
    table = table.reindex(everything.set_names(["temperature", "load"]))
    table = table.reindex(columns=[name for name in LANDSCAPE.names if name not in table.index.names])
    known = np.where(table["train_loss"].isna() | table["mc"].isna() | (table["n_diverged"] > 0), "diverged", "ok")
    table["status"] = np.where(table.index.isin(cells.size().index), known, "missing")
    table = table.reset_index().assign(temperature_axis=temperature_axis, load_axis=_load_axis(rows, path))
    table = table.assign(
        n_diverged=table["n_diverged"].fillna(0),
        loss_threshold=thresholds.loss,
        mc_threshold=thresholds.mc,
        cka_threshold=thresholds.cka,
    )
    return _with_phases(table[LANDSCAPE.names], thresholds)


def _interval(cells: Any, name: str) -> dict[str, "pd.Series[float]"]:
    """Mean of a column in each cell, and the ends of its interval."""
    interval = positive_interval if name in POSITIVE else mean_interval
    several = {cell: interval(list(own)) for cell, own in cells[name] if len(own) > 1}
    found = {name: cells[name].mean()}
    for place, column in enumerate((f"{name}_low", f"{name}_high"), start=1):
        own = cells[column].mean() if column in cells.obj else found[name] * np.nan
        found[column] = own.where(cells.size() == 1)
        for cell, ends in several.items():
            found[column][cell] = ends[place]
    return found


def _with_phases(table: pd.DataFrame, thresholds: PhaseThresholds) -> pd.DataFrame:
    """Fill in the phase of each cell, and the others that its intervals allow."""
    told, others = list[str | None](), list[str]()
    for cell in table.to_dict("records"):
        loss, mc, cka = (
            Interval(*(cell[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in ("train_loss", "mc", "cka")
        )
        phase, possible = told_phases(loss, mc, cka, thresholds)
        told.append(phase)
        others.append(" ".join(possible))
    return table.assign(phase=pd.Series(told, dtype=object), other_phases=others)


def _load_axis(rows: pd.DataFrame, path: str) -> str:
    own = sorted({str(axis) for axis in rows.get("load_axis", pd.Series(dtype=object)).dropna()})
    if len(own) > 1:
        raise UsageError(f"{path} mixes the loads {' and '.join(own)}; give one file for each.")
    return own[0] if own else "load"


def _check_sign(mc: "pd.Series[float]", loss: "pd.Series[float]", path: str) -> None:
    """Raise UsageError if a path is better than its ends by more than their error.

    A wrong class has at least as much probability as the right one, so that loss is ln 2 or more: an error is at most
    the loss, in nats, divided by ln 2.
    """
    wrong = mc > loss / math.log(2) + BEST
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        said = f"mc is {mc.iloc[row]:g} at a training loss of {loss.iloc[row]:g}, more than the error that is left"
        raise UsageError(f"{path}, row {row + 1}: {said}; a barrier is negative here, so turn its sign.")
