"""The tables a sweep writes: their columns, units and meaning, kept in the Parquet files themselves."""

import pyarrow as pa

from sweeps.results.columns import (
    BLEU,
    EXECUTION,
    FRACTION,
    LABEL_FIELDS,
    LOSSES,
    PROVENANCE,
    SETTINGS,
    STATUS,
    TEST_ERROR,
    TRAIN_LOSS,
    VERSION,
    VERSION_KEY,
    VERSION_METADATA,
    column,
    errors,
    where,
)
from sweeps.results.landscape_schema import CONNECTIONS, CURVATURE
from sweeps.spec.errors import UsageError
from trainables.measuring.metric import Column
from trainables.measuring.registry import metrics_of

_BLEU = "of greedy decoding at the end of training; NaN if diverged or without such pairs, null without translation"
_SIGNATURE = "how both were computed: sacreBLEU's signature, and greedy decoding; null where they are"
_SCORES_OF_TASKS = [
    column("bleu", pa.float64(), BLEU, f"sacreBLEU of the test pairs, {_BLEU}, and in older rows"),
    column("validation_bleu", pa.float64(), BLEU, "the same of held-out pairs"),
    column("bleu_signature", pa.string(), "", _SIGNATURE),
]
"""What some tasks say of a model beside its errors (:meth:`trainables.tasks.task.Task.scores`)."""

_LEFT = [
    column("density", pa.float64(), FRACTION, "share of the prunable weights really kept"),
    column("density_by_layer", pa.map_(pa.string(), pa.float64()), FRACTION, "the same by parameter"),
]
_PQ_INDEX = (
    "PQ Index (p 0.5, q 1) of the prunable weights that are kept, all together: larger is sparser; NaN if unknown"
)
_PQ = [
    column("pq_index", pa.float64(), "in [0, 1]", _PQ_INDEX),
    column("pq_index_by_layer", pa.map_(pa.string(), pa.float64()), "in [0, 1]", "the same by parameter"),
]
_SAMPLE = "on 2,560 training images, of each class as many, in evaluation mode; null in older rows, NaN if diverged"
_GRADIENT = "L2 norm of that loss's gradient over all parameters"
_CHANGE = [
    column("loss_before", pa.float64(), "nats", f"mean loss of the model that is pruned here {_SAMPLE}"),
    column("loss_after", pa.float64(), "nats", "the same once it is pruned, neither rewound nor retrained"),
    column("gradient_norm_before", pa.float64(), "nats per unit of weight", f"{_GRADIENT}, before"),
    column("gradient_norm_after", pa.float64(), "nats per unit of weight", f"{_GRADIENT}, after"),
]
_SCORES = (
    "of each filter of the dense model, in the order of its layers; the lowest are pruned first; NaN where a gradient "
    "is not finite; empty if there are none, and message says why"
)
_DATA = [
    column(
        "data_dimension",
        pa.float64(),
        "",
        "intrinsic dimension of the training images as pixel values, not augmented, by maximum likelihood from "
        "distances to neighbours; infinite if all are equally far; NaN for too few distinct images",
    ),
    column("data_dimension_se", pa.float64(), "", "its standard error over images; NaN where it is NaN or infinite"),
    column("dimension_neighbours", pa.int64(), "", "neighbours of an image that it is estimated from"),
    column("data_duplicates", pa.int64(), "images", "left out as they equal another; null where it is NaN"),
]
DATA = tuple(field.name for field in _DATA)
"""Columns of what a model is trained on, which say nothing of the model."""

_PRUNING = column("pruning", pa.string(), "", "key of the run of a pruning method; empty without", True)


def _point(*seeds: tuple[str, str]) -> list[pa.Field]:
    """Where siblings of a point come from, and which of them these are."""
    point = column("point", pa.string(), "", "key of the point: of what decides it but the retrain seeds", True)
    return [point, *where(), *LABEL_FIELDS, *(column(name, pa.int64(), "", of, True) for name, of in seeds)]


_FIRST = ("first_seed", "retrain seed of the sibling at position 0 of the path")
_SECOND = ("second_seed", "retrain seed of the sibling at position 1")
_MEASURED = {
    "run_metrics": _point(("retrain_seed", "seed of the retraining")),
    "pairs": _point(_FIRST, _SECOND),
}
TABLES = {
    "dense": pa.schema(
        [
            *where(is_identity=True),
            *STATUS,
            *errors("dense model"),
            TEST_ERROR,
            TRAIN_LOSS,
            *_SCORES_OF_TASKS,
            *_PQ,
            *_DATA,
            LOSSES,
            EXECUTION,
            *PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "runs": pa.schema(
        [
            *_point(("retrain_seed", "seed of the retraining")),
            *STATUS,
            *errors("at the end; validation and test error are means over the last 5 epochs"),
            TEST_ERROR,
            TRAIN_LOSS,
            *_SCORES_OF_TASKS,
            column("pruning", pa.string(), "", "key of the run of a pruning method; empty without"),
            *_LEFT,
            *_PQ,
            *_DATA,
            column("stack", pa.list_(pa.int64()), "", "retrain seeds trained together; other stacks round differently"),
            LOSSES,
            EXECUTION,
            *PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "pruned": pa.schema(
        [
            _PRUNING,
            column("target_density", pa.float64(), FRACTION, "density that was wanted; of filters their share", True),
            *where(),
            column("pruner", pa.string(), "", "pruning method"),
            *STATUS,
            *_LEFT,
            *_PQ,
            *_CHANGE,
            *PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "rounds": pa.schema(
        [
            _PRUNING,
            column("round", pa.int64(), "", "training of the method, from 1; of masks that move its epoch", True),
            column("density", pa.float64(), FRACTION, "share of the prunable weights kept; NaN if not trained", True),
            *where(),
            column("pruner", pa.string(), "", "pruning method"),
            *STATUS,
            _LEFT[1],
            column("pq_index", pa.float64(), "in [0, 1]", "PQ Index after it, of sap with its own p and q"),
            _PQ[1],
            *errors("model after it, before it is pruned further"),
            TEST_ERROR,
            *PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "curvature": CURVATURE,
    "connections": CONNECTIONS,
    "filter_scores": pa.schema(
        [
            *where(is_identity=True),
            column("measure", pa.string(), "", "measure of importance: the pruning rule that goes by it", True),
            *STATUS,
            column("scores", pa.list_(pa.float64()), "that of the measure", _SCORES),
            *PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
}
"""Tables of stages, but for what is measured; a new kind of stage adds its own."""


def table_schemas() -> dict[str, pa.Schema]:
    """Schemas of the tables by name.

    A row of ``dense`` is a dense model, of ``runs`` a sibling; ``pairs`` and ``run_metrics`` have what was measured of
    siblings, as far as there are such metrics, a row for each and its settings.
    """
    tables = dict(TABLES)
    for name, siblings in _MEASURED.items():
        columns = [_measured(each) for metric in metrics_of(name) for each in metric.columns]
        if columns:
            tables[name] = pa.schema([*siblings, *SETTINGS, *STATUS, *columns, *PROVENANCE], metadata=VERSION_METADATA)
    return tables


def _measured(own: Column) -> pa.Field:
    kind = pa.list_(pa.float64()) if own.is_list else pa.float64()
    return column(own.name, kind, own.unit, f"{own.description}; null if not measured")


def check_schema(schema: pa.Schema, file: str) -> None:
    """Raise UsageError unless a Parquet file was written with these schemas."""
    found = (schema.metadata or {}).get(VERSION_KEY)
    if found is None:
        raise UsageError(f"{file} is not a table of this service; move it out of the results folder.")
    if found != VERSION.encode():
        raise UsageError(
            f"{file} has schema version {found.decode()!r}, but this version of the service reads {VERSION!r}; "
            "choose another --out, or read it with the version that wrote it."
        )
