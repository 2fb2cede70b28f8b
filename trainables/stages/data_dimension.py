"""Of how many dimensions the data of a training are: columns of its results. Imports no torch."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.stages.dense_run import DenseRun
from trainables.stages.keys import configuration_key
from trainables.stages.stage import Row

if TYPE_CHECKING:
    from trainables.stages.machine import Machine

_FOUND: dict[str, Row] = {}
"""Columns by the file that keeps them, as far as this process has seen it."""


@dataclass(frozen=True)
class _Data:
    """All that decides the columns."""

    data: str
    validation_fraction: float
    neighbours: int


def data_columns(run: DenseRun, machine: "Machine") -> Row:
    """Columns of the dimension of a training's data, taken once for each results folder and kept in a file there.

    Two workers that begin at once may both take it: they come to the same.
    """
    neighbours = machine.dimension_neighbours
    file = f"data/{configuration_key(_Data(run.data, run.validation_fraction, neighbours))}.pt"
    place = machine.folder.at(file)
    if place not in _FOUND:
        from trainables.storage import artifacts

        kept = artifacts.load(machine.folder, file)
        if kept is None:
            kept = _columns(run, machine)
            artifacts.save(machine.folder, file, kept)
        _FOUND[place] = kept
    return dict(_FOUND[place])


def _columns(run: DenseRun, machine: "Machine") -> Row:
    from trainables.stages.machine import task_of

    neighbours = machine.dimension_neighbours
    found = task_of(run, machine).intrinsic_dimension(neighbours)
    return {
        "data_dimension": math.nan if found is None else found.dimension,
        "data_dimension_se": math.nan if found is None else found.standard_error,
        "dimension_neighbours": neighbours,
        "data_duplicates": None if found is None else found.duplicates,
    }
