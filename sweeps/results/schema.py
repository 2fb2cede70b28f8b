"""The tables a sweep writes: their columns, units and meaning, kept in the Parquet files themselves."""

import pyarrow as pa

from sweeps.spec.errors import UsageError
from sweeps.results.pair_noise import PAIR_NOISE

VERSION = "1"
_VERSION_KEY = b"three_regime_sweeps_schema"
_VERSION = {_VERSION_KEY: VERSION.encode()}

_FRACTION = "fraction in [0, 1]"


def _column(name: str, kind: pa.DataType, unit: str, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"unit": unit, "description": description})


_WHERE = [
    _column("data", pa.string(), "", "data set"),
    _column("model", pa.string(), "", "architecture"),
    _column("dense", pa.string(), "", "key of the training of the dense model"),
    _column("dense_seed", pa.int64(), "", "seed of that training"),
    _column("epoch", pa.int64(), "epochs", "epochs of dense training done when the model was taken"),
]
_POINT = [
    _column("point", pa.string(), "", "key of the point: of everything that decides it but the retrain seeds"),
    *_WHERE,
    _column("temperature_axis", pa.string(), "", "the temperature in the sweep that first had this point"),
    _column("temperature", pa.float64(), "that of the axis", "its value"),
    _column("load_axis", pa.string(), "", "what is the load"),
    _column("load", pa.float64(), "that of the axis", "its value"),
    _column("pruner", pa.string(), "", "pruning rule"),
]
_STATUS = [
    _column("status", pa.string(), "", "ok; diverged: a loss was not finite, results are NaN; failed: no result"),
    _column("message", pa.string(), "", "why it is not ok"),
]
_SPLIT_ERRORS = "1 - accuracy; NaN if diverged, failed or without such images"
_PROVENANCE = [
    _column("seconds", pa.float64(), "seconds", "time it took, without waiting; a share of what ran together"),
    _column("configuration", pa.string(), "", "everything that decides the result but the retrain seeds, as JSON"),
    _column("created_at", pa.timestamp("us", "UTC"), "UTC", "when the row was written"),
    _column("host", pa.string(), "", "machine"),
    _column("device", pa.string(), "", "device that computed it; for a CPU with its number of threads"),
    _column("package_version", pa.string(), "", "version of three-regime-sweeps"),
    _column("commit", pa.string(), "", "commit of its source, if it was installed from a repository"),
    _column("libraries", pa.string(), "", "versions of Python, torch and Ray"),
]


_TRAINING_LOSSES = "mean training loss of each epoch, with label smoothing that of the smoothed labels; NaN if unknown"
_LOSSES = _column("losses", pa.list_(pa.float64()), "nats", _TRAINING_LOSSES)
_TEST_ERROR = _column("test_error", pa.float64(), _FRACTION, f"{_SPLIT_ERRORS}; test images")


def _errors(models: str) -> list[pa.Field]:
    return [
        _column("train_error", pa.float64(), _FRACTION, f"{_SPLIT_ERRORS}; unaugmented training images, {models}"),
        _column("validation_error", pa.float64(), _FRACTION, f"{_SPLIT_ERRORS}; held-out training images"),
    ]


TABLES = {
    "dense": pa.schema(
        [*_WHERE, *_STATUS, *_errors("dense model"), _TEST_ERROR, _LOSSES, *_PROVENANCE], metadata=_VERSION
    ),
    "runs": pa.schema(
        [
            *_POINT,
            _column("retrain_seed", pa.int64(), "", "seed of the retraining"),
            *_STATUS,
            *_errors("at the end; validation and test error are means over the last 5 epochs"),
            _TEST_ERROR,
            _column("density", pa.float64(), _FRACTION, "share of the prunable weights really kept"),
            _column("density_by_layer", pa.map_(pa.string(), pa.float64()), _FRACTION, "the same by parameter"),
            _column(
                "stack", pa.list_(pa.int64()), "", "retrain seeds trained together; other stacks round differently"
            ),
            _LOSSES,
            *_PROVENANCE,
        ],
        metadata=_VERSION,
    ),
    "pairs": pa.schema(
        [
            *_POINT,
            _column("first_seed", pa.int64(), "", "retrain seed of the sibling at position 0 of the path"),
            _column("second_seed", pa.int64(), "", "retrain seed of the sibling at position 1"),
            *_STATUS,
            _column(
                "lmc",
                pa.float64(),
                "error, in [-1, 1]",
                "linear mode connectivity, negative for a barrier; NaN if diverged",
            ),
            _column("cka", pa.float64(), "in [0, 1]", "similarity of the softmax outputs; NaN if undefined"),
            _column("path_errors", pa.list_(pa.float64()), _FRACTION, "training error at even steps along the path"),
            *_PROVENANCE,
        ],
        metadata=_VERSION,
    ),
}
"""Schemas of the tables: a row of ``dense`` is a dense model, of ``runs`` a sibling, of ``pairs`` two siblings."""

_SE = "its standard error over {0}, as if they were independent: too small, since a dense model's are not; NaN below 2"
_SE_PAIRS = (
    "its standard error: jackknife over the siblings of each dense seed, corrected for few of them as if a pair's own "
    "noise had {0:g} times the variance of a sibling's; known to a third of itself from two dense seeds of three; "
    "NaN if one has but a pair"
)
_SE_DENSE = "its standard error over the means of the dense seeds; NaN for fewer than two"
_NORMALIZED = "minus the smallest of any temperature at this load; neither of nor for cells of which too many diverged"
_DENSE = "mean over the dense models that did not diverge, before pruning; NaN unless it is known of all of these"
PHASE = pa.schema(
    [
        *(field for field in _POINT if field.name in ("temperature_axis", "temperature", "load_axis", "load")),
        _column("density", pa.float64(), _FRACTION, "share of the prunable weights really kept"),
        _column("status", pa.string(), "", "first that applies: missing, failed, diverged, incomplete, ok"),
        _column("regime", pa.string(), "", "I, II-A or II-B; null where it is undefined, or too many diverged"),
        _column("test_error", pa.float64(), _FRACTION, "mean over the siblings with status ok; NaN without any"),
        _column("test_error_se", pa.float64(), _FRACTION, _SE.format("siblings")),
        _column("test_error_se_dense", pa.float64(), _FRACTION, _SE_DENSE),
        _column("normalized_test_error", pa.float64(), _FRACTION, _NORMALIZED),
        _column("validation_error", pa.float64(), _FRACTION, "mean, as test_error"),
        _column("validation_error_se", pa.float64(), _FRACTION, _SE.format("siblings")),
        _column("train_error", pa.float64(), _FRACTION, "mean, as test_error"),
        _column("lmc", pa.float64(), "error, in [-1, 1]", "mean over the pairs with status ok; NaN without any"),
        _column("lmc_se", pa.float64(), "error", _SE_PAIRS.format(PAIR_NOISE["lmc"])),
        _column("lmc_se_dense", pa.float64(), "error", _SE_DENSE),
        _column("cka", pa.float64(), "in [0, 1]", "mean over the pairs where it is defined"),
        _column("cka_se", pa.float64(), "", _SE_PAIRS.format(PAIR_NOISE["cka"])),
        _column("cka_se_dense", pa.float64(), "", _SE_DENSE),
        _column("dense_validation_error", pa.float64(), _FRACTION, _DENSE),
        _column("dense_test_error", pa.float64(), _FRACTION, "the same"),
        _column("n_runs", pa.int64(), "", "siblings with status ok"),
        _column("n_diverged", pa.int64(), "", "siblings that diverged, in no mean; of a diverged dense model all"),
        _column("n_pairs", pa.int64(), "", "pairs with status ok"),
        _column("n_dense_seeds", pa.int64(), "", "dense models with a sibling with status ok"),
        _column("seconds", pa.float64(), "seconds", "of retraining and measuring, all siblings and pairs"),
    ],
    metadata=_VERSION,
)
"""Schema of the phase table, one row for each temperature and load."""


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
