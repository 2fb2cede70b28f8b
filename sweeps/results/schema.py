"""The tables a sweep writes: their columns, units and meaning, kept in the Parquet files themselves."""

import pyarrow as pa

from sweeps.results.pair_noise import PAIR_NOISE
from sweeps.spec.errors import UsageError
from trainables.measuring.metric import Column
from trainables.measuring.registry import metrics_of

VERSION = "2"
_VERSION_KEY = b"three_regime_sweeps_schema"
_VERSION = {_VERSION_KEY: VERSION.encode()}

_IDENTITY = "identity"
_FRACTION = "fraction in [0, 1]"


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


_LABEL = [
    column("temperature_axis", pa.string(), "", "the temperature in the sweep that first had this point"),
    column("temperature", pa.float64(), "that of the axis", "its value"),
    column("load_axis", pa.string(), "", "what is the load"),
    column("load", pa.float64(), "that of the axis", "its value"),
    column("pruner", pa.string(), "", "pruning rule"),
]
LABEL = tuple(field.name for field in _LABEL if field.name != "pruner")
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
    column("libraries", pa.string(), "", "versions of Python, torch and Ray"),
]


_HOW = "how the attempt computed that ended the training: precision and way, as bfloat16, compiled; empty if unknown"
_EXECUTION = column("execution", pa.string(), "", _HOW)
_TRAINING_LOSSES = "mean training loss of each epoch, with label smoothing that of the smoothed labels; NaN if unknown"
_LOSSES = column("losses", pa.list_(pa.float64()), "nats", _TRAINING_LOSSES)
_TEST_ERROR = column("test_error", pa.float64(), _FRACTION, f"{_SPLIT_ERRORS}; test images")
_LEFT = [
    column("density", pa.float64(), _FRACTION, "share of the prunable weights really kept"),
    column("density_by_layer", pa.map_(pa.string(), pa.float64()), _FRACTION, "the same by parameter"),
]
_PQ_INDEX = (
    "PQ Index (p 0.5, q 1) of the prunable weights that are kept, all together: larger is sparser; NaN if unknown"
)
_PQ = [
    column("pq_index", pa.float64(), "in [0, 1]", _PQ_INDEX),
    column("pq_index_by_layer", pa.map_(pa.string(), pa.float64()), "in [0, 1]", "the same by parameter"),
]
_PRUNING = column("pruning", pa.string(), "", "key of the run of a pruning method; empty without", True)


def _errors(models: str) -> list[pa.Field]:
    return [
        column("train_error", pa.float64(), _FRACTION, f"{_SPLIT_ERRORS}; unaugmented training images, {models}"),
        column("validation_error", pa.float64(), _FRACTION, f"{_SPLIT_ERRORS}; held-out training images"),
    ]


def _point(*seeds: tuple[str, str]) -> list[pa.Field]:
    """Where siblings of a point come from, and which of them these are."""
    point = column("point", pa.string(), "", "key of the point: of what decides it but the retrain seeds", True)
    return [point, *_where(), *_LABEL, *(column(name, pa.int64(), "", of, True) for name, of in seeds)]


def _dense_models(*seeds: tuple[str, str]) -> list[pa.Field]:
    """Which dense models these are."""
    return [
        column("dense_models", pa.string(), "", "key of what decides dense models but their seeds", True),
        *(field for field in _where() if field.name in ("data", "model", "epoch")),
        *(column(name, pa.int64(), "", of, True) for name, of in seeds),
    ]


_SETTINGS = [
    column("measurement", pa.string(), "", "key of the settings of the measurement", True),
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
            *_PQ,
            _LOSSES,
            _EXECUTION,
            *_PROVENANCE,
        ],
        metadata=_VERSION,
    ),
    "runs": pa.schema(
        [
            *_point(("retrain_seed", "seed of the retraining")),
            *_STATUS,
            *_errors("at the end; validation and test error are means over the last 5 epochs"),
            _TEST_ERROR,
            column("pruning", pa.string(), "", "key of the run of a pruning method; empty without"),
            *_LEFT,
            *_PQ,
            column("stack", pa.list_(pa.int64()), "", "retrain seeds trained together; other stacks round differently"),
            _LOSSES,
            _EXECUTION,
            *_PROVENANCE,
        ],
        metadata=_VERSION,
    ),
    "pruned": pa.schema(
        [
            _PRUNING,
            column("target_density", pa.float64(), _FRACTION, "density that was wanted; of filters their share", True),
            *_where(),
            column("pruner", pa.string(), "", "pruning method"),
            *_STATUS,
            *_LEFT,
            *_PQ,
            *_PROVENANCE,
        ],
        metadata=_VERSION,
    ),
    "rounds": pa.schema(
        [
            _PRUNING,
            column("round", pa.int64(), "", "training of the method, from 1; of masks that move its epoch", True),
            column("density", pa.float64(), _FRACTION, "share of the prunable weights kept; NaN if not trained", True),
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
        metadata=_VERSION,
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
            tables[name] = pa.schema([*where, *_SETTINGS, *_STATUS, *columns, *_PROVENANCE], metadata=_VERSION)
    return tables


def _measured(own: Column) -> pa.Field:
    kind = pa.list_(pa.float64()) if own.is_list else pa.float64()
    return column(own.name, kind, own.unit, f"{own.description}; null if not measured")


def identity(schema: pa.Schema) -> list[str]:
    """Columns that tell rows of a table apart."""
    return [field.name for field in schema if (field.metadata or {}).get(_IDENTITY.encode()) == b"true"]


_SE = "its standard error over {0}, as if they were independent: too small, since a dense model's are not; NaN below 2"
_SE_PAIRS = (
    "its standard error: jackknife over the siblings of each dense seed, corrected for few of them as if a pair's own "
    "noise had {0:g} times the variance of a sibling's; known to a third of itself from two dense seeds of three; "
    "NaN if one has but a pair"
)
_SE_DENSE = "its standard error over the means of the dense seeds; NaN for fewer than two"
_NORMALIZED = "minus the smallest of any temperature at this load; neither of nor for cells of which too many diverged"
_DENSE = "mean over the dense models that did not diverge, before pruning; NaN unless it is known of all of these"
_PROBABILITY = (
    "probability that the mean over many dense seeds and siblings is in Regime {0}, from standard errors over both; "
    "of one dense seed as if dense seeds differed as elsewhere; NaN where LMC, CKA or the noise of one is not known"
)
_LMC_THRESHOLD = "LMC below which a cell is in Regime I, the same for all cells: as given, or found in the table (auto)"
P_REGIMES = {"p_regime_1": "I", "p_regime_2a": "II-A", "p_regime_2b": "II-B"}
"""Columns of the probabilities of the regimes, which add up to 1; of Regime I also where CKA is not known."""

PHASE = pa.schema(
    [
        *(field for field in _LABEL if field.name in LABEL),
        column("density", pa.float64(), _FRACTION, "share of the prunable weights really kept"),
        column("status", pa.string(), "", "first that applies: missing, failed, diverged, incomplete, ok"),
        column("regime", pa.string(), "", "I, II-A or II-B; null where it is undefined, or too many diverged"),
        *(column(name, pa.float64(), "in [0, 1]", _PROBABILITY.format(of)) for name, of in P_REGIMES.items()),
        column("lmc_threshold", pa.float64(), "error", _LMC_THRESHOLD),
        column("test_error", pa.float64(), _FRACTION, "mean over the siblings with status ok; NaN without any"),
        column("test_error_se", pa.float64(), _FRACTION, _SE.format("siblings")),
        column("test_error_se_dense", pa.float64(), _FRACTION, _SE_DENSE),
        column("normalized_test_error", pa.float64(), _FRACTION, _NORMALIZED),
        column("validation_error", pa.float64(), _FRACTION, "mean, as test_error"),
        column("validation_error_se", pa.float64(), _FRACTION, _SE.format("siblings")),
        column("validation_images", pa.float64(), "", "held-out images that it was counted on; NaN without any"),
        column("train_error", pa.float64(), _FRACTION, "mean, as test_error"),
        column("train_error_se", pa.float64(), _FRACTION, _SE.format("siblings")),
        column("lmc", pa.float64(), "error, in [-1, 1]", "mean over the pairs with status ok; NaN without any"),
        column("lmc_se", pa.float64(), "error", _SE_PAIRS.format(PAIR_NOISE["lmc"])),
        column("lmc_se_dense", pa.float64(), "error", _SE_DENSE),
        column("cka", pa.float64(), "in [0, 1]", "mean over the pairs where it is defined"),
        column("cka_se", pa.float64(), "", _SE_PAIRS.format(PAIR_NOISE["cka"])),
        column("cka_se_dense", pa.float64(), "", _SE_DENSE),
        column("dense_validation_error", pa.float64(), _FRACTION, _DENSE),
        column("dense_test_error", pa.float64(), _FRACTION, "the same"),
        column("n_runs", pa.int64(), "", "siblings with status ok"),
        column("n_diverged", pa.int64(), "", "siblings that diverged, in no mean; of a diverged dense model all"),
        column("n_pairs", pa.int64(), "", "pairs with status ok"),
        column("n_dense_seeds", pa.int64(), "", "dense models with a sibling with status ok"),
        column("seconds", pa.float64(), "seconds", "of retraining and measuring, all siblings and pairs"),
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
