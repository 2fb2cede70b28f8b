"""Rows of stages beside those that are there: of failures, of what was measured in addition, of models made again."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sweeps.results.columns import LABEL
from sweeps.results.part_files import PartFiles, Row
from sweeps.results.schema import DATA
from trainables.stages import MeasurementStage, Stage
from trainables.stages.measurement import seed_columns
from trainables.storage.folder import Folder

Place = tuple[Any, ...]
"""What tells a row of a table from all others."""


def place_of(row: Row, names: Sequence[str]) -> Place:
    """Values of these columns; what is NaN, since there is no result, is -inf, which is equal to itself."""
    return tuple(-math.inf if row[name] != row[name] else row[name] for name in names)


def without_result(place: Place) -> Place:
    """Place of a row that says that there is no result: what only results tell, as a density, is not known in it."""
    return tuple(-math.inf if isinstance(value, float) else value for value in place)


def lost_part(cause: Stage) -> str:
    """Name of the files of stages that cannot run since this one failed, and of its own failures beside results."""
    return lost_file(cause.key)


def lost_file(key: str) -> str:
    """The same, by the stage's key."""
    return f"lost-{key}"


def has_changed(before: Row, row: Row) -> bool:
    """Whether a result has other numbers than the one that it replaces: the model is another one.

    What the older one does not have, of a column that was added since, does not count.
    """
    others = ("seconds", "stack", *DATA)
    numbers = [name for name, value in row.items() if isinstance(value, (float, list)) and name not in others]
    return any(before[name] is not None and repr(before[name]) != repr(row[name]) for name in numbers)


def drop_measured(tables: Mapping[str, PartFiles], folder: Folder, point: str, seeds: Collection[int]) -> None:
    """Remove what was measured, with whatever settings, of siblings of a point that are other ones now.

    Args:
        tables: All tables.
        folder: Of the results.
        point: Key of the point.
        seeds: Of these siblings.
    """
    for table in MeasurementStage.tables():
        names = seed_columns(table)
        for file in folder.names(table, ".parquet"):
            if file.startswith(f"{point}-"):
                rows = tables[table].rows(file)
                left = [row for row in rows if not any(row[name] in seeds for name in names)]
                if not left:
                    tables[table].delete(file)
                elif len(left) < len(rows):
                    tables[table].write(file, left)


def joined(before: Row, row: Row) -> Row:
    """A result with what is new of it.

    What was measured in addition adds its time; what had diverged still has. Where a point lies is told by the sweep
    that first had it.
    """
    row = row | {name: before[name] for name in LABEL if before.get(name) is not None}
    kept = {name: value for name, value in before.items() if value is not None and name not in row}
    if not kept:
        return row
    kept["seconds"] = before["seconds"] + row["seconds"]
    if before["status"] == "diverged":
        kept |= {name: before[name] for name in ("status", "message")}
    return row | kept
