"""A search as a plan: the cells it wants become stages, and their stored results what it is told."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweeps.case_studies.boundary_search import Request
from sweeps.case_studies.temperature_tuning import TemperatureTuning
from sweeps.plans.plan import Outcome, StagePlan
from sweeps.results.inventory import Inventory
from trainables.stages import Lost, MeasurementSettings, MeasurementStage, Part, PointStage, Stage
from trainables.stages.measurement import measurements


class SearchPlan:
    """Trains what a search wants, and tells it the results; dense models are shared by all loads.

    Args:
        search: That decides which cells to evaluate.
        candidates: All points that it may come to want.
        settings: How they are measured.
        inventory: What is there.
        summary: Reads what is stored of the points of a cell, in the columns of the phase table.
        added: Told of points with all siblings that were wanted, once they have results, if these are more than at
            first.
        used_up: As of :class:`sweeps.plans.plan.StagePlan`.
    """

    def __init__(
        self,
        search: TemperatureTuning,
        candidates: Sequence[PointStage],
        settings: MeasurementSettings,
        inventory: Inventory,
        summary: Callable[[Sequence[PointStage]], Mapping[str, Any]],
        added: Callable[[Sequence[PointStage]], None],
        used_up: Collection[str] = (),
    ) -> None:
        self._search, self._settings, self._summary, self._added = search, settings, summary, added
        self._stages = StagePlan([], inventory, measurements(candidates, settings), used_up)
        self._first = search.first_siblings
        self._cells: dict[tuple[float, float], list[PointStage]] = {}
        self._seeds: dict[str, tuple[int, ...]] = {}
        for stage in candidates:
            self._seeds[stage.key] = tuple(sorted(stage.seeds))
            at_first = replace(stage, seeds=_first(self._seeds[stage.key], self._first))
            self._cells.setdefault((stage.label.temperature, stage.label.load), []).append(at_first)
        self._asked: set[Request] = set()
        self._lost: list[Lost] = []
        self._failed: set[str] = set()
        self._go_on()

    @property
    def cells(self) -> list[PointStage]:
        """All candidates, with the siblings that the search wanted of them."""
        return [stage for stages in self._cells.values() for stage in stages]

    @property
    def evaluated(self) -> list[PointStage]:
        """Those that it wanted."""
        wanted = {(request.temperature, request.load) for request in self._asked}
        return [stage for cell, stages in self._cells.items() if cell in wanted for stage in stages]

    def with_all_stored(self, points: Sequence[PointStage]) -> list[PointStage]:
        """All candidates, given with all siblings: as they are, where all of these are stored; else as in ``cells``."""
        wanted = {stage.key: stage for stage in self.cells}
        return [stage if self._is_stored(stage) else wanted[stage.key] for stage in points]

    @property
    def failed(self) -> list[PointStage]:
        """Of those wanted, the ones that failed, or that cannot run since something else did."""
        return [stage for stage in self.evaluated if self._has_failed(stage)]

    def ask(self) -> Stage | None:
        """Give a stage that can run now."""
        return self._stages.ask()

    def tell(self, stage: Stage, outcome: Outcome, message: str = "") -> list[Lost]:
        """Take an outcome; where it completes a cell, the search decides what comes next."""
        self._lost = []
        if outcome == "failed":
            self._failed.add(stage.key)
        self._lose(self._stages.tell(stage, outcome, message))
        self._go_on()
        return self._lost

    def tell_kept(self, stage: Stage, parts: Collection[Part]) -> None:
        """Take that a stage that goes on has kept these parts."""
        self._stages.tell_kept(stage, parts)

    def follow_up(self, stage: Stage) -> Stage | None:
        """Give the only stage that waits for this one, if it waits for nothing else."""
        return self._stages.follow_up(stage)

    def take(self, stage: Stage) -> bool:
        """Take a stage that could be asked for now."""
        return self._stages.take(stage)

    @property
    def left(self) -> list[Stage]:
        """Stages that were not told of; there may come more."""
        return self._stages.left

    @property
    def is_done(self) -> bool:
        """Whether there are none, and none come any more."""
        return self._stages.is_done

    def _go_on(self) -> None:
        """Tell the search of every cell that is complete, and begin what it wants."""
        while True:
            complete = [request for request in self._search.wanted if self._begin(request)]
            if not complete:
                return
            for request in complete:
                stages = self._cells[request.temperature, request.load]
                summary = dict(self._summary(stages))
                if math.isnan(summary["lmc"]) and any(map(self._has_failed, stages)):
                    summary["status"] = "failed"  # also where that is not stored yet
                self._search.tell(request, summary)

    def _begin(self, request: Request) -> bool:
        """Want a cell, unless it is wanted already; whether all of its points have results or failed."""
        cell = request.temperature, request.load
        if request not in self._asked:
            self._asked.add(request)
            stages = [
                replace(stage, seeds=_first(self._seeds[stage.key], request.siblings)) for stage in self._cells[cell]
            ]
            self._cells[cell] = stages
            for stage in stages:  # what failed is tried again with more siblings
                self._failed -= {stage.key, *(measured.key for measured in self._measurements(stage))}
            self._lose(self._stages.want(measurements(stages, self._settings)))
        stages = self._cells[cell]
        stored = [stage for stage in stages if self._is_stored(stage)]
        complete = all(stage in stored or self._has_failed(stage) for stage in stages)
        if complete and request.siblings > self._first:
            self._added(stored)
        return complete

    def _lose(self, lost: Sequence[Lost]) -> None:
        self._lost += lost
        self._failed |= {other.stage.key for other in lost}

    def _is_stored(self, point: PointStage) -> bool:
        """Whether its siblings have results, and all that is measured of them."""
        return all(map(self._stages.is_stored, self._measurements(point)))

    def _has_failed(self, point: PointStage) -> bool:
        """Whether it, or what is measured of it, failed or cannot run."""
        return not self._failed.isdisjoint({point.key, *(stage.key for stage in self._measurements(point))})

    def _measurements(self, point: PointStage) -> list[MeasurementStage]:
        """What is measured of the siblings of a point."""
        return measurements([point], self._settings)


def _first(seeds: tuple[int, ...], count: int) -> tuple[int, ...]:
    """So many seeds: the first ones, and, where these do not suffice, those after the largest."""
    return (*seeds, *range(max(seeds) + 1, max(seeds) + 1 + count - len(seeds)))[:count]
