"""Carrying out a search on recorded results instead of training: the same decisions in no time. No Ray, no torch."""

import pandas as pd

from sweeps.case_studies.temperature_tuning import TemperatureTuning
from sweeps.results.phase import rows_of
from sweeps.results.recorded import lacking_cells
from sweeps.spec.errors import UsageError


def replay(tuning: TemperatureTuning, table: pd.DataFrame) -> None:
    """Tell a search what a phase table holds, until it wants nothing more.

    Raises:
        UsageError: If it wants cells that the table lacks.
    """
    cells = {(row["temperature"], row["load"]): row for row in rows_of(table)}
    while requests := tuning.wanted:
        if lacking := lacking_cells(table, [(request.temperature, request.load) for request in requests]):
            said = "the table has no results of"
            raise UsageError(f"--replay: {said} {', '.join(lacking)}; record them, or leave them out.")
        for request in requests:
            tuning.tell(request.load, cells[request.temperature, request.load])
