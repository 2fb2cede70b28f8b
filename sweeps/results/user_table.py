"""Tables of any origin, made with whatever tool: a row for each measurement at a temperature and a density."""

import math

import numpy as np
import pandas as pd

from metrics.regimes import Thresholds
from sweeps.results.phase import left_out, normalized_error, with_regimes
from sweeps.results.phase_schema import P_REGIMES, PHASE, SCORES
from sweeps.results.user_files import MOST_CELLS, Range, as_labels, check_columns, numbers_of, read_file
from sweeps.spec.axes import TEMPERATURES
from sweeps.spec.choices import choice_rule
from sweeps.spec.errors import UsageError

NEEDED = ("temperature", "density", "lmc", "test_error")
COUNTS = {"n_runs", "n_diverged", "n_pairs", "n_dense_seeds"}
"""Columns of which the rows of a cell are added, not averaged."""

CLEARLY_POSITIVE = 0.05
"""No LMC but that of a barrier with the other sign."""


_ERROR = Range(0, 1, "an error is a fraction in [0, 1]")
_STANDARD_ERROR = Range(0, math.inf, "a standard error is 0 or more")
RANGES = {
    "temperature": Range(0, math.inf, "a temperature is a finite number, 0 or more, on every axis"),
    "density": Range(math.ulp(0), 1, "a density is a fraction kept, in (0, 1]"),
    "lmc": Range(-1, 1, "LMC is in units of error, in [-1, 1]"),
    "cka": Range(0, 1 + 1e-6, "CKA is in [0, 1]"),
    **dict.fromkeys(("lmc_se", "cka_se", "validation_error_se"), _STANDARD_ERROR),
    **dict.fromkeys(("bleu_se", "validation_bleu_se"), _STANDARD_ERROR),
    "validation_images": Range(1, math.inf, "a number of images is 1 or more"),
    **dict.fromkeys(("n_runs", "n_diverged"), Range(0, math.inf, "a number of siblings is 0 or more")),
    **dict.fromkeys(("test_error", "validation_error", "train_error"), _ERROR),
    **dict.fromkeys(("dense_validation_error", "dense_test_error"), _ERROR),
    **dict.fromkeys(SCORES, Range(0, 100 + 1e-6, "BLEU is in [0, 100]")),
}


_MAY_LACK = (
    *("lmc_se", "cka_se", "validation_error", "validation_error_se", "validation_images"),
    *("train_error", "dense_validation_error", "dense_test_error"),
    *("bleu_se", "validation_bleu_se", *SCORES),
)
"""Columns that need not have a number in each row."""


def read_table(path: str) -> pd.DataFrame:
    """Read a Parquet or CSV file with the columns :data:`NEEDED`, and optionally others, such as ``cka``.

    Returns:
        Its rows. A phase table of this project has the load as its ``density``; rows of cells without results go.

    Raises:
        UsageError: If it cannot be read, or its numbers are none, or out of range.
    """
    table = read_file(path).drop(columns=[*P_REGIMES, "lmc_threshold"], errors="ignore")  # that it had
    ours = {"load_axis", "load", "status"}.issubset(table)
    if ours:
        axes = ", ".join(sorted({str(axis) for axis in table["load_axis"]}))
        if axes not in ("density", "filters"):
            raise UsageError(f"{path} is over {axes}, not density; give its results folder.")
        table = table.assign(density=table["load"])  # there the column density is what was really kept
    check_columns(table, NEEDED, path)
    if "n_diverged" in table and "n_runs" not in table:
        raise UsageError(f"{path} has a column n_diverged; give n_runs, the siblings that did not diverge, too.")
    # NaN is for cells without results; of those the diverged are known not to have any.
    known = table["lmc"].notna() | (table["status"] == "diverged") if ours else pd.Series(True, index=table.index)
    if not known.any():
        raise UsageError(f"{path} has no rows with results.")
    numbers = {
        name: numbers_of(
            table[name], path, RANGES[name], name in _MAY_LACK or (ours and name not in ("temperature", "density"))
        )
        for name in dict.fromkeys((*NEEDED, *RANGES))
        if name in table
    }
    least, most = numbers["lmc"].min(), numbers["lmc"].max()
    if most > max(CLEARLY_POSITIVE, -least):
        raise UsageError(f"{path}: lmc is from {least:g} to {most:g}; a barrier is negative here, so turn its sign.")
    for name in ("temperature", "density"):
        numbers[name] = as_labels(numbers[name])
    return table.assign(**numbers).loc[known].reset_index(drop=True)


def axis_of(rows: pd.DataFrame, path: str, temperature: str | None) -> str:
    """Axis of a file's temperatures.

    Raises:
        UsageError: If the file says something else than what was asked for.
    """
    if temperature is not None and temperature not in TEMPERATURES:
        raise UsageError(f"--temperature {temperature}: the axes are {', '.join(TEMPERATURES)}.")
    own = {str(axis) for axis in rows.get("temperature_axis", pd.Series(dtype=object)).dropna()}
    if unknown := sorted(own - {*TEMPERATURES}):
        raise UsageError(f"{path}: its temperature_axis is {unknown[0]}; {choice_rule(TEMPERATURES)}.")
    if len(own) > 1:
        raise UsageError(f"{path} mixes the temperatures {' and '.join(sorted(own))}; give one file for each.")
    if own and temperature not in (None, *own):
        raise UsageError(f"--temperature {temperature}: {path} is of {min(own)}; leave it out.")
    return temperature or min(own, default="epochs")


def phase_of(rows: pd.DataFrame, temperature_axis: str, thresholds: Thresholds) -> pd.DataFrame:
    """Average the rows of each cell, and tell its regime: without a column ``cka`` only I or II.

    Returns:
        A row for each temperature and density, also for those that have none, in columns of
        :data:`~sweeps.results.phase_schema.PHASE`, NaN where they are not known; after them means of other numeric
        columns.
    """
    numeric = rows.select_dtypes("number").drop(columns=["load"], errors="ignore")
    cells = numeric.groupby(["temperature", "density"])
    table, counts = cells.mean(), cells.size()
    for name in COUNTS & set(table):
        table[name] = cells[name].sum()
    if "lmc_se" not in table:
        table["n_rows"] = counts
    for name in ("lmc", "cka", "test_error", "validation_error", "bleu", "validation_bleu"):
        if name in table and f"{name}_se" not in table:
            table[f"{name}_se"] = cells[name].std() / np.sqrt(counts)
    if rows["temperature"].nunique() * rows["density"].nunique() > MOST_CELLS:
        raise UsageError(f"the table has more than {MOST_CELLS:,} cells; round its numbers to a grid.")
    everything = pd.MultiIndex.from_product([sorted(set(rows["temperature"])), sorted(set(rows["density"]))])
    table = table.reindex(everything.set_names(["temperature", "load"]))
    table["density"] = table.index.get_level_values("load")
    table["n_diverged"] = table["n_diverged"].fillna(0) if "n_diverged" in table else 0
    known = np.where(table["lmc"].isna() | (table["n_diverged"] > 0), "diverged", "ok")
    table["status"] = np.where(table.index.isin(counts.index), known, "missing")
    table = table.reset_index().assign(temperature_axis=temperature_axis, load_axis="density")
    table["normalized_test_error"] = normalized_error(table)
    table = table.reindex(columns=[*PHASE.names, *(name for name in table if name not in PHASE.names)])
    table = with_regimes(table, thresholds)
    if "cka" not in rows:  # then there is no telling II-A from II-B
        connected = (table["lmc"] >= table["lmc_threshold"]) & ~left_out(table)
        table["regime"] = table["regime"].where(~connected, "II")
    return table
