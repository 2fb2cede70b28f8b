"""A search as a plan: the cells it wants become stages, and their stored results what it is told."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweeps.case_studies.temperature_tuning import Request, TemperatureTuning
from sweeps.plans.plan import GridPlan, Outcome
from trainables.stages import DenseStage, PointStage, Stage


class SearchPlan:
    """Trains what a search wants, and tells it the results; dense models are shared by all loads.

    Args:
        search: That decides which cells to evaluate.
        candidates: All points that it may come to want.
        stored: Retrain seeds whose results are stored, by key of the point.
        dense: Dense models that are kept, as pairs of the key of the run and the epoch.
        summary: Reads what is stored of the points of a cell, in the columns of the phase table.
        added: Told of points with all siblings that were wanted, once they have results.
    """

    def __init__(
        self,
        search: TemperatureTuning,
        candidates: Sequence[PointStage],
        stored: Mapping[str, Collection[int]],
        dense: Collection[tuple[str, int]],
        summary: Callable[[Sequence[PointStage]], Mapping[str, Any]],
        added: Callable[[Sequence[PointStage]], None],
    ) -> None:
        self._search, self._summary, self._added = search, summary, added
        self._points = GridPlan([], stored, dense, candidates)
        self._settled = {key: set(seeds) for key, seeds in stored.items()}
        self._siblings = min(len(stage.seeds) for stage in candidates)
        self._cells: dict[tuple[float, float], list[PointStage]] = {}
        for stage in candidates:
            self._cells.setdefault((stage.label.temperature, stage.label.load), []).append(stage)
        self._asked: set[Request] = set()
        self._lost: list[PointStage] = []
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

    def ask(self) -> Stage | None:
        """Give a stage that can run now."""
        return self._points.ask()

    def tell(self, stage: Stage, outcome: Outcome) -> list[PointStage]:
        """Take an outcome; where it completes a cell, the search decides what comes next."""
        self._lost = self._points.tell(stage, outcome)
        if isinstance(stage, PointStage):
            self._settle(stage, outcome == "failed")
        for point in self._lost:
            self._settle(point, failed=True)
        self._go_on()
        return self._lost

    def passed(self, stage: DenseStage, epoch: int) -> None:
        """Take that a training that goes on has kept a model."""
        self._points.passed(stage, epoch)

    def _settle(self, stage: PointStage, failed: bool) -> None:
        if failed:
            self._failed.add(stage.point.key)
        self._settled.setdefault(stage.point.key, set()).update(stage.seeds)

    @property
    def left(self) -> list[Stage]:
        """Stages that were not told of; there may come more."""
        return self._points.left

    def _go_on(self) -> None:
        """Tell the search of every cell that is complete, and begin what it wants."""
        while True:
            complete = [request for request in self._search.wanted if self._begin(request)]
            if not complete:
                return
            for request in complete:
                stages = self._cells[request.temperature, request.load]
                summary = dict(self._summary(stages))
                if math.isnan(summary["lmc"]) and any(stage.point.key in self._failed for stage in stages):
                    summary["status"] = "failed"  # also where that is not stored yet
                self._search.tell(request.load, summary)

    def _begin(self, request: Request) -> bool:
        """Want a cell, unless it is wanted already; whether all of its points have results or failed."""
        cell = request.temperature, request.load
        if request not in self._asked:
            self._asked.add(request)
            stages = [replace(stage, seeds=_more_seeds(stage.seeds, request.siblings)) for stage in self._cells[cell]]
            self._cells[cell] = stages
            hopeless = [stage for stage in stages if self._points.is_hopeless(stage)]
            self._points.want([stage for stage in stages if stage not in hopeless])
            for stage in hopeless:
                if not self._is_settled(stage):
                    self._lost.append(stage)
                    self._settle(stage, failed=True)
        complete = all(map(self._is_settled, self._cells[cell]))
        if complete and request.siblings > self._siblings:
            self._added([stage for stage in self._cells[cell] if self._points.is_stored(stage)])
        return complete

    def _is_settled(self, stage: PointStage) -> bool:
        return set(stage.seeds) <= self._settled.get(stage.point.key, set())


def _more_seeds(seeds: tuple[int, ...], count: int) -> tuple[int, ...]:
    """So many seeds: the same ones, and those after the largest."""
    return (*seeds, *range(max(seeds) + 1, max(seeds) + 1 + count - len(seeds)))
