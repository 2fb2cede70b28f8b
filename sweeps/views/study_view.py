"""How each study is read and drawn."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from sweeps.results.importance_table import CORRELATIONS, IMPORTANCE, correlation_table, importance_table
from sweeps.results.prunability_table import ERRORS, PRUNABILITY, error_table, prunability_table
from sweeps.results.sparsity_table import SPARSITY, sparsity_table
from sweeps.results.store import Store
from sweeps.spec.study import Study
from sweeps.views.charts import Charts
from sweeps.views.importance_view import importance_charts, importance_words
from sweeps.views.prunability_view import prunability_charts, prunability_words
from sweeps.views.sparsity_view import sparsity_charts, sparsity_words

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class StudyView:
    """How a kind of study is read and drawn.

    Attributes:
        tables: Gives each of its tables, with its schema, by name.
        charts: What the picture shows.
        words: What is said of it, a paragraph each.
    """

    tables: Mapping[str, tuple[Callable[[Any, Store], pd.DataFrame], pa.Schema]]
    charts: Callable[[Any, Tables], Charts]
    words: Callable[[Any, Tables], Iterator[str]]

    def read(self, study: Study, store: Store) -> dict[str, pd.DataFrame]:
        """Its tables, of what is stored."""
        return {name: table(study, store) for name, (table, _) in self.tables.items()}


VIEWS: dict[str, StudyView] = {
    "sparsity": StudyView({"sparsity": (sparsity_table, SPARSITY)}, sparsity_charts, sparsity_words),
    "importance": StudyView(
        {
            "importance": (importance_table, IMPORTANCE),
            "importance_correlations": (correlation_table, CORRELATIONS),
        },
        importance_charts,
        importance_words,
    ),
    "prunability": StudyView(
        {"prunability": (prunability_table, PRUNABILITY), "prunability_errors": (error_table, ERRORS)},
        prunability_charts,
        prunability_words,
    ),
}
"""By the names of studies."""
