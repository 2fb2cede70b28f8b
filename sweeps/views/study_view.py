"""How each study is read and drawn."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from sweeps.results.importance_table import CORRELATIONS, IMPORTANCE, importance_tables
from sweeps.results.prunability_table import ERRORS, PRUNABILITY, prunability_tables
from sweeps.results.sparsity_table import SPARSITY, sparsity_tables
from sweeps.results.store import Store
from sweeps.views.charts import Charts
from sweeps.views.importance_view import importance_charts, importance_words
from sweeps.views.prunability_view import prunability_charts, prunability_words
from sweeps.views.sparsity_view import sparsity_charts, sparsity_words

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class StudyView:
    """How a kind of study is read and drawn.

    Attributes:
        read: Gives its tables by name, of what is stored.
        schemas: Of these tables.
        charts: What the picture shows.
        words: What is said of it, a paragraph each.
    """

    read: Callable[[Any, Store], dict[str, pd.DataFrame]]
    schemas: Mapping[str, pa.Schema]
    charts: Callable[[Any, Tables], Charts]
    words: Callable[[Any, Tables], Iterator[str]]


VIEWS: dict[str, StudyView] = {
    "sparsity": StudyView(sparsity_tables, {"sparsity": SPARSITY}, sparsity_charts, sparsity_words),
    "importance": StudyView(
        importance_tables,
        {"importance": IMPORTANCE, "importance_correlations": CORRELATIONS},
        importance_charts,
        importance_words,
    ),
    "prunability": StudyView(
        prunability_tables,
        {"prunability": PRUNABILITY, "prunability_errors": ERRORS},
        prunability_charts,
        prunability_words,
    ),
}
"""By the names of studies."""
