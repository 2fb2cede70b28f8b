"""The tables a sweep writes: their columns, units and meaning, kept in the Parquet files themselves."""

import pyarrow as pa

from sweeps.spec.errors import UsageError
from trainables.measuring.metric import Column
from trainables.measuring.registry import metrics_of

VERSION = "2"
_VERSION_KEY = b"three_regime_sweeps_schema"
VERSION_METADATA = {_VERSION_KEY: VERSION.encode()}

_IDENTITY = "identity"
FRACTION = "fraction in [0, 1]"
BLEU = "BLEU, in [0, 100]"


def column(name: str, kind: pa.DataType, unit: str, description: str, is_identity: bool = False) -> pa.Field:
    """A column of a table, with its unit and meaning in its metadata.

    Args:
        name: Of the column.
        kind: Of its values.
        unit: Of its values; empty for none.
        description: What it is, and what NaN means.
        is_identity: Whether it is one of those that tell a row from all others of the table.
    """
    metadata = {"unit": unit, "description": description} | ({_IDENTITY: "true"} if is_identity else {})
    return pa.field(name, kind, metadata=metadata)


def _where(is_identity: bool = False) -> list[pa.Field]:
    """Which dense model it is, or comes from."""
    return [
        column("data", pa.string(), "", "data set"),
        column("model", pa.string(), "", "architecture"),
        column("dense", pa.string(), "", "key of the training of the dense model", is_identity),
        column("dense_seed", pa.int64(), "", "seed of that training"),
        column("epoch", pa.int64(), "epochs", "epochs of dense training done when the model was taken", is_identity),
    ]


LABEL_FIELDS = [
    column("temperature_axis", pa.string(), "", "the temperature in the sweep that first had this point"),
    column("temperature", pa.float64(), "that of the axis", "its value"),
    column("load_axis", pa.string(), "", "what is the load"),
    column("load", pa.float64(), "that of the axis", "its value"),
    column("pruner", pa.string(), "", "pruning rule"),
]
LABEL = tuple(field.name for field in LABEL_FIELDS if field.name != "pruner")
"""Columns that say where a point lies in the sweep that first had it."""

_STATUS = [
    column("status", pa.string(), "", "ok; diverged: a loss was not finite, results are NaN; failed: no result"),
    column("message", pa.string(), "", "why it is not ok"),
]
_SPLIT_ERRORS = "1 - accuracy; NaN if diverged, failed or without such images"
_PROVENANCE = [
    column("seconds", pa.float64(), "seconds", "time it took, without waiting; a share of what ran together"),
    column("configuration", pa.string(), "", "everything that decides the result but the retrain seeds, as JSON"),
    column("created_at", pa.timestamp("us", "UTC"), "UTC", "when the row was written"),
    column("host", pa.string(), "", "machine"),
    column("device", pa.string(), "", "device that computed it; for a CPU with its number of threads"),
    column("package_version", pa.string(), "", "version of three-regime-sweeps"),
    column("commit", pa.string(), "", "commit of its source, if it was installed from a repository"),
    column("libraries", pa.string(), "", "versions of Python, torch, Ray; of sentencepiece and sacrebleu if installed"),
]


_HOW = "how the attempt computed that ended the training: precision and way, as bfloat16, compiled; empty if unknown"
_EXECUTION = column("execution", pa.string(), "", _HOW)
_TRAINING_LOSSES = "mean training loss of each epoch, with label smoothing that of the smoothed labels; NaN if unknown"
_LOSSES = column("losses", pa.list_(pa.float64()), "nats", _TRAINING_LOSSES)
_TEST_ERROR = column("test_error", pa.float64(), FRACTION, f"{_SPLIT_ERRORS}; test images")
_TRAIN_LOSS = column(
    "train_loss",
    pa.float64(),
    "nats",
    "mean cross entropy of the same training images as train_error, without label smoothing, whatever training "
    "minimizes; null in older rows, NaN if diverged or failed",
)
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


def _errors(models: str) -> list[pa.Field]:
    return [
        column("train_error", pa.float64(), FRACTION, f"{_SPLIT_ERRORS}; unaugmented training images, {models}"),
        column("validation_error", pa.float64(), FRACTION, f"{_SPLIT_ERRORS}; held-out training images"),
    ]


def _point(*seeds: tuple[str, str]) -> list[pa.Field]:
    """Where siblings of a point come from, and which of them these are."""
    point = column("point", pa.string(), "", "key of the point: of what decides it but the retrain seeds", True)
    return [point, *_where(), *LABEL_FIELDS, *(column(name, pa.int64(), "", of, True) for name, of in seeds)]


def _dense_models(*seeds: tuple[str, str]) -> list[pa.Field]:
    """Which dense models these are."""
    return [
        column("dense_models", pa.string(), "", "key of what decides dense models but their seeds", True),
        *(field for field in _where() if field.name in ("data", "model", "epoch")),
        *(column(name, pa.int64(), "", of, True) for name, of in seeds),
    ]


_MEASUREMENT = column("measurement", pa.string(), "", "key of the settings of the measurement", True)
_PER_WEIGHT = "nats per squared unit of weight"
_HESSIAN = "of the Hessian of the mean training loss, over all parameters; NaN if diverged or not finite"
_BARRIER = "negative for a barrier; NaN if diverged"
_SETTINGS = [
    _MEASUREMENT,
    column("path_points", pa.int64(), "", "positions on a path, ends included"),
    column("batch_norm_batch_size", pa.int64(), "images", "in a batch that re-estimates batch-norm statistics"),
    column("cka_images", pa.int64(), "images", "that CKA is taken on, or all if there are fewer"),
]
_FIRST = ("first_seed", "retrain seed of the sibling at position 0 of the path")
_SECOND = ("second_seed", "retrain seed of the sibling at position 1")
_MEASURED = {
    "run_metrics": _point(("retrain_seed", "seed of the retraining")),
    "pairs": _point(_FIRST, _SECOND),
    "dense_metrics": _dense_models(("dense_seed", "seed of the training")),
    "dense_pairs": _dense_models(("first_seed", "seed of the first training"), ("second_seed", "of the second")),
}
TABLES = {
    "dense": pa.schema(
        [
            *_where(is_identity=True),
            *_STATUS,
            *_errors("dense model"),
            _TEST_ERROR,
            _TRAIN_LOSS,
            *_SCORES_OF_TASKS,
            *_PQ,
            *_DATA,
            _LOSSES,
            _EXECUTION,
            *_PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "runs": pa.schema(
        [
            *_point(("retrain_seed", "seed of the retraining")),
            *_STATUS,
            *_errors("at the end; validation and test error are means over the last 5 epochs"),
            _TEST_ERROR,
            _TRAIN_LOSS,
            *_SCORES_OF_TASKS,
            column("pruning", pa.string(), "", "key of the run of a pruning method; empty without"),
            *_LEFT,
            *_PQ,
            *_DATA,
            column("stack", pa.list_(pa.int64()), "", "retrain seeds trained together; other stacks round differently"),
            _LOSSES,
            _EXECUTION,
            *_PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "pruned": pa.schema(
        [
            _PRUNING,
            column("target_density", pa.float64(), FRACTION, "density that was wanted; of filters their share", True),
            *_where(),
            column("pruner", pa.string(), "", "pruning method"),
            *_STATUS,
            *_LEFT,
            *_PQ,
            *_CHANGE,
            *_PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "rounds": pa.schema(
        [
            _PRUNING,
            column("round", pa.int64(), "", "training of the method, from 1; of masks that move its epoch", True),
            column("density", pa.float64(), FRACTION, "share of the prunable weights kept; NaN if not trained", True),
            *_where(),
            column("pruner", pa.string(), "", "pruning method"),
            *_STATUS,
            _LEFT[1],
            column("pq_index", pa.float64(), "in [0, 1]", "PQ Index after it, of sap with its own p and q"),
            _PQ[1],
            *_errors("model after it, before it is pruned further"),
            _TEST_ERROR,
            *_PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "curvature": pa.schema(
        [
            *_where(is_identity=True),
            _MEASUREMENT,
            column("hessian_images", pa.int64(), "images", "that the Hessian is of, or all if there are fewer"),
            column("hessian_products", pa.int64(), "", "products with the Hessian that its trace is estimated from"),
            *_STATUS,
            _errors("dense model")[0],
            _TRAIN_LOSS,
            column("hessian_eigenvalue", pa.float64(), _PER_WEIGHT, f"largest eigenvalue {_HESSIAN}"),
            column("hessian_trace", pa.float64(), _PER_WEIGHT, f"trace {_HESSIAN}"),
            column("hessian_trace_se", pa.float64(), _PER_WEIGHT, "standard error of that estimate; NaN likewise"),
            *_PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "connections": pa.schema(
        [
            column("curve", pa.string(), "", "key of what decides the curves of dense models but their seeds", True),
            *(field for field in _where() if field.name in ("data", "model", "epoch")),
            *(field for field in LABEL_FIELDS if field.name in LABEL),
            column("first_seed", pa.int64(), "", "seed of the dense model at position 0", True),
            column("second_seed", pa.int64(), "", "seed of the dense model at position 1", True),
            *_SETTINGS,
            column("curve_epochs", pa.int64(), "epochs", "in which the bend of the curve was trained"),
            column("curve_lr", pa.float64(), "", "learning rate of that training at its highest"),
            column("curve_batch_size", pa.int64(), "images", "in a step of it"),
            column("curve_start", pa.string(), "", "where the bend began: in the middle of the line"),
            *_STATUS,
            column("mc", pa.float64(), "error, in [-1, 1]", f"mode connectivity along the curve, {_BARRIER}"),
            column("line_mc", pa.float64(), "error, in [-1, 1]", f"the same along the line, {_BARRIER}"),
            column("cka", pa.float64(), "in [0, 1]", "similarity of softmax outputs on mixed-up training images"),
            *(
                column(f"{path}_{name}", pa.list_(pa.float64()), unit, f"{what} at even steps along the {path}")
                for path in ("curve", "line")
                for name, unit, what in (
                    ("errors", FRACTION, "training error"),
                    ("losses", "nats", "cross entropy of the training samples"),
                )
            ),
            _LOSSES,
            _EXECUTION,
            *_PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
    "filter_scores": pa.schema(
        [
            *_where(is_identity=True),
            column("measure", pa.string(), "", "measure of importance: the pruning rule that goes by it", True),
            *_STATUS,
            column("scores", pa.list_(pa.float64()), "that of the measure", _SCORES),
            *_PROVENANCE,
        ],
        metadata=VERSION_METADATA,
    ),
}
"""Tables of stages, but for what is measured; a new kind of stage adds its own."""


def table_schemas() -> dict[str, pa.Schema]:
    """Schemas of the tables by name.

    A row of ``dense`` is a dense model, of ``runs`` a sibling; ``pairs``, ``run_metrics``, ``dense_metrics`` and
    ``dense_pairs`` have what was measured of them, as far as there are such metrics, a row for each and its settings.
    """
    tables = dict(TABLES)
    for name, where in _MEASURED.items():
        columns = [_measured(each) for metric in metrics_of(name) for each in metric.columns]
        if columns:
            tables[name] = pa.schema([*where, *_SETTINGS, *_STATUS, *columns, *_PROVENANCE], metadata=VERSION_METADATA)
    return tables


def _measured(own: Column) -> pa.Field:
    kind = pa.list_(pa.float64()) if own.is_list else pa.float64()
    return column(own.name, kind, own.unit, f"{own.description}; null if not measured")


def identity(schema: pa.Schema) -> list[str]:
    """Columns that tell rows of a table apart."""
    return [field.name for field in schema if (field.metadata or {}).get(_IDENTITY.encode()) == b"true"]


def check_schema(schema: pa.Schema, file: str) -> None:
    """Raise UsageError unless a Parquet file was written with these schemas."""
    found = (schema.metadata or {}).get(_VERSION_KEY)
    if found is None:
        raise UsageError(f"{file} is not a table of this service; move it out of the results folder.")
    if found != VERSION.encode():
        raise UsageError(
            f"{file} has schema version {found.decode()!r}, but this version of the service reads {VERSION!r}; "
            "choose another --out, or read it with the version that wrote it."
        )
