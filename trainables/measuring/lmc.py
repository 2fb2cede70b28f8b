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
        Column("path_losses", "nats", "cross entropy of the training samples at the same places", is_list=True),
    )

    def measure(
        self, models: Models, places: Sequence[tuple[int, ...]], settings: MeasurementSettings
    ) -> Iterator[dict[str, Any]]:
        """All pairs together."""
        from metrics.connectivity import linear_mode_connectivity
        from trainables.measuring.comparison import PathStacks, kept_weights, path_evaluations

        task, name = models.task, models.name
        pairs = [(first, second) for first, second in places]
        positions = _positions(len({model for pair in pairs for model in pair}), len(pairs), settings)
        like = models.states[0]
        at_once = task.models_at_once(name, positions, settings.batch_norm_batch_size, like)
        masks = kept_weights(models.states)
        stacks = PathStacks(lambda count: task.stack(name, count, masks, like), at_once)
        for errors, losses in path_evaluations(stacks, models.states, pairs, task, settings):
            path = {"path_errors": errors, "path_losses": losses}
            if any(map(math.isnan, errors)):
                yield {"lmc": math.nan, **path, MESSAGE: "outputs not finite on the path"}
            else:
                yield {"lmc": linear_mode_connectivity(errors), **path}

    def samples(self, train: int, models: int, places: int, settings: MeasurementSettings) -> float:
        """All training samples at every position, for the statistics and for the errors; ends are shared."""
        return 2.0 * train * _positions(min(models, 2 * places), places, settings)


def _positions(ends: int, pairs: int, settings: MeasurementSettings) -> int:
    """At which errors are taken on the lines of so many pairs, which share so many ends."""
    return ends + pairs * (settings.path_points - 2)
