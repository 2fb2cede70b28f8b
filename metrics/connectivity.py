"""Linear mode connectivity (LMC): does the straight line between two trained models cross a barrier?"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

State = Mapping[str, Tensor]


def path_positions(points: int) -> list[float]:
    """Positions t in [0, 1] at which the line between two models is evaluated, ends included.

    The paper's are 0, 0.1, ..., 1, so ``points = 11`` (Zhou et al. 2023, arXiv 2305.18383).
    """
    return [index / (points - 1) for index in range(points)]


def interpolate(start: State, end: State, position: float) -> dict[str, Tensor]:
    """Model at ``position`` on the line from ``start`` to ``end``: (1 - t) start + t end.

    All floating point entries of the two state dictionaries are interpolated, batch-norm statistics among them:
    those are meaningless on the line and have to be re-estimated (:func:`reestimate_batch_norm`) before the model
    is evaluated. Other entries (counters) are taken from ``start``. The ends are returned exactly.
    """
    return {
        name: tensor.lerp(end[name], position) if tensor.is_floating_point() else tensor
        for name, tensor in start.items()
    }


def bezier(start: State, bend: State, end: State, position: float) -> dict[str, Tensor]:
    """Model at ``position`` on the quadratic Bezier curve (1 - t)^2 start + 2 t (1 - t) bend + t^2 end.

    Garipov et al. 2018 (arXiv 1802.10026, equation 3). With a bend in the middle of the line the curve is the line. All
    else as of :func:`interpolate`: the ends are returned exactly.
    """
    return interpolate(interpolate(start, bend, position), interpolate(bend, end, position), position)


@torch.no_grad()
def reestimate_batch_norm(model: nn.Module, batches: Iterable[tuple[Any, int]]) -> None:
    """Replace the model's batch-norm statistics by those of ``batches``, in place.

    The statistics are reset and become, in one pass, the average of the batch means and (unbiased) batch variances,
    each weighted by its number of samples: after n samples a batch of b enters with momentum b / (n + b), as in the
    published code of Zhou et al. 2023. The result depends on the batch size: the paper's is 64.

    Args:
        model: With batch-norm layers or none; in the mode that it had before when this returns.
        batches: What the model takes, and of how many samples it is. Without batch-norm none is asked for.

    Raises:
        ValueError: If there is batch-norm, but no batch.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    before, momenta = model.training, [norm.momentum for norm in norms]
    model.train()
    for norm in norms:
        norm.reset_running_stats()
    done = 0
    try:
        for inputs, samples in batches if norms else ():
            for norm in norms:
                norm.momentum = samples / (done + samples)
            model(inputs)
            done += samples
    finally:
        model.train(before)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    if norms and not done:
        raise ValueError("a model with batch-norm needs samples to re-estimate its statistics")


def linear_mode_connectivity(errors: Sequence[float]) -> float:
    """Signed LMC from the errors along the path, in units of error.

    With Ebar the mean of the two ends and t* the position where ``|Ebar - E(t)|`` is largest (the first of equals),
    LMC = Ebar - E(t*) (Zhou et al. 2023, section 3, after Yang et al. 2021, arXiv 2107.11228).

    Args:
        errors: E(t) in [0, 1] from one end of the path to the other, at least two.

    Returns:
        In [-1, 1]: negative for a barrier, about 0 for connected models, positive where the path is better than its
        ends. NaN if any error is NaN.

    Raises:
        ValueError: For fewer than two errors.
    """
    if len(errors) < 2:
        raise ValueError(f"a path has at least its two ends, but {len(errors)} errors were given")
    if any(math.isnan(value) for value in errors):
        return math.nan
    ends = (errors[0] + errors[-1]) / 2
    return max((ends - value for value in errors), key=abs)
