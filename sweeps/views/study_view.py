"""How each study is read and drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from sweeps.results.importance_table import CORRELATIONS, IMPORTANCE, importance_tables
from sweeps.results.landscape_schema import LANDSCAPE
from sweeps.results.landscape_table import landscape_tables
from sweeps.results.prunability_table import ERRORS, PRUNABILITY, prunability_tables
from sweeps.results.sparsity_table import SPARSITY, sparsity_tables
from sweeps.results.store import Store
from sweeps.views.charts import Charts
from sweeps.views.importance_view import importance_charts, importance_words
from sweeps.views.landscape_view import landscape_picture, landscape_words
from sweeps.views.pictures import Picture
from sweeps.views.prunability_view import prunability_charts, prunability_words
from sweeps.views.sparsity_view import sparsity_charts, sparsity_words

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class StudyView:
    """How a kind of study is read and drawn.

    Attributes:
        read: Gives its tables by name, of what is stored.
        schemas: Of these tables.
        picture: What is drawn; of a diagram of cells these panels, or all that are known.
        words: What is said of it, a paragraph each.
    """

    read: Callable[[Any, Store], dict[str, pd.DataFrame]]
    schemas: Mapping[str, pa.Schema]
    picture: Callable[[Any, Tables, Sequence[str] | None], Picture]
    words: Callable[[Any, Tables], Iterator[str]]


def _of(charts: Callable[[Any, Tables], Charts]) -> Callable[[Any, Tables, Sequence[str] | None], Picture]:
    """A picture without panels to choose."""
    return lambda study, tables, panels: charts(study, tables)


VIEWS: dict[str, StudyView] = {
    "sparsity": StudyView(sparsity_tables, {"sparsity": SPARSITY}, _of(sparsity_charts), sparsity_words),
    "importance": StudyView(
        importance_tables,
        {"importance": IMPORTANCE, "importance_correlations": CORRELATIONS},
        _of(importance_charts),
        importance_words,
    ),
    "prunability": StudyView(
        prunability_tables,
        {"prunability": PRUNABILITY, "prunability_errors": ERRORS},
        _of(prunability_charts),
        prunability_words,
    ),
    "landscape": StudyView(landscape_tables, {"landscape": LANDSCAPE}, landscape_picture, landscape_words),
}
"""By the names of studies."""
