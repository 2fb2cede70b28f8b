"""Linear mode connectivity of two siblings. Imports torch when something is measured."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from trainables.measuring.metric import MESSAGE, Column, Metric, Models
from trainables.measuring.settings import MeasurementSettings


class LinearModeConnectivity(Metric):
    """LMC by the training error along the line (:mod:`metrics.connectivity`)."""

    name = "lmc"
    of = "pair"
    columns = (
        Column("lmc", "error, in [-1, 1]", "linear mode connectivity, negative for a barrier; NaN if diverged"),
        Column("path_errors", "fraction in [0, 1]", "training error at even steps along the path", is_list=True),
    )

    def measure(
        self, models: Models, places: Sequence[tuple[int, ...]], settings: MeasurementSettings
    ) -> Iterator[dict[str, Any]]:
        """Pair by pair."""
        from metrics.connectivity import linear_mode_connectivity
        from trainables.measuring.comparison import PathStacks, path_errors

        task, name = models.task, models.name
        at_once = task.models_at_once(name, settings.path_points, settings.batch_norm_batch_size)
        stacks = PathStacks(lambda count: task.stack(name, count), at_once)
        for first, second in places:
            errors = path_errors(stacks, models.states[first], models.states[second], task, settings)
            if any(map(math.isnan, errors)):
                yield {"lmc": math.nan, "path_errors": errors, MESSAGE: "outputs not finite on the path"}
            else:
                yield {"lmc": linear_mode_connectivity(errors), "path_errors": errors}

    def samples(self, train: int, models: int, places: int, settings: MeasurementSettings) -> float:
        """All training samples at every position, for the statistics and for the errors."""
        return 2.0 * train * places * settings.path_points
