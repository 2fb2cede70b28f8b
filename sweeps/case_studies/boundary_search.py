"""The search of Algorithm 1 for the boundary at several loads at once: which cells to evaluate, in rounds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from metrics.regimes import AUTO, Thresholds
from sweeps.case_studies.answer import Visit
from sweeps.case_studies.boundary import (
    Cell,
    Connectivity,
    Row,
    Strategy,
    as_expected,
    connectivity,
    counts,
    is_undecided,
    next_probe,
    noise_is_known,
)
from sweeps.results.phase import resolved


@dataclass(frozen=True)
class Request:
    """A cell to be evaluated, with so many siblings of each dense model."""

    temperature: float
    load: float
    siblings: int


class BoundarySearch:
    """Looks for the coldest temperature that is still connected at each load; says which cells it wants, is told them.

    It goes in rounds, and decides by all that was told before a round, so that what it finds depends on results alone,
    not on their order. After the start at all loads, siblings are added one by one where it is not decided whether a
    temperature is connected; then each load has a temperature evaluated, but for those loads where it would be known if
    the others' came out as expected; until all boundaries are known.

    A temperature whose LMC is undefined, or where too many siblings diverged
    (:data:`sweeps.results.phase.MOST_DIVERGED`), is left out at that load; where one failed, the load has no boundary.

    Args:
        temperatures: From hot to cold.
        loads: Ascending; larger ones are easier.
        start: Temperature to begin with.
        thresholds: Of the regimes.
        strategy: How (:func:`~sweeps.case_studies.boundary.next_probe`).
        siblings: Siblings of each dense model at first; 0 where their number is not up to the search.
        most_siblings: Limit where siblings are added.

    Attributes:
        visits: Temperatures evaluated at each load, in their order.
        siblings: Those at first.
    """

    def __init__(
        self,
        temperatures: Sequence[float],
        loads: Sequence[float],
        start: float,
        thresholds: Thresholds,
        strategy: Strategy,
        siblings: int,
        most_siblings: int,
    ) -> None:
        self.temperatures, self.loads, self.siblings = list(temperatures), list(loads), siblings
        self.visits: dict[float, dict[float, Visit]] = {load: {} for load in loads}
        self._start, self._strategy, self._most_siblings = self.temperatures.index(start), strategy, most_siblings
        self._thresholds = thresholds
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
        if self._thresholds.lmc != AUTO:
            return self._thresholds
        rows = self.rows()
        return resolved(self._thresholds, pd.DataFrame([dict(rows[cell]) for cell in sorted(rows)]))

    def tell(self, request: Request, row: Row) -> None:
        """Take what was measured at a cell that is wanted.

        Args:
            request: What was wanted.
            row: Columns of the phase table: ``temperature``, ``lmc``, and, if they are known, standard errors,
                ``status``, ``n_diverged``, ``n_runs``, ``n_dense_seeds``, ``validation_images`` and errors.
        """
        self.visits[request.load].setdefault(request.temperature, Visit(row)).told(row, request.siblings)
        self._end(request)

    def decline(self, request: Request) -> None:
        """Take that a cell cannot have as many siblings as are wanted: then those that it has must do."""
        cell = request.temperature, request.load
        self._most[cell] = self.visits[request.load][request.temperature].siblings
        self._end(request)

    def _end(self, request: Request) -> None:
        del self._requests[request.temperature, request.load]
        if not self._requests:
            self._begin_round()

    def rows(self) -> dict[Cell, Row]:
        """What was told, by cell."""
        return {
            (temperature, load): visit.row
            for load, visits in self.visits.items()
            for temperature, visit in visits.items()
        }

    def connectivity(self) -> Connectivity:
        """Which cells are connected, by all that was told."""
        return connectivity(self.rows(), self.temperatures, self.loads, self.thresholds)

    def boundary(self, load: float, known: Connectivity) -> float | None:
        """The coldest connected temperature of those evaluated, or the hottest; None if none counts, or one failed."""
        shares = self._shares(load, known)
        usable = [each for each in self.temperatures if each in self.visits[load]]
        usable = [each for each in usable if counts(self.visits[load][each].row)]
        if not usable or self.has_failed(load):
            return None
        return next((each for each in reversed(usable) if shares[each] >= 0.5), usable[0])

    def has_failed(self, load: float) -> bool:
        """Whether a point of a load failed."""
        rows = (visit.row for visit in self.visits[load].values())
        return any(math.isnan(row["lmc"]) and row.get("status") == "failed" for row in rows)

    def _begin_round(self) -> None:
        """Decide what to evaluate next, if anything."""
        known = self.connectivity()
        requests, unknown = list[Request](), list[float]()
        for load in self.loads:
            if self.has_failed(load):
                continue
            if more := self._siblings_of(load, known):
                requests += more
                continue
            probe, _ = self._probe(load, known)
            if probe is None:
                continue
            if self._strategy == "border" and self.visits[load] and self._is_undecided(probe, load, known):
                unknown.append(load)
            else:
                requests.append(Request(probe, load, self.siblings))
        requests += self._least_known(unknown, known)
        self._requests = {(request.temperature, request.load): request for request in requests}
        self._explain(known)

    def _least_known(self, loads: list[float], known: Connectivity) -> list[Request]:
        """Of loads whose next temperature is undecided, those that stay so if the others come out as expected."""
        requests = list[Request]()
        while loads:
            probes = {load: self._probe(load, known)[0] for load in loads}
            undecided = {
                load: abs(self._shares(load, known)[probe] - 0.5)
                for load, probe in probes.items()
                if probe is not None and self._is_undecided(probe, load, known)
            }
            if not undecided:
                break
            load = min(undecided, key=undecided.__getitem__)
            probe = probes[load]
            assert probe is not None
            requests.append(Request(probe, load, self.siblings))
            known = as_expected(known, self.temperatures.index(probe), self.loads.index(load))
            loads = [each for each in loads if each != load]
        return requests

    def _probe(self, load: float, known: Connectivity) -> tuple[float | None, float | None]:
        """Temperature to evaluate next at a load; at the end, the boundary instead."""
        visits, shares = self.visits[load], self._shares(load, known)
        order = [each for each in self.temperatures if each not in visits or counts(visits[each].row)]
        if not order:
            return None, None
        start = min(range(len(order)), key=lambda at: abs(self.temperatures.index(order[at]) - self._start))
        evaluated = {at for at, temperature in enumerate(order) if temperature in visits}
        at, end = next_probe(evaluated, [shares[each] for each in order], start, self._strategy)
        return (order[at], None) if at is not None else (None, order[end])

    def _siblings_of(self, load: float, known: Connectivity) -> list[Request]:
        """Ask for another sibling of each dense model where that may decide whether a temperature is connected."""
        return [
            Request(temperature, load, visit.siblings + 1)
            for temperature, visit in self.visits[load].items()
            if visit.siblings < self._most.get((temperature, load), self._most_siblings)
            and counts(visit.row)
            and (self._is_undecided(temperature, load, known) or not noise_is_known(visit.row))
        ]

    def _explain(self, known: Connectivity) -> None:
        """Note how probably temperatures are connected, and where the search goes from those that came last."""
        self.note(known)
        wanted = {request.load: request for request in self.wanted}
        for load, visits in self.visits.items():
            if not visits or self.has_failed(load):
                continue
            here, visit = list(visits.items())[-1]
            visit.decision, visit.because = "stop", self._end_words(load, known)
            request = wanted.get(load)
            if request is not None and request.temperature not in visits:
                is_hotter = self.temperatures.index(request.temperature) < self.temperatures.index(here)
                visit.decision = "hotter" if is_hotter else "colder"
                visit.because = f"{visit.decision}, to {request.temperature:g}"

    def note(self, known: Connectivity) -> None:
        """Note how probably all temperatures that were evaluated are connected, also within a round."""
        for load, visits in self.visits.items():
            for temperature, visit in visits.items():
                if counts(visit.row):
                    cell = self.temperatures.index(temperature), self.loads.index(load)
                    visit.p_connected = float(known.own[cell])
                    visit.p_together = float(known.own[cell] if self._strategy == "step" else known.together[cell])

    def _end_words(self, load: float, known: Connectivity) -> str:
        """What is known of a load's boundary if nothing more is evaluated."""
        boundary = self.boundary(load, known)
        if boundary is None:
            return "no temperature is left"
        if not self.is_connected(load, known):
            return "none is connected: the hottest is the boundary"
        own = known.own[self.temperatures.index(boundary), self.loads.index(load)]
        by = "" if own >= 0.5 else ", by what other cells say"
        return f"{boundary:g} is the coldest that is connected{by}"

    def is_connected(self, load: float, known: Connectivity) -> bool:
        """Whether the boundary of a load is a connected temperature; False if there is no boundary."""
        boundary = self.boundary(load, known)
        return boundary is not None and self._shares(load, known)[boundary] >= 0.5

    def is_at_its_end(self, load: float, known: Connectivity) -> bool:
        """Whether by what is known nothing more would be evaluated at a load."""
        return self.has_failed(load) or not (self._siblings_of(load, known) or self._probe(load, known)[0] is not None)

    def _is_undecided(self, temperature: float, load: float, known: Connectivity) -> bool:
        return is_undecided(self._shares(load, known)[temperature])

    def _shares(self, load: float, known: Connectivity) -> dict[float, float]:
        """Probability of each temperature that it is connected, as the strategy takes it.

        With ``border`` what all cells say, unless a temperature's own LMC decides that already.
        """
        column = self.loads.index(load)
        own, together = known.own[:, column].tolist(), known.together[:, column].tolist()
        if self._strategy == "step":
            return dict(zip(self.temperatures, own, strict=True))
        shares = (all_say if math.isnan(p) or is_undecided(p) else p for p, all_say in zip(own, together, strict=True))
        return dict(zip(self.temperatures, shares, strict=True))
