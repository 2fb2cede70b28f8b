"""The texts of a diagram: on its page, and on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.table import Table

from sweeps.results.border import BAND
from sweeps.views.diagram import PhaseDiagram, Search
from sweeps.views.named_files import table_text
from sweeps.views.pictures import TitledDiagram


def titled(diagram: PhaseDiagram, what: str, searches: Sequence[Search] = ()) -> TitledDiagram:
    """A diagram with its title and caption.

    Args:
        diagram: What it shows.
        what: What it is of, in a few words.
        searches: Ways over the cells.
    """
    said = [
        diagram.rules,
        diagram.seeds and f"Means of {diagram.seeds}.",
        diagram.legend and f"Cells: {diagram.legend}.",
        "Dashed borders: of cells with a question mark." if any(not each.is_sure for each in diagram.borders) else "",
        f"Curves: fitted borders, with bands from {BAND[0]} % to {BAND[1]} %." if diagram.curves else "",
        *diagram.notes,
        "Red: temperatures in the order in which they were evaluated; framed: the choice." if searches else "",
    ]
    return TitledDiagram(diagram, f"Phase diagram: {what}", " ".join(filter(None, said)), searches)


def cells_as_text(diagram: PhaseDiagram) -> str:
    """What the cells of a diagram are in, as a table, and what its signs mean."""
    heading = f"{diagram.kind.capitalize()}s ({diagram.temperature_axis}, hot at the top, over {diagram.load_axis}):"
    table = Table(box=SIMPLE, collapse_padding=True)
    for column in (diagram.temperature_axis, *diagram.loads):
        table.add_column(column, justify="right", no_wrap=True)
    for temperature, marks in zip(diagram.temperatures, diagram.marks, strict=True):
        table.add_row(temperature, *marks)
    return "\n".join(filter(None, [heading, table_text(table), diagram.legend]))
