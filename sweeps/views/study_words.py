"""Words and lines that the pictures of studies have in common."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from metrics.intervals import Interval
from sweeps.spec.study import Study


def interval_words(interval: Interval) -> str:
    """A mean and its interval, for a person."""
    if math.isnan(interval.low):
        return f"{interval.mean:.3g}"
    return f"{interval.mean:.3g} ({interval.low:.3g} to {interval.high:.3g})"


def groups(table: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Rows by their values in these columns, NaN among them, in the order of their first."""
    yield from table.groupby(list(columns), sort=False, dropna=False)


def named_lines(study: Study, table: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each line of a picture, and its name: by these columns, and by temperature if there are several.

    Args:
        study: Says the axis.
        table: With these columns and ``temperature``.
        columns: Whose values name a line.
    """
    several = table["temperature"].nunique() > 1
    for (*names, temperature), own in groups(table, *columns, "temperature"):
        at = [f"{study.temperature} {temperature:g}"] if several else []
        yield ", ".join([*map(str, names), *at]), own
