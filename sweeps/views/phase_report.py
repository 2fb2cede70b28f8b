"""A phase diagram with its texts, as a file, on the terminal and as tables."""

import io
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.box import SIMPLE
from rich.table import Table

from metrics.regimes import Thresholds
from sweeps.results.phase import diverged_note, phase_table
from sweeps.results.schema import PHASE
from sweeps.results.store import Store
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import SweepSpec
from sweeps.views.named_files import File, checked_file, default_output, print_table
from sweeps.views.phase_diagram import PhaseDiagram, Search, draw, phase_diagram

DIAGRAM = "phase_diagram.html"


def write_report(store: Store, spec: SweepSpec, out: str | None = None, or_elsewhere: bool = False) -> pd.DataFrame:
    """Write ``phase.parquet``, ``phase.csv`` and the diagram, and print the regimes and the diagram's path.

    Args:
        store: Where the results are.
        spec: Which of them to show, and with which boundaries of the regimes.
        out: Path of the diagram, ``phase_diagram.html`` in the store's folder if None.
        or_elsewhere: Of a store that cannot be written, leave out the tables, and draw into ``out`` or where pictures
            of other people's results go; a person is told.

    Returns:
        The phase table.

    Raises:
        UsageError: If a file cannot be written.
    """
    table = phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds, spec.measurement)
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, PHASE, preserve_index=False), content)
    file = checked_file("--out", out) if out else File(store.folder, DIAGRAM)
    try:
        File(store.folder, "phase.parquet").write(content.getvalue())
        File(store.folder, "phase.csv").write(table.to_csv(index=False).encode())
    except UsageError as error:
        if not or_elsewhere:
            raise
        print(f"Left out: {error}")
        file = checked_file("--out", out or default_output(str(store.folder), DIAGRAM))
    show_report(table, spec, file, spec.title)
    return table


def show_report(table: pd.DataFrame, spec: SweepSpec, file: File, title: str) -> None:
    """Draw a phase table, print its regimes, and say where the diagram is."""
    diagram = phase_diagram(table, spec.hot_is_low)
    write_diagram(file, diagram, title, spec.thresholds)
    _print_regimes(diagram)
    if note := diverged_note(table):
        print(note)
    print(f"Phase diagram: {file}")


def write_diagram(
    file: File, diagram: PhaseDiagram, what: str, thresholds: Thresholds, searches: Sequence[Search] = ()
) -> None:
    """Draw a diagram into a file.

    Raises:
        UsageError: If it cannot be written.
    """
    file.write(draw(diagram, *texts(diagram, what, thresholds, bool(searches)), searches).encode())


def texts(diagram: PhaseDiagram, what: str, thresholds: Thresholds, searched: bool) -> tuple[str, str]:
    """Title and caption of a diagram."""
    legend = diagram.legend and f"Cells: {diagram.legend}."
    way = "Red: temperatures in the order in which they were evaluated; framed: the choice." if searched else ""
    return f"Phase diagram: {what}", " ".join(filter(None, (_rules(thresholds), legend, way)))


def _rules(thresholds: Thresholds) -> str:
    similar = f"CKA at least {thresholds.cka:g}"
    if thresholds.rule == "relative":
        similar = f"CKA within {thresholds.margin:g} of the load's best"
    return f"Regime I: LMC below {thresholds.lmc:g}. Regime II-B: connected, {similar}. Regime II-A: connected, less."


def _print_regimes(diagram: PhaseDiagram) -> None:
    print(f"Regimes ({diagram.temperature_axis}, hot at the top, over {diagram.load_axis}):")
    table = Table(box=SIMPLE, collapse_padding=True)
    for heading in (diagram.temperature_axis, *diagram.loads):
        table.add_column(heading, justify="right", no_wrap=True)
    for temperature, marks in zip(diagram.temperatures, diagram.marks, strict=True):
        table.add_row(temperature, *marks)
    print_table(table)
    if diagram.legend:
        print(diagram.legend)
