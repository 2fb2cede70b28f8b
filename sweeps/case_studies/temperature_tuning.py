"""Case study 1 of Zhou et al. 2023, Algorithm 1: tune the temperature for each load. With rho it is case study 3."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from metrics.regimes import Thresholds
from sweeps.case_studies.boundary import BoundarySearch, Row, Strategy, Visit
from sweeps.results.phase import is_left_out, none_if_nan, rows_of

Choice = Literal["best-visited", "boundary"]


@dataclass(frozen=True)
class Request:
    """A cell to be evaluated, with so many siblings of each dense model."""

    temperature: float
    load: float
    siblings: int


@dataclass(frozen=True)
class Tuning:
    """How a temperature is tuned.

    Attributes:
        strategy: How the boundary is searched.
        choose: Take the boundary, as Algorithm 1 does, or the lowest error among the temperatures visited.
        select_by: Column of that error.
        neighbours: Begin at the easiest load, and each other one where the next easier one's boundary was found, if it
            has a connected temperature; else all loads begin at the start, independent of each other. That the
            boundary moves little from load to load is the picture of Zhou et al. 2023, figure 1; it only says where to
            look first.
        most_siblings: Limit for loads and temperatures where noise leaves connectivity undecided.
    """

    strategy: Strategy = "bisect"
    choose: Choice = "best-visited"
    select_by: str = "validation_error"
    neighbours: bool = False
    most_siblings: int = 0


class TemperatureTuning:
    """Algorithm 1 for several loads at once: says which cells it wants, is told what was measured there.

    Args:
        temperatures: From hot to cold.
        loads: In any order; larger ones are easier.
        start: Temperature of the default recipe.
        thresholds: Of the regimes.
        tuning: How.
        siblings: Siblings of each dense model at first.
    """

    def __init__(
        self,
        temperatures: Sequence[float],
        loads: Sequence[float],
        start: float,
        thresholds: Thresholds,
        tuning: Tuning,
        siblings: int = 0,
    ) -> None:
        self.temperatures, self.loads = list(temperatures), sorted(loads)
        self.thresholds, self._tuning, self._start, self._siblings = thresholds, tuning, start, siblings
        self._searches: dict[float, BoundarySearch] = {}
        self._begin()

    @property
    def wanted(self) -> list[Request]:
        """Cells to evaluate now, one of each load at most; none when all is told."""
        return [
            Request(search.wanted[0], load, search.wanted[1])
            for load, search in sorted(self._searches.items())
            if search.wanted
        ]

    def tell(self, load: float, row: Row) -> None:
        """Take what was measured at the cell that is wanted of a load, in columns of the phase table."""
        self._searches[load].tell(row)
        self._begin()

    def answers(self, table: pd.DataFrame) -> list["Answer"]:
        """Give one answer for each load.

        Args:
            table: All that is known, in columns of the phase table, the visited cells among it.
        """
        return [self._answer(load, search, table) for load, search in sorted(self._searches.items())]

    def _begin(self) -> None:
        """Make the searches that can begin."""
        start = self._start
        for load in reversed(self.loads):
            if load not in self._searches:
                self._searches[load] = BoundarySearch(
                    self.temperatures,
                    start,
                    self._tuning.strategy,
                    self.thresholds.lmc,
                    self._siblings,
                    self._tuning.most_siblings,
                )
            if self._tuning.neighbours:
                search = self._searches[load]
                if search.wanted:
                    return
                start = search.boundary if search.boundary is not None and search.found else self._start

    def _answer(self, load: float, search: BoundarySearch, table: pd.DataFrame) -> "Answer":
        cells = {row["temperature"]: row for row in rows_of(table) if row["load"] == load}
        regimes = [cells[visit.row["temperature"]]["regime"] for visit in search.visits]
        usable = [visit.row for visit in search.visits if visit.connected is not None]
        chosen, note = search.boundary, ""
        if chosen is None:
            note = "a point failed" if search.failed else "no temperature could be evaluated"
        elif self._tuning.choose == "best-visited":
            by = self._tuning.select_by
            known = [row for row in reversed(usable) if not math.isnan(row.get(by, math.nan))]
            if known:  # of equals the one visited last: it is nearer to the boundary
                chosen = min(known, key=lambda row: row[by])["temperature"]
            else:
                note = f"no {by} is known, so this is the boundary"
        errors = {temperature: row["test_error"] for temperature, row in cells.items()}
        allowed = [each for each in self.temperatures if each not in cells or not is_left_out(cells[each])]
        complete = not any(math.isnan(errors.get(temperature, math.nan)) for temperature in allowed)
        best = min(allowed, key=errors.__getitem__) if complete and allowed else None
        return Answer(
            load,
            chosen,
            None if chosen is None else cells[chosen]["regime"],
            search.boundary,
            note,
            search.visits,
            regimes,
            best,
            None if best is None else errors[best],
            None if chosen is None else none_if_nan(errors[chosen]),
        )


@dataclass(frozen=True)
class Answer:
    """The temperature to train at for one load.

    Attributes:
        load: The load.
        temperature: The answer; None if there is none, see the note.
        regime: Regime there.
        boundary: Where the search for the boundary ended; the answer of Algorithm 1.
        note: What else there is to say.
        visits: The temperatures evaluated, in order.
        regimes: Their regimes.
        best_temperature: Lowest test error of all temperatures but those where too many siblings diverged; None unless
            all of these are known.
        best_error: That error.
        chosen_error: Test error at the answer.
    """

    load: float
    temperature: float | None
    regime: str | None
    boundary: float | None
    note: str
    visits: list[Visit]
    regimes: Sequence[str | None]
    best_temperature: float | None
    best_error: float | None
    chosen_error: float | None

    @property
    def regret(self) -> float | None:
        """Test error at the answer minus the lowest one; None if either is not known."""
        if self.best_error is None or self.chosen_error is None:
            return None
        return self.chosen_error - self.best_error

    def as_json(self, load_axis: str) -> dict[str, Any]:
        """Plain data; None for what is not known."""
        return {
            load_axis: self.load,
            "chosen_temperature": self.temperature,
            "regime": self.regime,
            "boundary_temperature": self.boundary,
            "note": self.note,
            "visited": [
                {
                    "temperature": visit.row["temperature"],
                    "lmc": none_if_nan(visit.row["lmc"]),
                    "lmc_se": none_if_nan(visit.row.get("lmc_se", math.nan)),
                    "cka": none_if_nan(visit.row["cka"]),
                    "regime": regime,
                    "validation_error": none_if_nan(visit.row.get("validation_error", math.nan)),
                    "test_error": none_if_nan(visit.row.get("test_error", math.nan)),
                    "siblings": none_if_nan(visit.row.get("n_runs", math.nan)),
                    "diverged": visit.row.get("n_diverged", 0),
                    "decision": visit.decision,
                    "reason": visit.reason,
                }
                for visit, regime in zip(self.visits, self.regimes, strict=True)
            ],
            "evaluations": len(self.visits),
            "best_temperature": self.best_temperature,
            "best_error": self.best_error,
            "chosen_error": self.chosen_error,
            "regret": self.regret,
        }
