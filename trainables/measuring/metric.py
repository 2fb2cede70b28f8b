"""What a metric of siblings is. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainables.measuring.settings import MeasurementSettings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.tasks.task import Task

Of = Literal["sibling", "pair"]
"""What a metric is of: a sibling, or a pair of siblings of one point."""

MESSAGE = "message"
"""What a metric may give beside its columns: why a subject has no value. Then its row counts as diverged."""


@dataclass(frozen=True)
class Column:
    """A column that a metric fills.

    Attributes:
        name: Of the column.
        unit: Of its values; empty for none.
        description: What it is, and what NaN means.
        is_list: Whether a value is a list of numbers instead of a number.
    """

    name: str
    unit: str
    description: str
    is_list: bool = False


@dataclass(frozen=True)
class Models:
    """Trained models of one architecture.

    Attributes:
        name: Of the architecture.
        states: State dictionary of each plain model, on the CPU, all of it finite, all with the same numbers of
            channels, which may be fewer than the architecture's.
        task: What they were trained for.
    """

    name: str
    states: Sequence[Mapping[str, "Tensor"]]
    task: "Task"


class MetricError(RuntimeError):
    """A metric that could not be measured, for a reason of its own."""


class Metric(ABC):
    """Something that is measured of siblings, once for each of them or of their pairs.

    A metric is one file with such a class, and a line in :data:`trainables.measuring.registry.METRICS`. Torch is
    imported in :meth:`measure`: names and columns must be known without it.

    Attributes:
        name: Of the metric.
        of: What it is measured of.
        columns: What it fills; of the first it is told whether it was measured.
    """

    name: ClassVar[str]
    of: ClassVar[Of]
    columns: ClassVar[tuple[Column, ...]]

    @abstractmethod
    def measure(
        self, models: Models, places: Sequence[tuple[int, ...]], settings: MeasurementSettings
    ) -> Iterator[dict[str, Any]]:
        """Give the values of its columns, by name, for each of these models or pairs, in this order.

        Args:
            models: The models.
            places: Indices of a model, or of a pair.
            settings: How they are measured.
        """

    @abstractmethod
    def samples(self, train: int, models: int, places: int, settings: MeasurementSettings) -> float:
        """For an estimate of its time: how many samples it puts through a model, in all.

        Args:
            train: Number of training samples.
            models: Number of models.
            places: Number of models or pairs that are measured.
            settings: How they are measured.
        """
