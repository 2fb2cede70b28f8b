"""Case study 1 of Zhou et al. 2023, Algorithm 1: tune the temperature for each load. With rho it is case study 3."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metrics.regimes import Thresholds
from sweeps.case_studies.answer import Answer, Visit, compared_with_best
from sweeps.case_studies.boundary import (
    Cell,
    Connectivity,
    Row,
    Strategy,
    connectivity,
    counts,
    is_undecided,
    next_probe,
    noise_is_known,
)
from sweeps.case_studies.choosing import Choice, best_visited, weighed, witnesses
from sweeps.case_studies.error_surface import ErrorSurface, error_noise, error_surface
from sweeps.results.phase import resolved

FIRST_SIBLINGS = 2
"""Siblings of each dense model that a search begins with: the fewest that have an LMC."""


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
        choose: ``boundary`` is the answer of Algorithm 1; ``best-visited`` the lowest error of the temperatures
            evaluated; ``weighed`` the lowest mean of :func:`~sweeps.case_studies.error_surface.error_surface`.
        select_by: Column of that error.
        most_siblings: Limit where siblings are added one by one.
    """

    strategy: Strategy = "border"
    choose: Choice = "weighed"
    select_by: str = "validation_error"
    most_siblings: int = 0


class TemperatureTuning:
    """Algorithm 1 for several loads at once: says which cells it wants, is told what was measured there.

    It goes in rounds, and decides by all that was told before a round, so that its answers depend on results alone, not
    on their order. After the start at all loads, each load has one temperature evaluated, or siblings added where it is
    not decided whether a temperature is connected, until its boundary is known.

    A temperature whose LMC is undefined, or where too many siblings diverged
    (:data:`sweeps.results.phase.MOST_DIVERGED`), is left out at that load; where one failed, the load has no answer.

    Args:
        temperatures: From hot to cold.
        loads: In any order; larger ones are easier.
        start: Temperature of the default recipe.
        thresholds: Of the regimes.
        tuning: How.
        siblings: Siblings of each dense model at first; 0 where their number is not up to the search.
        costs: What training costs, by temperature, in any unit.

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
        self.temperatures, self.loads = list(temperatures), sorted(loads)
        self._thresholds, self._tuning, self.first_siblings = thresholds, tuning, siblings
        self._start, self._costs = self.temperatures.index(start), costs or {}
        self._visits: dict[float, dict[float, Visit]] = {load: {} for load in self.loads}
        self._latest: dict[float, float] = {}
        self._most: dict[Cell, int] = {}
        self._requests: dict[Cell, Request] = {}
        self._begin_round()

    @property
    def wanted(self) -> list[Request]:
        """Cells to evaluate now; none when all is told."""
        return list(self._requests.values())

    @property
    def thresholds(self) -> Thresholds:
        """Boundaries of the regimes; an LMC threshold that is found by itself is that of the cells evaluated so far."""
        rows = self._rows()
        return resolved(self._thresholds, pd.DataFrame([dict(rows[cell]) for cell in sorted(rows)]))

    @property
    def dense_models(self) -> dict[float, int]:
        """Dense models that were pruned, by temperature; 0 where their number is not known."""
        found: dict[float, int] = {}
        for (temperature, _), row in self._rows().items():
            count = row.get("n_dense_seeds", math.nan)
            found[temperature] = max(found.get(temperature, 0), 0 if math.isnan(count) else int(count))
        return found

    def tell(self, request: Request, row: Row) -> None:
        """Take what was measured at a cell that is wanted.

        Args:
            request: What was wanted.
            row: Columns of the phase table: ``temperature``, ``lmc``, and, if they are known, standard errors,
                ``status``, ``n_diverged``, ``n_runs``, ``n_dense_seeds``, ``validation_images`` and errors.
        """
        visits = self._visits[request.load]
        if request.temperature not in visits:
            self._latest[request.load] = request.temperature
        visits.setdefault(request.temperature, Visit(row)).told(row, request.siblings)
        self._end(request)

    def decline(self, request: Request) -> None:
        """Take that a cell cannot have as many siblings as are wanted: then those that it has must do."""
        cell = request.temperature, request.load
        self._most[cell] = self._visits[request.load][request.temperature].siblings
        self._end(request)

    def _end(self, request: Request) -> None:
        del self._requests[request.temperature, request.load]
        if not self._requests:
            self._begin_round()

    def answers(self, table: pd.DataFrame) -> list[Answer]:
        """Give one answer for each load; of a search that is not at its end, the best so far.

        Args:
            table: All that is known, in columns of the phase table, the visited cells among it.
        """
        known, (cells, surface) = self._connectivity(), self._surface()
        regimes = table.set_index(["temperature", "load"])["regime"].to_dict()
        unfinished = {load for _, load in self._requests}
        answers = []
        for load in self.loads:
            visits = list(self._visits[load].values())
            boundary, reason, note = self._boundary(load, known), "", ""
            chosen, means = boundary, dict[float, float]()
            if boundary is None:
                note = "nothing was evaluated" if not visits else "no temperature could be evaluated"
                note = "a point failed" if self._has_failed(load) else note
            elif self._tuning.choose == "boundary":
                reason = "the boundary"
            else:
                chosen, reason, means = self._chosen(load, boundary, cells, surface)
                if reason.startswith("no "):
                    reason, note = "the boundary", reason
            if load in unfinished and boundary is not None:
                note = "the search is not at its end, and this is the best so far"
            found = compared_with_best(table, load, self.temperatures, chosen)
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
                    **found,
                )
            )
        return answers

    def _begin_round(self) -> None:
        """Decide what to evaluate next, if anything."""
        known = self._connectivity()
        requests = [request for load in self.loads for request in self._towards_boundary(load, known)]
        self._requests = {(request.temperature, request.load): request for request in requests}

    def _towards_boundary(self, load: float, known: Connectivity) -> list[Request]:
        """What the search for the boundary wants at a load; notes why."""
        visits, shares = self._visits[load], self._shares(load, known)
        for temperature, visit in visits.items():
            if counts(visit.row):
                visit.p_connected = float(known.own[self.temperatures.index(temperature), self.loads.index(load)])
                visit.p_together = shares[temperature]
        if self._has_failed(load):
            return []
        undecided = [
            temperature
            for temperature, visit in visits.items()
            if counts(visit.row) and (is_undecided(shares[temperature]) or not noise_is_known(visit.row))
        ]
        if more := self._siblings_of(load, undecided):
            return more
        order = [each for each in self.temperatures if each not in visits or counts(visits[each].row)]
        probe: float | None = None
        boundary: float | None = None
        if order:
            start = min(range(len(order)), key=lambda at: abs(self.temperatures.index(order[at]) - self._start))
            evaluated = {at for at, temperature in enumerate(order) if temperature in visits}
            at, end = next_probe(evaluated, [shares[each] for each in order], start, self._tuning.strategy)
            probe, boundary = (order[at], None) if at is not None else (None, order[end])
        if load in self._latest:
            self._explain(load, probe, boundary, shares)
        return [] if probe is None else [Request(probe, load, self.first_siblings)]

    def _siblings_of(self, load: float, temperatures: Iterable[float]) -> list[Request]:
        """Ask for another sibling of each dense model, of those temperatures that can have one."""
        counted = {temperature: self._visits[load][temperature].siblings for temperature in temperatures}
        return [
            Request(temperature, load, siblings + 1)
            for temperature, siblings in counted.items()
            if siblings < self._most.get((temperature, load), self._tuning.most_siblings)
        ]

    def _explain(self, load: float, probe: float | None, boundary: float | None, shares: Mapping[float, float]) -> None:
        """Note what was found at the temperature evaluated last, and where the search goes from there."""
        here = self._latest[load]
        visit = self._visits[load][here]
        rank = self.temperatures.index
        if probe is not None:
            visit.decision = "hotter" if rank(probe) < rank(here) else "colder"
            because = f"{visit.decision}, to {probe:g}"
        elif boundary is None:
            because = "no temperature is left"
        elif shares[boundary] < 0.5:
            because = "none is connected: the hottest is the boundary"
        else:
            because = f"{boundary:g} is the coldest that is connected"
        visit.because = because

    def _chosen(
        self, load: float, boundary: float, cells: Sequence[Cell], surface: ErrorSurface | None
    ) -> tuple[float, str, dict[float, float]]:
        """The answer by errors, why, and the errors without noise."""
        rows = [visit.row for visit in self._visits[load].values() if counts(visit.row)]
        by = self._tuning.select_by
        places = {temperature: at for at, (temperature, own) in enumerate(cells) if own == load}
        if self._tuning.choose == "best-visited" or surface is None or not places:
            return *best_visited(rows, by, boundary), {}
        chosen, dearer = weighed(surface, places, self._costs)
        errors = {row["temperature"]: row[by] for row in rows if row["temperature"] in places}
        level = sum(errors.values()) / len(errors)
        means = {temperature: float(surface.mean[at]) * level for temperature, at in places.items()}
        return chosen, witnesses(chosen, boundary, errors, by, dearer), means

    def _surface(self) -> tuple[list[Cell], ErrorSurface | None]:
        """Errors of the cells that count, without noise; None if none is known."""
        by, rows = self._tuning.select_by, self._rows()
        cells = sorted(cell for cell, row in rows.items() if counts(row) and not math.isnan(row.get(by, math.nan)))
        if not cells:
            return [], None
        ranks = np.array([self.temperatures.index(temperature) for temperature, _ in cells])
        columns = [self.loads.index(load) for _, load in cells]
        errors = np.array([rows[cell][by] for cell in cells], dtype=float)
        noise = error_noise([rows[cell] for cell in cells], by)
        places, loads = ranks / max(len(self.temperatures) - 1, 1), np.array([load for _, load in cells])
        return cells, error_surface(places, loads, errors, noise, self._connectivity().from_border[ranks, columns])

    def _connectivity(self) -> Connectivity:
        return connectivity(self._rows(), self.temperatures, self.loads, self.thresholds)

    def _shares(self, load: float, known: Connectivity) -> dict[float, float]:
        """Probability of each temperature that it is connected, as the strategy takes it."""
        by = known.together if self._tuning.strategy == "border" else known.own
        return dict(zip(self.temperatures, by[:, self.loads.index(load)].tolist(), strict=True))

    def _boundary(self, load: float, known: Connectivity) -> float | None:
        """The coldest connected temperature of those evaluated, or the hottest; None if none counts, or one failed."""
        shares = self._shares(load, known)
        usable = [each for each in self.temperatures if each in self._visits[load]]
        usable = [each for each in usable if counts(self._visits[load][each].row)]
        if not usable or self._has_failed(load):
            return None
        return next((each for each in reversed(usable) if shares[each] >= 0.5), usable[0])

    def _has_failed(self, load: float) -> bool:
        rows = (visit.row for visit in self._visits[load].values())
        return any(math.isnan(row["lmc"]) and row.get("status") == "failed" for row in rows)

    def _rows(self) -> dict[Cell, Row]:
        """What was told, by cell."""
        return {
            (temperature, load): visit.row
            for load, visits in self._visits.items()
            for temperature, visit in visits.items()
        }
