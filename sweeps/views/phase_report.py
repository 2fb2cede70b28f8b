"""A phase diagram with its texts, as a file, on the terminal and as tables."""

from dataclasses import dataclass, field

import pandas as pd

from sweeps.results.phase import diverged_note, phase_table, resolved, threshold_note
from sweeps.results.phase_schema import PHASE
from sweeps.results.store import Store
from sweeps.results.table_files import table_files
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import SweepSpec
from sweeps.views.diagram import PhaseDiagram
from sweeps.views.diagram_texts import cells_as_text, titled
from sweeps.views.fitted_borders import with_fitted_borders
from sweeps.views.named_files import File, checked_picture, default_output
from sweeps.views.paper import Paper
from sweeps.views.phase_diagram import phase_diagram
from sweeps.views.pictures import write_picture

DIAGRAM = "phase_diagram.html"


@dataclass(frozen=True)
class Look:
    """How a diagram is drawn.

    Attributes:
        panels: Which of :data:`~sweeps.views.panels.PANELS`, in this order; all that are known if None.
        smooth: Whether borders are fitted curves.
        paper: How large a picture for a paper is.
    """

    panels: tuple[str, ...] | None = None
    smooth: bool = False
    paper: Paper = field(default_factory=Paper)


def write_report(
    store: Store, spec: SweepSpec, out: str | None = None, look: Look | None = None, or_elsewhere: bool = False
) -> pd.DataFrame:
    """Write ``phase.parquet``, ``phase.csv`` and the diagram, and print the regimes and the diagram's path.

    Args:
        store: Where the results are.
        spec: Which of them to show, and with which boundaries of the regimes.
        out: Path of the diagram, ``phase_diagram.html`` in the store's folder if None.
        look: How it is drawn.
        or_elsewhere: Of a store that cannot be written, leave out the tables, and draw into ``out`` or where pictures
            of other people's results go; a person is told.

    Returns:
        The phase table.

    Raises:
        UsageError: If a file cannot be written.
    """
    table = phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds, spec.measurement)
    file = checked_picture("--out", out) if out else File(store.folder, DIAGRAM)
    try:
        for name, content in table_files("phase", table, PHASE).items():
            File(store.folder, name).write(content)
    except UsageError as error:
        if not or_elsewhere:
            raise
        print(f"Left out: {error}")
        file = checked_picture("--out", out or default_output(str(store.folder), DIAGRAM))
    show_report(table, spec, file, spec.title, look)
    return table


def show_report(table: pd.DataFrame, spec: SweepSpec, file: File, title: str, look: Look | None = None) -> None:
    """Draw a phase table, print its regimes, and say where the diagram is."""
    look = look or Look()
    diagram = diagram_of(table, spec, look)
    thresholds = resolved(spec.thresholds, table)
    beside = write_picture(file, titled(diagram, title), look.paper)
    print(cells_as_text(diagram))
    if note := threshold_note(thresholds):
        print(note)
    if note := diverged_note(table):
        print(note)
    print(f"Phase diagram: {file}{beside}")


def diagram_of(table: pd.DataFrame, spec: SweepSpec, look: Look) -> PhaseDiagram:
    """What a diagram of a phase table shows."""
    thresholds = resolved(spec.thresholds, table)
    diagram = phase_diagram(table, spec.hot_is_low, thresholds, look.panels)
    return with_fitted_borders(diagram, table, thresholds, spec.hot_is_low) if look.smooth else diagram
