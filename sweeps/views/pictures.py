"""Pictures as files and for the live page: diagrams of cells, and charts of curves."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sweeps.views import interactive_charts, interactive_diagram
from sweeps.views.charts import Charts
from sweeps.views.diagram import PhaseDiagram, Search
from sweeps.views.named_files import File, data_beside
from sweeps.views.paper import Paper


@dataclass(frozen=True)
class TitledDiagram:
    """A diagram with its texts.

    Attributes:
        diagram: What it shows.
        title: Of the page.
        caption: Sentences.
        searches: Ways over the cells.
    """

    diagram: PhaseDiagram
    title: str
    caption: str
    searches: Sequence[Search] = ()

    @property
    def data(self) -> pd.DataFrame:
        """What is drawn, a row for each cell."""
        return self.diagram.data


Picture = TitledDiagram | Charts


def page_of(picture: Picture) -> str:
    """One HTML page that needs nothing else."""
    if isinstance(picture, Charts):
        return interactive_charts.draw(picture)
    return interactive_diagram.draw(picture.diagram, picture.title, picture.caption, picture.searches)


def json_of(picture: Picture) -> str:
    """The same as JSON for a page that has plotly."""
    if isinstance(picture, Charts):
        return interactive_charts.draw_json(picture)
    return interactive_diagram.draw_json(picture.diagram, picture.title, picture.caption, picture.searches)


def write_picture(file: File, picture: Picture, paper: Paper | None = None) -> str:
    """Draw into a file, and write what is drawn beside it if it is for a paper.

    Returns:
        What there is to say of the data; empty without.

    Raises:
        UsageError: If a file cannot be written.
    """
    data = data_beside(file.name)
    if data is None:
        file.write(page_of(picture).encode())
        return ""
    file.write(_printed(picture, file.name.lower().rpartition(".")[2], paper or Paper()))
    table = File(file.folder, data)
    table.write(picture.data.to_csv(index=False).encode())
    return f" (its data: {table})"


def _printed(picture: Picture, kind: str, paper: Paper) -> bytes:
    if isinstance(picture, Charts):
        from sweeps.views.printed_charts import draw_printed_charts

        return draw_printed_charts(picture, kind, paper)
    from sweeps.views.printed_diagram import draw_printed

    return draw_printed(picture.diagram, picture.caption, kind, paper, picture.searches)
