"""What a search for a temperature answers, with the way to it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sweeps.case_studies.boundary import Row, is_undecided, noise_is_known
from sweeps.results.phase import diverged_of, is_left_out, none_if_nan

Decision = Literal["hotter", "colder", "stop"]

SMALL = 0.005
"""LMC nearer to 0 is told with two digits."""

NOTABLE = 0.05
"""What other cells say is told from this difference of probabilities on."""


@dataclass
class Visit:
    """A temperature that was evaluated at a load.

    Attributes:
        row: What was measured, in the columns of the phase table.
        siblings: Of each dense model; 0 if that was not up to the search.
        p_connected: Probability that it is connected, by its own LMC; None if it is left out.
        p_together: The same by all cells that were evaluated; with ``step``, by its own alone.
        decision: Where the search went from here.
        because: Why it went there.
        before: What was found with fewer siblings.
    """

    row: Row
    siblings: int = 0
    p_connected: float | None = None
    p_together: float | None = None
    decision: Decision = "stop"
    because: str = ""
    before: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """What was found, and where the search went from here, for a person."""
        return "; ".join(filter(None, [*self.before, self._found, self.because]))

    def told(self, row: Row, siblings: int) -> None:
        """Take what was measured, perhaps again with more siblings."""
        if self.siblings:
            what = "was undecided" if noise_is_known(self.row) else "does not tell its noise"
            self.before.append(f"{_lmc(self.row)} with {self.siblings} siblings {what}")
        self.row, self.siblings = row, siblings

    @property
    def _found(self) -> str:
        if is_left_out(self.row):
            return f"{diverged_of(self.row)} siblings diverged: left out"
        if self.p_connected is None or self.p_together is None:
            status = self.row.get("status", "no value")
            return "it failed" if status == "failed" else f"LMC is undefined ({status}): left out"
        said = f"{_lmc(self.row)}: connected with probability {self.p_connected:.2f}"
        if is_undecided(self.p_connected) and abs(self.p_together - self.p_connected) >= NOTABLE:
            said += f", with what other cells say {self.p_together:.2f}"
        return said

    def as_json(self, regime: str | None) -> dict[str, Any]:
        """Plain data; None for what is not known."""
        names = ("lmc", "lmc_se", "cka", "validation_error", "test_error", "validation_bleu", "bleu", "n_runs")
        known = {name: none_if_nan(self.row.get(name, math.nan)) for name in names}
        return {
            "temperature": self.row["temperature"],
            "lmc": known["lmc"],
            "lmc_se": known["lmc_se"],
            "p_connected": self.p_connected,
            "p_connected_together": self.p_together,
            "cka": known["cka"],
            "regime": regime,
            "validation_error": known["validation_error"],
            "test_error": known["test_error"],
            "validation_bleu": known["validation_bleu"],
            "bleu": known["bleu"],
            "siblings": known["n_runs"],
            "diverged": self.row.get("n_diverged", 0),
            "decision": self.decision,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Answer:
    """The temperature to train at for one load.

    Attributes:
        load: The load.
        temperature: The answer; None if there is none, see the note.
        reason: Why that one.
        regime: Regime there.
        boundary: Where the search for the boundary ended; the answer of Algorithm 1.
        weighed: Mean error, or score, of each temperature compared, without its noise; empty if none was weighed.
        note: What else there is to say.
        visits: The temperatures evaluated, in order.
        regimes: Their regimes.
        best_temperature: Lowest test error of all temperatures but those where too many siblings diverged; None unless
            all of these are known.
        best_error: That error.
        chosen_error: Test error at the answer.
        chosen_bleu: BLEU of the test pairs there; None where it is not known, or the task is no translation.
    """

    load: float
    temperature: float | None
    reason: str
    regime: str | None
    boundary: float | None
    weighed: Mapping[float, float]
    note: str
    visits: list[Visit]
    regimes: Sequence[str | None]
    best_temperature: float | None
    best_error: float | None
    chosen_error: float | None
    chosen_bleu: float | None

    @property
    def regret(self) -> float | None:
        """Test error at the answer minus the lowest one; None if either is not known."""
        if self.best_error is None or self.chosen_error is None:
            return None
        return self.chosen_error - self.best_error

    @property
    def retrainings(self) -> int | None:
        """Siblings that were retrained for it; None if their number is not known."""
        counts = [visit.row.get("n_runs", math.nan) + visit.row.get("n_diverged", 0) for visit in self.visits]
        return None if any(map(math.isnan, counts)) else round(sum(counts))

    def as_json(self, load_axis: str, lmc_threshold: float) -> dict[str, Any]:
        """Plain data; None for what is not known.

        Args:
            load_axis: Name of the load.
            lmc_threshold: That was used.
        """
        visited = [visit.as_json(regime) for visit, regime in zip(self.visits, self.regimes, strict=True)]
        for each in visited:
            each["weighed_error"] = self.weighed.get(each["temperature"])
        return {
            load_axis: self.load,
            "chosen_temperature": self.temperature,
            "reason": self.reason,
            "regime": self.regime,
            "boundary_temperature": self.boundary,
            "lmc_threshold": lmc_threshold,
            "note": self.note,
            "visited": visited,
            "evaluations": len(self.visits),
            "retrainings": self.retrainings,
            "best_temperature": self.best_temperature,
            "best_error": self.best_error,
            "chosen_error": self.chosen_error,
            "chosen_bleu": self.chosen_bleu,
            "regret": self.regret,
        }


def compared_with_best(rows: Sequence[Row], temperatures: Sequence[float], chosen: float | None) -> dict[str, Any]:
    """Fields of an answer that need all temperatures of its load, as far as they are known, and regimes by temperature.

    Args:
        rows: Of the answer's load, in columns of the phase table.
        temperatures: All.
        chosen: The answer.
    """
    cells = {row["temperature"]: row for row in rows}
    errors = {temperature: row["test_error"] for temperature, row in cells.items()}
    allowed = [each for each in temperatures if each not in cells or not is_left_out(cells[each])]
    complete = not any(math.isnan(errors.get(temperature, math.nan)) for temperature in allowed)
    best = min(allowed, key=errors.__getitem__) if complete and allowed else None
    return {
        "regime": None if chosen is None else cells[chosen]["regime"],
        "best_temperature": best,
        "best_error": None if best is None else errors[best],
        "chosen_error": None if chosen is None else none_if_nan(errors[chosen]),
        "chosen_bleu": None if chosen is None else none_if_nan(cells[chosen].get("bleu", math.nan)),
    }


def _lmc(row: Row) -> str:
    lmc, error = row["lmc"], row.get("lmc_se", math.nan)
    form = ".3f" if abs(lmc) >= SMALL or lmc == 0 else ".2g"
    return f"LMC {lmc:{form}}" if math.isnan(error) else f"LMC {lmc:{form}} ± {error:{form}}"
