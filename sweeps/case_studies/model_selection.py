"""Case study 2 of Zhou et al. 2023: which of several trained models to prune. Algorithms 2 and 2.1, as we read them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sweeps.case_studies.boundary import Row
from sweeps.results.phase import is_left_out, none_if_nan
from sweeps.results.phase_schema import SCORES, best_end

DenseError = Literal["dense_validation_error", "dense_test_error", "dense_validation_bleu", "dense_bleu"]
"""Columns by which dense models can be compared. The paper takes test images, which then choose what they judge.
BLEU is no error: of it the highest is the best."""

Choice = tuple[Row | None, str]
Chooser = Callable[[Sequence[Row], float, DenseError], Choice]


@dataclass(frozen=True)
class Selection:
    """What one method chooses for one load.

    Attributes:
        method: Its name.
        chosen: The candidate, in columns of the phase table; None if the method cannot tell.
        reason: Why.
        select_by: Error of the dense models by which they were compared, where the method does that.
        regret: Test error of its pruned siblings minus the lowest of all candidates; NaN if not known.
    """

    method: str
    chosen: Row | None
    reason: str
    select_by: DenseError
    regret: float

    @property
    def regime(self) -> str | None:
        """Regime of its pruned siblings."""
        return None if self.chosen is None else self.chosen["regime"]

    def as_json(self) -> dict[str, Any]:
        """Plain data; None for what is not known."""
        chosen = self.chosen or {}
        names = ("temperature", *get_args(DenseError), "lmc", "cka", "test_error", "bleu")
        values = {name: none_if_nan(chosen.get(name, math.nan)) for name in names}
        regret = none_if_nan(self.regret)
        words = {"reason": self.reason, "select_by": self.select_by}
        return {"method": self.method, **values, "regime": self.regime, "regret": regret, **words}


def _best(candidates: Sequence[Row], column: str, words: str) -> Choice:
    known = [row for row in candidates if not math.isnan(row.get(column, math.nan))]
    if not known or len(known) < len(candidates):
        return None, f"{column} is not known of all candidates"
    return best_end(column).of(known, key=lambda row: row[column]), words


def _connected(candidates: Sequence[Row], threshold: float, among: Callable[[Sequence[Row]], Choice]) -> Choice:
    """Choose among the connected candidates; if there are none, the one with the largest LMC."""
    known = [row for row in candidates if not math.isnan(row["lmc"])]
    if not known:
        return None, "LMC is not known of any candidate"
    connected = [row for row in known if row["lmc"] >= threshold]
    if not connected:
        return max(known, key=lambda row: row["lmc"]), "all are in Regime I: the largest LMC"
    chosen, words = among(connected)
    return chosen, f"{words} of the {len(connected)} not in Regime I" if chosen is not None else words


def _baseline(candidates: Sequence[Row], threshold: float, select_by: DenseError) -> Choice:
    return _best(candidates, select_by, f"{best_end(select_by).most} {select_by.replace('_', ' ')}")


def _algorithm_2(candidates: Sequence[Row], threshold: float, select_by: DenseError) -> Choice:
    return _connected(candidates, threshold, lambda rows: _baseline(rows, threshold, select_by))


def _algorithm_2_1(candidates: Sequence[Row], threshold: float, select_by: DenseError) -> Choice:
    def most_similar(rows: Sequence[Row]) -> Choice:
        known = [row for row in rows if not math.isnan(row.get("cka", math.nan))]
        return (max(known, key=lambda row: row["cka"]), "highest CKA") if known else (None, "cka is not known")

    return _connected(candidates, threshold, most_similar)


def _oracle(candidates: Sequence[Row], threshold: float, select_by: DenseError) -> Choice:
    known = [row for row in candidates if not math.isnan(row["test_error"])]
    return _best(known, "test_error", "lowest test error after pruning")


METHODS: dict[str, Chooser] = {
    "dense error": _baseline,
    "Algorithm 2": _algorithm_2,
    "Algorithm 2.1": _algorithm_2_1,
    "oracle": _oracle,
}
"""Ways to choose, given the candidates, the threshold of LMC, and which error of dense models to compare.

The first and the last look at no siblings' LMC, the last two at no error of the dense models.
"""


def select(candidates: Sequence[Row], lmc_threshold: float, select_by: DenseError | None = None) -> list[Selection]:
    """Choose the model to prune by every method.

    Algorithm 2 drops candidates whose pruned siblings are in Regime I and takes the lowest error of the *dense* model
    among the rest; Algorithm 2.1 takes the highest CKA among the rest. If none is left, both take the largest LMC (Zhou
    et al. 2023, section 5.2; our interpretation).

    Args:
        candidates: Of one load, in columns of the phase table: those of :data:`DenseError`, and ``lmc``, ``cka`` and
            ``test_error`` of the siblings pruned from them, and their ``regime``. NaN is not known. Those of whose
            siblings too many diverged (:data:`sweeps.results.phase.MOST_DIVERGED`) are no candidates.
        lmc_threshold: Regime I is where LMC lies below.
        select_by: The error of the dense models, or their BLEU; if None the validation error, where it is known of all
            candidates, otherwise the test error, which is the paper's.
    """
    rows = [row for row in candidates if not is_left_out(row) and not _unknown(row)]
    if select_by is None:
        known = not any(math.isnan(row.get("dense_validation_error", math.nan)) for row in rows)
        select_by = "dense_validation_error" if known else "dense_test_error"
    best = min((row["test_error"] for row in rows if not math.isnan(row["test_error"])), default=math.nan)
    selections = []
    for method, choose in METHODS.items():
        chosen, reason = choose(rows, lmc_threshold, select_by)
        regret = math.nan if chosen is None else chosen["test_error"] - best
        name = method.replace("error", "BLEU") if select_by in SCORES else method
        selections.append(Selection(name, chosen, reason, select_by, regret))
    return selections


def _unknown(row: Row) -> bool:
    """Whether nothing is known of a candidate: its training failed."""
    return all(math.isnan(row.get(name, math.nan)) for name in ("lmc", *get_args(DenseError)))
