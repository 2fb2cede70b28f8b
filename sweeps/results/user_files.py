"""Files with tables of any origin: reading their columns, checking their numbers, and writing them."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.spec.errors import UsageError

MOST_CELLS = 100_000
"""Temperatures times loads of a table."""


class Range(NamedTuple):
    """Numbers that a column may have, ends included, and in words."""

    least: float
    most: float
    words: str


def read_file(name: str) -> pd.DataFrame:
    """A .csv or .parquet file as it is; a column of a .csv file is of numbers if all that is in it are.

    Raises:
        UsageError: If it cannot be read.
    """
    path = Path(name)
    try:
        if table_kind(str(path)) == "csv":
            lines = pd.read_csv(path, header=None, dtype=str, skipinitialspace=True, encoding="utf-8-sig")
            names = [str(name).strip() for name in lines.iloc[0]]
            table = lines[1:].reset_index(drop=True).set_axis(names, axis=1)
        else:
            names = pq.read_schema(path).names
            table = pd.DataFrame()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"{path} has two columns {', '.join(twice)}; rename or remove one.")
        if table_kind(str(path)) == "parquet":
            return pq.ParquetFile(path).read(use_threads=False).to_pandas(ignore_metadata=True, use_threads=False)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, pa.ArrowException) as error:
        raise UsageError(f"{path} is not a table that can be read: {str(error).strip().splitlines()[0]}.") from None
    for column in names:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if not (numbers.isna() & table[column].notna()).any():
            table[column] = numbers
    return table


def check_columns(table: pd.DataFrame, needed: Sequence[str], path: str) -> None:
    """Raise UsageError, naming those that lack, unless a table has these columns."""
    lacking = [name for name in needed if name not in table]
    if lacking:
        there = ", ".join(map(str, table))
        raise UsageError(f"{path} has no column {' and no column '.join(lacking)}; it has {there}.")


def table_content(table: pd.DataFrame, path: str) -> bytes:
    """A table as Parquet or CSV, as the name of its file ends.

    Raises:
        UsageError: If Parquet cannot hold it.
    """
    content = io.BytesIO()
    try:
        if table_kind(path) == "csv":
            table.to_csv(content, index=False)
        else:
            table.to_parquet(content, index=False)
    except pa.ArrowException as error:
        said = str(error).strip().splitlines()[0]
        raise UsageError(f"{path} cannot be written ({said}); name a .csv file.") from None
    return content.getvalue()


def table_kind(name: str) -> str:
    """Kind of a table by the end of its name: csv or parquet.

    Raises:
        UsageError: If it is none of these.
    """
    kind = Path(name).suffix.lower().removeprefix(".")
    if kind not in ("csv", "parquet"):
        raise UsageError(f"{name} is neither a .csv nor a .parquet file; its name has to end so.")
    return kind


def numbers_of(column: "pd.Series[float]", path: str, allowed: Range, gaps: bool) -> "pd.Series[float]":
    """A column as floats.

    Args:
        column: Of the file.
        path: Of the file.
        allowed: Numbers that it may have.
        gaps: Whether NaN are allowed, too.

    Raises:
        UsageError: If it has something else.
    """
    name = str(column.name)
    proper = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    numbers = pd.to_numeric(column if proper else column.map(str), errors="coerce").astype(float)
    bad = ~(numbers.between(allowed.least, allowed.most) & np.isfinite(numbers)) & ~(gaps & column.isna())
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        rule = "it has to be a number" if math.isnan(numbers.iloc[row]) else allowed.words
        raise UsageError(f"{path}, row {row + 1}: {name} is {column.iloc[row]}; {rule}.")
    return numbers


def as_labels(numbers: "pd.Series[float]") -> "pd.Series[float]":
    """Numbers that say where a cell lies, without rounding errors: 0.1 + 0.2 is the density 0.3."""
    return numbers.map(lambda value: float(f"{value:.12g}"))


def with_columns(rows: pd.DataFrame, cells: pd.DataFrame, names: Sequence[str], load: str) -> pd.DataFrame:
    """Rows with these columns of their cells.

    Args:
        rows: With the columns ``temperature`` and that of the load.
        cells: One row for each ``temperature`` and ``load``.
        names: Of the columns.
        load: Of the load in ``rows``.
    """
    own = cells.set_index(["temperature", "load"])
    places = pd.MultiIndex.from_frame(rows[["temperature", load]])
    return rows.assign(**{name: own[name].loc[places].array for name in names})
