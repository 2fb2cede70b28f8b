"""Plans: which stages to run next, given the results so far. No Ray, no training."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from trainables.stages import DenseStage, PointStage, Stage

Outcome = Literal["ok", "diverged", "failed"]
"""How a stage ended: with results, with a loss that was not finite (a result, too), or for another reason."""


class Plan(Protocol):
    """What a sweep wants, one stage at a time. It is asked for stages that can run and told their outcomes."""

    def ask(self) -> Stage | None:
        """Give the next stage that can run now, once; None if there is none until an outcome is told."""

    def tell(self, stage: Stage, outcome: Outcome) -> list[PointStage]:
        """Take the outcome of a stage; give the points that can no longer run because of it."""

    def passed(self, stage: DenseStage, epoch: int) -> None:
        """Take that a training that goes on has kept a model: points that need this one can run."""

    @property
    def left(self) -> list[Stage]:
        """Stages whose outcome is not known yet, as far as the plan can tell."""


def missing_points(points: Sequence[PointStage], stored: Mapping[str, Collection[int]]) -> list[PointStage]:
    """Points with a sibling that has no result.

    Args:
        points: All points wanted.
        stored: Retrain seeds whose results are stored, by key of the point.
    """
    return [stage for stage in points if not set(stage.seeds).issubset(stored.get(stage.point.key, ()))]


class GridPlan:
    """Points that are not stored, each after the dense model it comes from; more can be added on the way.

    Args:
        points: All points wanted.
        stored: Retrain seeds whose results are stored, by key of the point.
        dense: Dense models that are kept, as pairs of the key of the run and the epoch.
        candidates: Points that may be wanted later. A training that passes through their dense models keeps them.

    Attributes:
        points: Of those wanted at first, the ones to be carried out.
        dense: Trainings that they need.
    """

    def __init__(
        self,
        points: Sequence[PointStage],
        stored: Mapping[str, Collection[int]],
        dense: Collection[tuple[str, int]],
        candidates: Sequence[PointStage] = (),
    ) -> None:
        self._stored: dict[str, Collection[int]] = dict(stored)
        self._kept = set(dense)
        self._passes: dict[str, set[int]] = {}
        for stage in candidates:
            self._passes.setdefault(stage.point.dense.key, set()).add(stage.point.epoch)
        self._waiting: dict[str, list[PointStage]] = {}
        self._training: set[str] = set()
        self._failed: set[str] = set()
        self._ready: deque[Stage] = deque()
        self._left: dict[Stage, None] = {}
        added = self.want(points)
        self.points = [stage for stage in added if isinstance(stage, PointStage)]
        self.dense = [stage for stage in added if isinstance(stage, DenseStage)]

    def want(self, points: Sequence[PointStage]) -> list[Stage]:
        """Add points; those stored already do not count. Give what is to be done for them, dense models first."""
        ready: list[Stage] = []
        # Siblings that are stored already are measured again together with the new ones.
        missing = [
            replace(stage, seeds=tuple(sorted({*stage.seeds, *self._stored.get(stage.point.key, ())})))
            for stage in missing_points(points, self._stored)
        ]
        for stage in missing:
            known = (stage.point.dense.key, stage.point.epoch) in self._kept
            (ready if known else self._waiting.setdefault(stage.point.dense.key, [])).append(stage)
        trainings = [self._train(run) for run in self._waiting if run not in self._training]
        self._ready.extend([*trainings, *ready])
        self._left |= dict.fromkeys([*trainings, *missing])
        return [*trainings, *missing]

    def _train(self, run: str) -> DenseStage:
        """Training that points wait for."""
        self._training.add(run)
        needed = {stage.point.epoch for stage in self._waiting[run]}
        passed = {
            epoch for epoch in self._passes.get(run, ()) if epoch < max(needed) and (run, epoch) not in self._kept
        }
        return DenseStage(self._waiting[run][0].point.dense, tuple(sorted(needed | passed)))

    def is_stored(self, stage: PointStage) -> bool:
        """Whether all of its siblings have results."""
        return not missing_points([stage], self._stored)

    def is_hopeless(self, stage: PointStage) -> bool:
        """Whether the dense model that it needs is not kept, and its training failed."""
        run = stage.point.dense.key
        return run in self._failed and (run, stage.point.epoch) not in self._kept

    def ask(self) -> Stage | None:
        """Give a stage that can run now: dense models first."""
        return self._ready.popleft() if self._ready else None

    def tell(self, stage: Stage, outcome: Outcome) -> list[PointStage]:
        """Take an outcome. Points of a dense model can run once it is kept, and never if it failed."""
        del self._left[stage]
        if isinstance(stage, PointStage):
            if outcome != "failed":
                self._stored[stage.point.key] = stage.seeds
            return []
        points = self._waiting.pop(stage.run.key)
        self._training.remove(stage.run.key)
        if outcome == "failed":
            self._failed.add(stage.run.key)
            for point in points:
                del self._left[point]
            return points
        self._kept.update((stage.run.key, epoch) for epoch in stage.epochs)
        for point in points:
            del self._left[point]
        self.want(points)
        return []

    def passed(self, stage: DenseStage, epoch: int) -> None:
        """Take that a training that goes on has kept a model."""
        run = stage.run.key
        self._kept.add((run, epoch))
        waiting = self._waiting.get(run, [])
        self._ready.extend(point for point in waiting if point.point.epoch == epoch)
        waiting[:] = [point for point in waiting if point.point.epoch != epoch]

    @property
    def left(self) -> list[Stage]:
        """Stages that were not told of."""
        return list(self._left)
