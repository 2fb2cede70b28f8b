"""A phase diagram with its texts, as a file, on the terminal and as tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table

from metrics.regimes import Thresholds
from sweeps.results.border import BAND
from sweeps.results.phase import diverged_note, phase_table, resolved, threshold_note
from sweeps.results.phase_schema import PHASE
from sweeps.results.store import Store
from sweeps.results.table_files import table_files
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import SweepSpec
from sweeps.views.fitted_borders import with_fitted_borders
from sweeps.views.interactive_diagram import draw
from sweeps.views.named_files import File, checked_picture, data_beside, default_output, print_table
from sweeps.views.paper import Paper
from sweeps.views.phase_diagram import PhaseDiagram, Search, phase_diagram

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
    beside = write_diagram(file, diagram, title, thresholds, look)
    _print_regimes(diagram)
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


def write_diagram(
    file: File,
    diagram: PhaseDiagram,
    what: str,
    thresholds: Thresholds,
    look: Look | None = None,
    searches: Sequence[Search] = (),
) -> str:
    """Draw a diagram into a file, and write its data beside it if it is for a paper.

    Returns:
        What there is to say of the data; empty without.

    Raises:
        UsageError: If a file cannot be written.
    """
    title, caption = texts(diagram, what, thresholds, bool(searches))
    data = data_beside(file.name)
    if data is None:
        file.write(draw(diagram, title, caption, searches).encode())
        return ""
    from sweeps.views.printed_diagram import draw_printed

    kind = file.name.lower().rpartition(".")[2]
    file.write(draw_printed(diagram, caption, kind, (look or Look()).paper, searches))
    table = File(file.folder, data)
    table.write(diagram.data.to_csv(index=False).encode())
    return f" (its data: {table})"


def texts(diagram: PhaseDiagram, what: str, thresholds: Thresholds, searched: bool) -> tuple[str, str]:
    """Title and caption of a diagram, whose boundaries are numbers."""
    said = [
        _rules(thresholds),
        diagram.seeds and f"Means of {diagram.seeds}.",
        diagram.legend and f"Cells: {diagram.legend}.",
        "Dashed borders: of cells with a question mark." if any(not each.is_sure for each in diagram.borders) else "",
        f"Curves: fitted borders, with bands from {BAND[0]} % to {BAND[1]} %." if diagram.curves else "",
        *diagram.notes,
        "Red: temperatures in the order in which they were evaluated; framed: the choice." if searched else "",
    ]
    return f"Phase diagram: {what}", " ".join(filter(None, said))


def _rules(thresholds: Thresholds) -> str:
    similar = f"CKA at least {thresholds.cka:g}"
    if thresholds.rule == "relative":
        similar = f"CKA within {thresholds.margin:g} of the load's best"
    least = f"{thresholds.lmc:.3g} (found in these cells)" if thresholds.lmc_reason else f"{thresholds.lmc:g}"
    least = least.replace("-", "−")
    return f"Regime I: LMC below {least}. Regime II-B: connected, {similar}. Regime II-A: connected, less."


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
