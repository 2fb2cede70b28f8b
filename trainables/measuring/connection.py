"""How two trained models are connected, by a line and by a curve, and how alike they are. Imports torch when run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainables.measuring.settings import MeasurementSettings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.tasks.task import Task

State = Mapping[str, "Tensor"]


def connections(
    name: str,
    states: Sequence[State],
    pairs: Sequence[tuple[int, int]],
    bends: Sequence[State],
    task: "Task",
    settings: MeasurementSettings,
) -> Iterator[dict[str, Any]]:
    """Mode connectivity and similarity of pairs of models.

    Both kinds of mode connectivity are by the formula of linear mode connectivity (:mod:`metrics.connectivity`), along
    the curve and along the line. That along a curve is no less than that of the best curve only by what its training
    did not find: it depends on epochs, learning rate and start of the bend.

    Args:
        name: Of the architecture.
        states: State dictionaries of plain models, all finite.
        pairs: Indices of two models each.
        bends: State dictionary of the bend of each pair's curve.
        task: Whose training samples are evaluated and compared.
        settings: Positions on a path, batches that re-estimate batch-norm, and samples of similarity.

    Yields:
        Of each pair ``mc`` and ``line_mc``, in [-1, 1], negative for a barrier, NaN if outputs are not finite on the
        path; errors and losses on both; ``cka`` on mixed-up samples, in [0, 1], NaN where it is undefined.
    """
    from metrics.connectivity import linear_mode_connectivity
    from trainables.measuring.comparison import PathStacks, path_evaluations, similarities

    positions = 2 * settings.path_points * len(pairs)
    at_once = task.models_at_once(name, positions, settings.batch_norm_batch_size)
    stacks = PathStacks(lambda count: task.stack(name, count, {}), at_once)
    paths = {
        kind: list(path_evaluations(stacks, states, pairs, task, settings, own))
        for kind, own in (("curve", bends), ("line", ()))
    }
    stack = task.stack(name, len(states), {})
    stack.load(states)
    alike = similarities(stack, pairs, task, settings, mixed_up=True)
    for curve, line, cka in zip(paths["curve"], paths["line"], alike, strict=True):
        yield {
            "mc": linear_mode_connectivity(curve.errors),
            "line_mc": linear_mode_connectivity(line.errors),
            "cka": cka,
            "curve_errors": curve.errors,
            "curve_losses": curve.losses,
            "line_errors": line.errors,
            "line_losses": line.losses,
        }
