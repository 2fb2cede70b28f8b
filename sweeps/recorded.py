"""Tables that somebody recorded, with whatever tool: a row for each measurement at a temperature and a density."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metrics.regimes import Thresholds
from sweeps.axes import TEMPERATURES
from sweeps.command import value_of
from sweeps.errors import UsageError
from sweeps.phase import phase_table, with_regimes
from sweeps.presets import DEFAULT_PRESET, PRESETS
from sweeps.schema import PHASE
from sweeps.spec import SweepSpec, check_list
from sweeps.store import Store

NEEDED = ("temperature", "density", "lmc", "test_error")
USABLE = ("ok", "incomplete")
"""Values of a column ``status``, if there is one, whose rows count."""


@dataclass(frozen=True)
class Recorded:
    """Results of an earlier sweep, or of somebody else's.

    Attributes:
        path: Where they are.
        spec: The sweep; of a file what is known of it, with the coldest temperature as that of the default recipe.
        folder: The results folder, or None for a file.
    """

    path: str
    spec: SweepSpec
    folder: Path | None

    def table(self, thresholds: Thresholds) -> pd.DataFrame:
        """Phase table of all of it."""
        if self.folder:
            return phase_table(self.spec.points(), Store(self.folder), thresholds)
        return phase_of(read_table(self.path), self.spec.temperature, thresholds)

    @property
    def title(self) -> str:
        """What it is of, in a few words."""
        return self.spec.title if self.folder else Path(self.path).name


def open_recorded(path: str, temperature: str) -> Recorded:
    """Open a results folder, or a file whose temperature is that of this axis.

    Raises:
        UsageError: If it is neither.
    """
    if Path(path).is_dir():
        return Recorded(path, Store(path).spec(), Path(path))
    if temperature not in TEMPERATURES:
        raise UsageError(f"--temperature {temperature}: the axes are {', '.join(TEMPERATURES)}.")
    rows = read_table(path)
    temperatures, densities = (tuple(sorted(set(rows[name]))) for name in ("temperature", "density"))
    coldest = temperatures[-1 if TEMPERATURES[temperature].hot_is_low else 0]
    like = PRESETS[DEFAULT_PRESET]
    own: dict[str, Any] = {"temperature": temperature, temperature: type(getattr(like, temperature))(coldest)}
    return Recorded(path, replace(like, temperatures=temperatures, densities=densities, **own), None)


def replayed(arguments: Sequence[str]) -> Recorded | None:
    """Open what ``--replay`` names, if it was given: it decides the defaults of all other options.

    Raises:
        UsageError: If it cannot be opened.
    """
    path = value_of("--replay", arguments)
    return None if path is None else open_recorded(path, value_of("--temperature", arguments) or "epochs")


def check_recorded(spec: SweepSpec, past: Recorded, table: pd.DataFrame) -> None:
    """Raise UsageError for temperatures and loads that a recorded table has not."""
    for name, column, wanted in (
        (spec.load_values, "load", spec.loads),
        ("temperatures", "temperature", spec.temperatures),
    ):
        check_list(name, wanted)
        known = sorted(set(table[column]))
        for value in wanted:
            if value not in known:
                there = " ".join(f"{each:g}" for each in known)
                raise UsageError(f"--{name} {value:g}: {past.path} has {there}.")


class _Range(NamedTuple):
    least: float
    most: float
    words: str


_ERROR = _Range(0, 1, "an error is a fraction in [0, 1]")
RANGES = {
    "density": _Range(math.ulp(0), 1, "a density is a fraction kept, in (0, 1]"),
    "lmc": _Range(-1, 1, "LMC is in units of error, in [-1, 1]"),
    "cka": _Range(0, 1 + 1e-6, "CKA is in [0, 1]"),
    **dict.fromkeys(("test_error", "validation_error", "train_error", "dense_test_error"), _ERROR),
}


def read_table(path: str) -> pd.DataFrame:
    """Read a Parquet or CSV file with the columns :data:`NEEDED`, and optionally others, such as ``cka``.

    Returns:
        Its rows. A phase table of this project has the load as its ``density``; rows of cells without results go.

    Raises:
        UsageError: If it cannot be read, or its numbers are none, or out of range.
    """
    table = _read(Path(path))
    if "load" in table and set(table.get("load_axis", ())) == {"density"}:
        table = table.assign(density=table["load"])  # there the column density is what was really kept
    if "status" in table:
        table = table[table["status"].isin(USABLE)]
    lacking = [name for name in NEEDED if name not in table]
    if lacking:
        raise UsageError(
            f"{path} has no column {' and no column '.join(lacking)}; it has {', '.join(map(str, table))}."
        )
    if table.empty:
        raise UsageError(f"{path} has no rows with results.")
    ours = "status" in table  # then NaN has its meaning, but where rows with results always have numbers
    numbers = {name: _numbers(table[name], path, ours and name not in NEEDED) for name in {*NEEDED, *RANGES} & {*table}}
    return table.assign(**numbers).reset_index(drop=True)


def phase_of(rows: pd.DataFrame, temperature_axis: str, thresholds: Thresholds) -> pd.DataFrame:
    """Average the rows of each cell, and tell its regime.

    Returns:
        A row for each temperature and density, also for those that have none, in columns of
        :data:`sweeps.schema.PHASE`, NaN where they are not known; after them the means of other numeric columns.
    """
    numeric = rows.select_dtypes("number").drop(columns=["load"], errors="ignore")
    cells = numeric.groupby(["temperature", "density"])
    table, counts = cells.mean(), cells.size()
    for name in ("lmc", "cka", "test_error", "validation_error"):
        if name in table and f"{name}_se" not in table:
            table[f"{name}_se"] = cells[name].std() / np.sqrt(counts)
    everything = pd.MultiIndex.from_product([sorted(set(rows["temperature"])), sorted(set(rows["density"]))])
    table = table.reindex(everything.set_names(["temperature", "load"]))
    table["density"] = table.index.get_level_values("load")
    table["status"] = np.where(table["lmc"].isna(), "missing", "ok")
    table = table.reset_index().assign(temperature_axis=temperature_axis, load_axis="density")
    table["normalized_test_error"] = table["test_error"] - table.groupby("load")["test_error"].transform("min")
    table = table.reindex(columns=[*PHASE.names, *(name for name in table if name not in PHASE.names)])
    return with_regimes(table, thresholds)


def lacking_cells(table: pd.DataFrame, temperatures: Sequence[float], loads: Sequence[float]) -> list[str]:
    """Names of the cells of which a phase table knows nothing, for a person."""
    known = table[~table["status"].isin(["missing", "failed"])]
    there = set(zip(known["temperature"], known["load"], strict=True))
    axes = table["temperature_axis"].iloc[0], table["load_axis"].iloc[0]
    return [
        f"{axes[0]} {temperature:g} at {axes[1]} {load:g}"
        for temperature, load in product(temperatures, loads)
        if (temperature, load) not in there
    ]


def write_table(table: pd.DataFrame, path: str) -> None:
    """Write Parquet or CSV, as the name ends.

    Raises:
        UsageError: If it cannot be written.
    """
    try:
        if _kind(Path(path)) == "csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None


def _kind(path: Path) -> str:
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("csv", "parquet"):
        raise UsageError(f"{path} is neither a .csv nor a .parquet file; its name has to end so.")
    return kind


def _read(path: Path) -> pd.DataFrame:
    try:
        if _kind(path) == "csv":
            header = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0]
            names = [str(name).strip() for name in header]
        else:
            names = pq.read_schema(path).names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"{path} has two columns {', '.join(twice)}; rename or remove one.")
        if _kind(path) == "parquet":
            return pq.read_table(path).to_pandas()
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, header=None, skiprows=1, names=names, index_col=False)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, pa.ArrowException, pd.errors.ParserWarning) as error:
        raise UsageError(f"{path} is not a table that can be read: {str(error).strip().splitlines()[0]}.") from None


def _numbers(column: "pd.Series[float]", path: str, gaps: bool) -> "pd.Series[float]":
    """The column as floats, if all of it are numbers in their range, or NaN where there may be gaps."""
    name = str(column.name)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    allowed = RANGES.get(name, _Range(-math.inf, math.inf, "it is a finite number"))
    bad = ~(numbers.between(allowed.least, allowed.most) & np.isfinite(numbers)) & ~(gaps & column.isna())
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        value, index = column.iloc[row], column.index[row]
        is_number = not math.isnan(numbers.iloc[row])
        rule = allowed.words if is_number else "it has to be a number"
        raise UsageError(f"{path}, row {index + 1}: {name} is {value!s}; {rule}.")
    return numbers
