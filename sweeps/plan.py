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
    """All points of a grid that are not stored, each after the dense model it comes from.

    Args:
        points: All points wanted.
        stored: Retrain seeds whose results are stored, by key of the point.
        dense: Dense models that are kept, as pairs of the key of the run and the epoch.
    """

    def __init__(
        self,
        points: Sequence[PointStage],
        stored: Mapping[str, Collection[int]],
        dense: Collection[tuple[str, int]],
    ) -> None:
        # Siblings that are stored already are measured again together with the new ones.
        self.points = [
            replace(stage, seeds=tuple(sorted({*stage.seeds, *stored.get(stage.point.key, ())})))
            for stage in missing_points(points, stored)
        ]
        self._waiting: dict[str, list[PointStage]] = {}
        ready: list[PointStage] = []
        for stage in self.points:
            known = (stage.point.dense.key, stage.point.epoch) in dense
            (ready if known else self._waiting.setdefault(stage.point.dense.key, [])).append(stage)
        self.dense = [
            DenseStage(stages[0].point.dense, tuple(sorted({stage.point.epoch for stage in stages})))
            for stages in self._waiting.values()
        ]
        self._ready: deque[Stage] = deque([*self.dense, *ready])
        self._left: dict[Stage, None] = dict.fromkeys([*self.dense, *self.points])

    def ask(self) -> Stage | None:
        """Give a stage that can run now: dense models first."""
        return self._ready.popleft() if self._ready else None

    def tell(self, stage: Stage, outcome: Outcome) -> list[PointStage]:
        """Take an outcome. Points of a dense model can run once it is kept, and never if it failed."""
        del self._left[stage]
        if isinstance(stage, PointStage):
            return []
        points = self._waiting.pop(stage.run.key)
        if outcome != "failed":
            self._ready.extend(points)
            return []
        for point in points:
            del self._left[point]
        return points

    @property
    def left(self) -> list[Stage]:
        """Stages that were not told of."""
        return list(self._left)
