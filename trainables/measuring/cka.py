"""Similarity of two siblings' outputs. Imports torch when something is measured."""

from collections.abc import Iterator, Sequence
from typing import Any

from trainables.measuring.metric import Column, Metric, Models
from trainables.measuring.settings import MeasurementSettings


class OutputSimilarity(Metric):
    """Linear CKA of the softmax outputs (:mod:`metrics.similarity`)."""

    name = "cka"
    of = "pair"
    columns = (Column("cka", "in [0, 1]", "similarity of the softmax outputs; NaN if undefined"),)

    def measure(
        self, models: Models, places: Sequence[tuple[int, ...]], settings: MeasurementSettings
    ) -> Iterator[dict[str, Any]]:
        """The outputs of all models first, then pair by pair."""
        from trainables.measuring.comparison import kept_weights, similarities

        stack = models.task.stack(models.name, len(models.states), kept_weights(models.states), models.states[0])
        stack.load(models.states)
        pairs = [(first, second) for first, second in places]
        for value in similarities(stack, pairs, models.task, settings):
            yield {"cka": value}

    def samples(self, train: int, models: int, places: int, settings: MeasurementSettings) -> float:
        """The sample, once through every model."""
        return float(min(settings.cka_images, train) * models)
