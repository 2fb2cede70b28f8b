"""Case study 1 of Zhou et al. 2023, Algorithm 1: tune the temperature for each load. With rho it is case study 3."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metrics.regimes import Thresholds
from sweeps.case_studies.answer import Answer, compared_with_best
from sweeps.case_studies.boundary import Cell, Connectivity, Row, Strategy, counts
from sweeps.case_studies.boundary_search import BoundarySearch, Request
from sweeps.case_studies.choosing import Choice, best_visited, weighed, witnesses
from sweeps.case_studies.error_surface import ErrorSurface, error_noise, error_surface
from sweeps.results.phase import rows_of
from sweeps.results.phase_schema import best_end

FIRST_SIBLINGS = 2
"""Siblings of each dense model that a search begins with: the fewest that have an LMC."""


@dataclass(frozen=True)
class Tuning:
    """How a temperature is tuned.

    Attributes:
        strategy: How the boundary is searched.
        choose: ``boundary`` is the answer of Algorithm 1; ``best-visited`` the lowest error of the temperatures
            evaluated; ``weighed`` the lowest mean of :func:`~sweeps.case_studies.error_surface.error_surface`.
        select_by: Column of that error; of BLEU, where the highest is the best one.
        most_siblings: Limit where siblings are added one by one.
    """

    strategy: Strategy = "border"
    choose: Choice = "weighed"
    select_by: str = "validation_error"
    most_siblings: int = 0


class TemperatureTuning:
    """Algorithm 1 for several loads at once: says which cells it wants, is told them, and has an answer for each load.

    Args:
        temperatures: From hot to cold.
        loads: In any order; larger ones are easier.
        start: Temperature of the default recipe.
        thresholds: Of the regimes.
        tuning: How.
        siblings: Siblings of each dense model at first; 0 where their number is not up to the search.
        costs: What training costs, by temperature, in any unit; of equals the cheaper is the answer.

    Attributes:
        first_siblings: Those at first.
    """

    def __init__(
        self,
        temperatures: Sequence[float],
        loads: Sequence[float],
        start: float,
        thresholds: Thresholds,
        tuning: Tuning,
        siblings: int = 0,
        costs: Mapping[float, float] | None = None,
    ) -> None:
        self.temperatures, self.loads, self.first_siblings = list(temperatures), sorted(loads), siblings
        self._tuning, self._costs = tuning, costs or {}
        self._search = BoundarySearch(
            temperatures, self.loads, start, thresholds, tuning.strategy, siblings, tuning.most_siblings
        )

    @property
    def wanted(self) -> list[Request]:
        """Cells to evaluate now; none when all is told."""
        return self._search.wanted

    @property
    def thresholds(self) -> Thresholds:
        """Boundaries of the regimes, with the number for LMC that was used."""
        return self._search.thresholds

    @property
    def dense_models(self) -> dict[float, int]:
        """Dense models that were pruned, by temperature; 0 where their number is not known."""
        found: dict[float, int] = {}
        for (temperature, _), row in self._search.rows().items():
            count = row.get("n_dense_seeds", math.nan)
            found[temperature] = max(found.get(temperature, 0), int(count) if math.isfinite(count) else 0)
        return found

    def tell(self, request: Request, row: Row) -> None:
        """Take what was measured at a cell that is wanted (:meth:`BoundarySearch.tell`)."""
        self._search.tell(request, row)

    def decline(self, request: Request) -> None:
        """Take that a cell cannot have as many siblings as are wanted: then those that it has must do."""
        self._search.decline(request)

    def answers(self, table: pd.DataFrame) -> list[Answer]:
        """Give one answer for each load; of a search that is not at its end, the best so far.

        Args:
            table: All that is known, in columns of the phase table, the visited cells among it.
        """
        known = self._search.connectivity()
        self._search.note(known)
        cells, surface = self._surface(known)
        regimes = table.set_index(["temperature", "load"])["regime"].to_dict()
        rows = {load: rows_of(some) for load, some in table.groupby("load")}
        answers = []
        for load in self.loads:
            visits = list(self._search.visits[load].values())
            boundary, reason, notes = self._search.boundary(load, known), "", list[str]()
            chosen, means = boundary, dict[float, float]()
            if boundary is None:
                note = "nothing was evaluated" if not visits else "no temperature could be evaluated"
                notes.append("a point failed" if self._search.has_failed(load) else note)
            elif self._tuning.choose == "boundary":
                reason = "the boundary"
            elif (found := self._chosen(load, boundary, cells, surface)) is None:
                reason = "the boundary"
                notes.append(f"no {self._tuning.select_by} is known, so this is the boundary")
            else:
                chosen, reason, means = found
            if boundary is not None and self.wanted and not self._search.is_at_its_end(load, known):
                notes.append("the search is not at its end, and this is the best so far")
            elif boundary is not None and not self._search.is_connected(load, known):
                notes.append("no temperature is connected, so that the hottest is the boundary")
            note = "; ".join(notes)
            compared = compared_with_best(rows.get(load, []), self.temperatures, chosen)
            own = [regimes[visit.row["temperature"], load] for visit in visits]
            answers.append(
                Answer(
                    load=load,
                    temperature=chosen,
                    reason=reason,
                    boundary=boundary,
                    weighed=means,
                    note=note,
                    visits=visits,
                    regimes=own,
                    **compared,
                )
            )
        return answers

    def _chosen(
        self, load: float, boundary: float, cells: Sequence[Cell], surface: ErrorSurface | None
    ) -> tuple[float, str, dict[float, float]] | None:
        """The answer by errors, why, and the errors without noise; None if no error is known."""
        rows = [visit.row for visit in self._search.visits[load].values() if counts(visit.row)]
        by, end = self._tuning.select_by, best_end(self._tuning.select_by)
        places = {temperature: at for at, (temperature, own) in enumerate(cells) if own == load}
        if self._tuning.choose == "best-visited" or surface is None or not places:
            best = best_visited(rows, by)
            return None if best is None else (best, f"where {by} is {end.most}", {})
        chosen, dearer = weighed(surface, places, self._costs)
        errors = {row["temperature"]: row[by] for row in rows if row["temperature"] in places}
        means = {each: float(end.sign * surface.mean[at] * surface.scale[at]) for each, at in places.items()}
        return chosen, witnesses(chosen, boundary, errors, by, dearer), means

    def _surface(self, known: Connectivity) -> tuple[list[Cell], ErrorSurface | None]:
        """Errors of the cells that count, without noise; None if none is known."""
        by, rows = self._tuning.select_by, self._search.rows()
        cells = sorted(cell for cell, row in rows.items() if counts(row) and math.isfinite(row.get(by, math.nan)))
        if not cells:
            return [], None
        ranks = np.array([self.temperatures.index(temperature) for temperature, _ in cells])
        columns = [self.loads.index(load) for _, load in cells]
        errors = best_end(by).sign * np.array([rows[cell][by] for cell in cells], dtype=float)
        noise = error_noise([rows[cell] for cell in cells], by)
        places, loads = ranks / max(len(self.temperatures) - 1, 1), np.array([load for _, load in cells])
        return cells, error_surface(places, loads, errors, noise, known.from_border[ranks, columns])
