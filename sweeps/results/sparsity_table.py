"""The table of the study of sparsity: what each round of each method left."""

import math
from typing import Any

import pandas as pd
import pyarrow as pa

from sweeps.results.columns import column
from sweeps.results.store import Store
from sweeps.results.table_files import with_schema
from sweeps.spec.sparsity import Sparsity
from trainables.stages.dense import dense_part

_FRACTION = "fraction in [0, 1]"
_ERROR = "1 - accuracy of the model that the round trained; NaN without one"
_MAP = pa.map_(pa.string(), pa.float64())

SPARSITY = pa.schema(
    [
        column("method", pa.string(), "", "pruning method, and which weights it compares", True),
        column("temperature_axis", pa.string(), "", "the temperature of the dense model"),
        column("temperature", pa.float64(), "that of the axis", "its value", True),
        column("dense_seed", pa.int64(), "", "seed of the dense model", True),
        column("round", pa.int64(), "", "how often it was pruned; 0 is the dense model", True),
        column("status", pa.string(), "", "ok, diverged, failed, or missing: not there yet"),
        column("density", pa.float64(), _FRACTION, "share of the prunable weights that are left"),
        column("test_error", pa.float64(), _FRACTION, _ERROR),
        column("validation_error", pa.float64(), _FRACTION, _ERROR),
        column("train_error", pa.float64(), _FRACTION, _ERROR),
        column("pq_index", pa.float64(), "in [0, 1]", "PQ Index of what is left, after the round's training"),
        column("pq_index_by_layer", _MAP, "in [0, 1]", "the same of each layer, by parameter name"),
    ]
)
"""One row for each method, dense model and round."""

_MEASURED = ("density", "test_error", "validation_error", "train_error", "pq_index")


def sparsity_table(study: Sparsity, store: Store) -> pd.DataFrame:
    """What is stored of a study, in the columns of :data:`SPARSITY`; rounds that are not there yet are missing.

    Raises:
        UsageError: If a table is damaged.
    """
    runs = study.rounds_by_variant()
    stages = [stage for own in runs.values() for stage in own]
    rounds = _rows(store, "rounds", {stage.key for stage in stages}, "pruning", "round")
    parts = {dense_part(stage.run, stage.pruning.epoch) for stage in stages}
    dense = _rows(store, "dense", parts, "dense", "epoch")
    rows: list[dict[str, object]] = []
    for method, own in runs.items():
        for stage in own:
            label, run = stage.label, stage.pruning
            assert label is not None  # of every run of a study
            where = {
                "method": method,
                "temperature_axis": label.temperature_axis,
                "temperature": label.temperature,
                "dense_seed": stage.run.seed,
            }
            first = dense.get((stage.run.key, run.epoch), {}) | {"density": 1.0}
            if not study.has_published_norms(method):  # dense models have the index of the usual p and q
                first |= {"pq_index": math.nan, "pq_index_by_layer": None}
            found = {0: first} | {number: rounds.get((stage.key, number), {}) for number in stage.rounds}
            rows += [where | {"round": number} | _measured(row) for number, row in found.items()]
    return with_schema(rows, SPARSITY)


def sparsity_tables(study: Sparsity, store: Store) -> dict[str, pd.DataFrame]:
    """The table by its name; raises as :func:`sparsity_table`."""
    return {"sparsity": sparsity_table(study, store)}


def _rows(store: Store, table: str, parts: set[str], *identity: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows in these files of a table, by these columns."""
    there = store.table(table, parts=parts).to_pylist()
    return {tuple(row[name] for name in identity): row for row in there}


def _measured(row: dict[str, Any]) -> dict[str, Any]:
    """What is known of a round; of one that is no result nothing."""
    status = row.get("status", "missing")
    nothing: dict[str, Any] = dict.fromkeys(_MEASURED, math.nan) | {"pq_index_by_layer": None}
    known = {name: row[name] for name in nothing if status == "ok" and row.get(name) is not None}
    return {"status": status, **nothing, **known}
