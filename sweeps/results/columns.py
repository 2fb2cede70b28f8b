"""Columns that several tables have, and how a column says its unit and meaning."""

import pyarrow as pa

VERSION = "2"
VERSION_KEY = b"three_regime_sweeps_schema"
VERSION_METADATA = {VERSION_KEY: VERSION.encode()}

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


def where(is_identity: bool = False) -> list[pa.Field]:
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

STATUS = [
    column("status", pa.string(), "", "ok; diverged: a loss was not finite, results are NaN; failed: no result"),
    column("message", pa.string(), "", "why it is not ok"),
]
_SPLIT_ERRORS = "1 - accuracy; NaN if diverged, failed or without such images"
PROVENANCE = [
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
EXECUTION = column("execution", pa.string(), "", _HOW)
_TRAINING_LOSSES = "mean training loss of each epoch, with label smoothing that of the smoothed labels; NaN if unknown"
LOSSES = column("losses", pa.list_(pa.float64()), "nats", _TRAINING_LOSSES)
TEST_ERROR = column("test_error", pa.float64(), FRACTION, f"{_SPLIT_ERRORS}; test images")
TRAIN_LOSS = column(
    "train_loss",
    pa.float64(),
    "nats",
    "mean cross entropy of the same training images as train_error, without label smoothing, whatever training "
    "minimizes; null in older rows, NaN if diverged or failed",
)
MEASUREMENT = column("measurement", pa.string(), "", "key of the settings of the measurement", True)
SETTINGS = [
    MEASUREMENT,
    column("path_points", pa.int64(), "", "positions on a path, ends included"),
    column("batch_norm_batch_size", pa.int64(), "images", "in a batch that re-estimates batch-norm statistics"),
    column("cka_images", pa.int64(), "images", "that CKA is taken on, or all if there are fewer"),
]


def errors(models: str) -> list[pa.Field]:
    """Errors of these models on training and held-out images."""
    return [
        column("train_error", pa.float64(), FRACTION, f"{_SPLIT_ERRORS}; unaugmented training images, {models}"),
        column("validation_error", pa.float64(), FRACTION, f"{_SPLIT_ERRORS}; held-out training images"),
    ]


def identity(schema: pa.Schema) -> list[str]:
    """Columns that tell rows of a table apart."""
    return [field.name for field in schema if (field.metadata or {}).get(_IDENTITY.encode()) == b"true"]
