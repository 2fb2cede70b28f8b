"""A grid as a plan: all of its points from the start."""

from collections.abc import Collection, Sequence

from sweeps.plans.plan import StagePlan
from sweeps.results.inventory import Inventory
from trainables.stages import DenseStage, MeasurementSettings, MeasurementStage, PointStage, Stage
from trainables.stages.measurement import measurements


class GridPlan(StagePlan):
    """All measurements of points that are not stored, and the trainings that they need.

    Args:
        points: All points wanted, with their siblings.
        settings: How they are measured.
        inventory: What is there.
        used_up: As of :class:`StagePlan`.
        others: Stages that are wanted beside points.

    Attributes:
        points: Of those wanted, the ones to be carried out.
        others: Of those wanted, likewise.
        dense: Trainings that they need.
        trained: Points of which nothing but measurements is to do.
        again: Points of which siblings that have results are retrained, since these were not kept.
    """

    def __init__(
        self,
        points: Sequence[PointStage],
        settings: MeasurementSettings,
        inventory: Inventory,
        used_up: Collection[str] = (),
        others: Sequence[Stage] = (),
    ) -> None:
        super().__init__([*measurements(points, settings), *others], inventory, used_up=used_up)
        left = self.left
        retrained = {stage.key for stage in left if isinstance(stage, PointStage)}
        measured = {stage.siblings.key for stage in left if isinstance(stage, MeasurementStage)}
        to_do = retrained | measured
        ids = {stage.id for stage in left}
        self.others = [stage for stage in others if stage.id in ids]
        self.points = [stage for stage in points if stage.key in to_do]
        made_again = {stage.key for stage in left if isinstance(stage, PointStage) and inventory.made_again(stage)}
        self.again = [stage for stage in self.points if stage.key in made_again]
        self.trained = [stage for stage in self.points if stage.key not in retrained]
        self.dense = [stage for stage in left if isinstance(stage, DenseStage)]
