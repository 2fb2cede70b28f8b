"""The kinds of work that a sweep consists of, one file each. Imports no torch."""

from trainables.measuring.settings import CurvatureSettings, MeasurementSettings
from trainables.stages.connection import ConnectionStage
from trainables.stages.curvature import CurvatureStage
from trainables.stages.dense import DenseStage
from trainables.stages.dense_run import DenseRun
from trainables.stages.filter_scores import FilterScoresStage
from trainables.stages.measurement import MeasurementStage
from trainables.stages.point import Point, PointStage
from trainables.stages.pruning import PruningStage
from trainables.stages.pruning_run import PruningRun
from trainables.stages.rounds import RoundsStage
from trainables.stages.siblings import Keep
from trainables.stages.stage import Execution, Id, Label, Lost, Part, Row, Rows, Stage, finish

KINDS: dict[str, type[Stage]] = {
    kind.kind: kind
    for kind in (
        *(DenseStage, PruningStage, RoundsStage, PointStage, MeasurementStage, FilterScoresStage),
        *(ConnectionStage, CurvatureStage),
    )
}
"""Kinds of stages by name: the one place that knows them."""

__all__ = [
    "KINDS",
    "ConnectionStage",
    "CurvatureSettings",
    "CurvatureStage",
    "DenseRun",
    "DenseStage",
    "Execution",
    "FilterScoresStage",
    "Id",
    "Keep",
    "Label",
    "Lost",
    "MeasurementSettings",
    "MeasurementStage",
    "Part",
    "Point",
    "PointStage",
    "PruningRun",
    "PruningStage",
    "RoundsStage",
    "Row",
    "Rows",
    "Stage",
    "finish",
]
