"""Carrying out a search on recorded results instead of training: the same decisions in no time. No Ray, no torch."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from sweeps.case_studies.boundary_search import Request
from sweeps.case_studies.temperature_tuning import TemperatureTuning
from sweeps.results.phase import rows_of
from sweeps.results.recorded import lacking_cells
from sweeps.spec.errors import UsageError

Summary = Callable[[Request], Mapping[str, Any] | None]
"""What is recorded of a cell with so many siblings, in columns of the phase table; None if there are not so many."""


def replay(tuning: TemperatureTuning, table: pd.DataFrame, with_siblings: Summary | None = None) -> None:
    """Tell a search what was recorded, until it wants nothing more.

    Args:
        tuning: The search.
        table: Phase table of all that is recorded.
        with_siblings: For a search that asks for siblings; one that does not is told the rows of the table.

    Raises:
        UsageError: If it wants cells that the table lacks.
    """
    cells = {(row["temperature"], row["load"]): row for row in rows_of(table)}
    while requests := tuning.wanted:
        if lacking := lacking_cells(table, [(request.temperature, request.load) for request in requests]):
            said = "the table has no results of"
            raise UsageError(f"--replay: {said} {', '.join(lacking)}; record them, or leave them out.")
        for request in requests:
            row = with_siblings(request) if with_siblings else None
            if row is None and request.siblings > tuning.first_siblings:
                tuning.decline(request)
            else:  # where not even the first siblings are complete, what there is must do
                tuning.tell(request, row or cells[request.temperature, request.load])
