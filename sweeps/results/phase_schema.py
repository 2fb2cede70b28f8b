"""Columns of the phase table, with their units and meaning."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa

from sweeps.results.columns import BLEU, FRACTION, LABEL, LABEL_FIELDS, VERSION_METADATA, column
from sweeps.results.pair_noise import PAIR_NOISE

_SE = "its standard error over {0}, as if they were independent: too small, since a dense model's are not; NaN below 2"
_SE_PAIRS = (
    "its standard error: jackknife over the siblings of each dense seed, corrected for few of them as if a pair's own "
    "noise had {0:g} times the variance of a sibling's; known to a third of itself from two dense seeds of three; "
    "NaN if one has but a pair"
)
_SE_DENSE = "its standard error over the means of the dense seeds; NaN for fewer than two"
_NORMALIZED = "minus the smallest of any temperature at this load; neither of nor for cells of which too many diverged"
_DENSE = "mean over the dense models that did not diverge, before pruning; NaN unless it is known of all of these"
_BLEU = "mean, as test_error, where the task is translation; NaN elsewhere"
_PROBABILITY = (
    "probability that the mean over many dense seeds and siblings is in Regime {0}, from standard errors over both; "
    "of one dense seed as if dense seeds differed as elsewhere; NaN where LMC, CKA or the noise of one is not known"
)
_LMC_THRESHOLD = "LMC below which a cell is in Regime I, the same for all cells: as given, or found in the table (auto)"
P_REGIMES = {"p_regime_1": "I", "p_regime_2a": "II-A", "p_regime_2b": "II-B"}
"""Columns of the probabilities of the regimes, which add up to 1; of Regime I also where CKA is not known."""

PHASE = pa.schema(
    [
        *(field for field in LABEL_FIELDS if field.name in LABEL),
        column("density", pa.float64(), FRACTION, "share of the prunable weights really kept"),
        column("status", pa.string(), "", "first that applies: missing, failed, diverged, incomplete, ok"),
        column("regime", pa.string(), "", "I, II-A or II-B; null where it is undefined, or too many diverged"),
        *(column(name, pa.float64(), "in [0, 1]", _PROBABILITY.format(of)) for name, of in P_REGIMES.items()),
        column("lmc_threshold", pa.float64(), "error", _LMC_THRESHOLD),
        column("test_error", pa.float64(), FRACTION, "mean over the siblings with status ok; NaN without any"),
        column("test_error_se", pa.float64(), FRACTION, _SE.format("siblings")),
        column("test_error_se_dense", pa.float64(), FRACTION, _SE_DENSE),
        column("normalized_test_error", pa.float64(), FRACTION, _NORMALIZED),
        column("validation_error", pa.float64(), FRACTION, "mean, as test_error"),
        column("validation_error_se", pa.float64(), FRACTION, _SE.format("siblings")),
        column("validation_images", pa.float64(), "", "held-out images that it was counted on; NaN without any"),
        column("train_error", pa.float64(), FRACTION, "mean, as test_error"),
        column("train_error_se", pa.float64(), FRACTION, _SE.format("siblings")),
        column("bleu", pa.float64(), BLEU, f"of test pairs: {_BLEU}"),
        column("bleu_se", pa.float64(), BLEU, _SE.format("siblings")),
        column("bleu_se_dense", pa.float64(), BLEU, _SE_DENSE),
        column("validation_bleu", pa.float64(), BLEU, f"of held-out pairs: {_BLEU}"),
        column("validation_bleu_se", pa.float64(), BLEU, _SE.format("siblings")),
        column("lmc", pa.float64(), "error, in [-1, 1]", "mean over the pairs with status ok; NaN without any"),
        column("lmc_se", pa.float64(), "error", _SE_PAIRS.format(PAIR_NOISE["lmc"])),
        column("lmc_se_dense", pa.float64(), "error", _SE_DENSE),
        column("cka", pa.float64(), "in [0, 1]", "mean over the pairs where it is defined"),
        column("cka_se", pa.float64(), "", _SE_PAIRS.format(PAIR_NOISE["cka"])),
        column("cka_se_dense", pa.float64(), "", _SE_DENSE),
        column("dense_validation_error", pa.float64(), FRACTION, _DENSE),
        column("dense_test_error", pa.float64(), FRACTION, "the same"),
        column("dense_validation_bleu", pa.float64(), BLEU, "the same"),
        column("dense_bleu", pa.float64(), BLEU, "the same, of test pairs"),
        column("n_runs", pa.int64(), "", "siblings with status ok"),
        column("n_diverged", pa.int64(), "", "siblings that diverged, in no mean; of a diverged dense model all"),
        column("n_pairs", pa.int64(), "", "pairs with status ok"),
        column("n_dense_seeds", pa.int64(), "", "dense models with a sibling with status ok"),
        column("seconds", pa.float64(), "seconds", "of retraining and measuring, all siblings and pairs"),
    ],
    metadata=VERSION_METADATA,
)
"""Schema of the phase table, one row for each temperature and load."""

SCORES = ("validation_bleu", "bleu", "dense_validation_bleu", "dense_bleu")
"""Columns of BLEU, of siblings and of dense models, as others are of errors."""

HIGH_IS_GOOD = ("lmc", "mc", "line_mc", "cka", *SCORES)
"""Columns of which the highest value is the best one. Of all others, those of a user's own table included, it is the
lowest. This is the one place that says so."""


class End(NamedTuple):
    """The better end of a column's values.

    Attributes:
        of: Takes the best of several: min or max.
        most: How it is called.
        more: What is better than another is that.
        sign: Factor that makes the best value the lowest.
    """

    of: Callable[..., Any]
    most: str
    more: str
    sign: int


def best_end(column: str) -> End:
    """Which end of a column's values is the better one."""
    return End(max, "highest", "higher", -1) if column in HIGH_IS_GOOD else End(min, "lowest", "lower", 1)
