"""Columns of the tables of the landscape of dense models: of its stages, and of what they say together."""

import pyarrow as pa

from sweeps.results.columns import (
    EXECUTION,
    FRACTION,
    LABEL,
    LABEL_FIELDS,
    LOSSES,
    MEASUREMENT,
    PROVENANCE,
    SETTINGS,
    STATUS,
    TRAIN_LOSS,
    VERSION_METADATA,
    column,
    errors,
    where,
)

_PER_WEIGHT = "nats per squared unit of weight"
_HESSIAN = "of the Hessian of the mean training loss, over all parameters; NaN if diverged or not finite"
_BARRIER = "negative for a barrier; NaN if diverged"
CURVATURE = pa.schema(
    [
        *where(is_identity=True),
        MEASUREMENT,
        column("hessian_images", pa.int64(), "images", "that the Hessian is of, or all if there are fewer"),
        column("hessian_products", pa.int64(), "", "products with the Hessian that its trace is estimated from"),
        *STATUS,
        errors("dense model")[0],
        TRAIN_LOSS,
        column("hessian_eigenvalue", pa.float64(), _PER_WEIGHT, f"largest eigenvalue {_HESSIAN}"),
        column("hessian_trace", pa.float64(), _PER_WEIGHT, f"trace {_HESSIAN}"),
        column("hessian_trace_se", pa.float64(), _PER_WEIGHT, "standard error of that estimate; NaN likewise"),
        *PROVENANCE,
    ],
    metadata=VERSION_METADATA,
)
"""One row for each dense model and settings of its curvature."""

CONNECTIONS = pa.schema(
    [
        column("curve", pa.string(), "", "key of what decides the curves of dense models but their seeds", True),
        *(field for field in where() if field.name in ("data", "model", "epoch")),
        *(field for field in LABEL_FIELDS if field.name in LABEL),
        column("first_seed", pa.int64(), "", "seed of the dense model at position 0", True),
        column("second_seed", pa.int64(), "", "seed of the dense model at position 1", True),
        *SETTINGS,
        column("curve_epochs", pa.int64(), "epochs", "in which the bend of the curve was trained"),
        column("curve_lr", pa.float64(), "", "learning rate of that training at its highest"),
        column("curve_batch_size", pa.int64(), "images", "in a step of it"),
        column("curve_start", pa.string(), "", "where the bend began: in the middle of the line"),
        *STATUS,
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
        LOSSES,
        EXECUTION,
        *PROVENANCE,
    ],
    metadata=VERSION_METADATA,
)
"""One row for each pair of dense models, curve and settings."""

_ENDS = {
    "low": "where its 95 % interval begins ({0}); NaN where it is not known",
    "high": "where it ends",
}
_OVER_SEEDS = "Student's, over the dense seeds, within the values that there can be"
_OF_LOGARITHMS = "Student's, over the dense seeds, of logarithms where all are positive"
_OVER_PAIRS = "Student's, with a standard error by jackknife over the dense seeds, of which pairs share some"
_MEAN = "mean over the dense models that did not diverge; NaN without any"
_PAIRS = "mean over the pairs of these; NaN without any"
_THRESHOLD = "with which the phase was told"


def _with_interval(name: str, unit: str, description: str, ends: str) -> list[pa.Field]:
    return [
        column(name, pa.float64(), unit, description),
        *(column(f"{name}_{end}", pa.float64(), unit, said.format(ends)) for end, said in _ENDS.items()),
    ]


LANDSCAPE = pa.schema(
    [
        *(
            column(
                field.name, field.type, field.metadata[b"unit"].decode(), field.metadata[b"description"].decode(), key
            )
            for field in LABEL_FIELDS
            for key in [field.name in ("temperature", "load")]
            if field.name in LABEL
        ),
        column("status", pa.string(), "", "first that applies: missing, failed, diverged, incomplete, ok"),
        column("phase", pa.string(), "", "I, II, III, IV-A or IV-B; IV where CKA is not known; null where undefined"),
        column("other_phases", pa.string(), "", "others that the intervals allow, separated by spaces"),
        *_with_interval(
            "train_loss", "nats", f"cross entropy of training images, evaluation mode: {_MEAN}", _OF_LOGARITHMS
        ),
        *_with_interval("mc", "error, in [-1, 1]", f"mode connectivity along trained curves: {_PAIRS}", _OVER_PAIRS),
        *_with_interval("line_mc", "error, in [-1, 1]", f"the same along straight lines: {_PAIRS}", _OVER_PAIRS),
        *_with_interval("cka", "in [0, 1]", f"similarity of outputs on mixed-up images: {_PAIRS}", _OVER_PAIRS),
        *_with_interval(
            "hessian_eigenvalue", _PER_WEIGHT, f"largest of the training loss's Hessian: {_MEAN}", _OF_LOGARITHMS
        ),
        *_with_interval("hessian_trace", _PER_WEIGHT, f"of that Hessian: {_MEAN}", _OF_LOGARITHMS),
        *_with_interval("test_error", FRACTION, _MEAN, _OVER_SEEDS),
        *_with_interval("validation_error", FRACTION, _MEAN, _OVER_SEEDS),
        *_with_interval("train_error", FRACTION, _MEAN, _OVER_SEEDS),
        column("n_models", pa.int64(), "", "dense models with status ok"),
        column("n_diverged", pa.int64(), "", "dense models that diverged, in no mean"),
        column("n_pairs", pa.int64(), "", "pairs with status ok"),
        column("loss_threshold", pa.float64(), "nats", f"largest training loss that is low, {_THRESHOLD}"),
        column("mc_threshold", pa.float64(), "error", f"least mode connectivity without a barrier, {_THRESHOLD}"),
        column("cka_threshold", pa.float64(), "in [0, 1]", f"least similarity of Phase IV-B, {_THRESHOLD}"),
    ],
    metadata=VERSION_METADATA,
)
"""One row for each temperature and load."""

POSITIVE = ("train_loss", "hessian_eigenvalue", "hessian_trace")
"""Columns whose values spread over powers of ten: of these intervals are those of logarithms."""
