"""What pruning by itself changes: the loss and the norm of its gradient, before anything is retrained.

By these Lubana and Dick 2021 (arXiv 2009.11839) tell measures of importance apart.
"""

import math

import torch

from trainables.pruning.context import PruningContext, State
from trainables.pruning.gradient_scores import loss_and_gradients
from trainables.tasks.evaluation import in_float32

UNKNOWN_CHANGE = dict.fromkeys(("loss_before", "loss_after", "gradient_norm_before", "gradient_norm_after"), math.nan)
"""Columns of tables where there is no pruned model."""


def change(context: PruningContext, before: State, after: State) -> dict[str, float]:
    """Columns of tables that say it.

    Args:
        context: That has the loss.
        before: State dictionary of the plain model that is pruned, which may be smaller than the architecture.
        after: That of the same model, pruned.

    Returns:
        As :func:`loss_and_gradient_norm` gives them, by the names of :data:`UNKNOWN_CHANGE`.
    """
    (loss, norm), (loss_after, norm_after) = (loss_and_gradient_norm(context, state) for state in (before, after))
    return dict(zip(UNKNOWN_CHANGE, (loss, loss_after, norm, norm_after), strict=True))


@torch.random.fork_rng(devices=[])  # a new model draws weights
def loss_and_gradient_norm(context: PruningContext, state: State) -> tuple[float, float]:
    """Of the mean training loss on the sample that gradient scores look at, in evaluation mode and float32.

    Args:
        context: That has the loss, as of :meth:`trainables.pruning.context.PruningContext.loss_parts`.
        state: State dictionary of the plain model, which may be smaller than the architecture.

    Returns:
        The loss, and the L2 norm of its gradient over all parameters, those that are zero included. NaN or infinite if
        the loss is.
    """
    with in_float32():
        loss, gradients = loss_and_gradients(context, context.model_of(state))
    return loss, float(torch.stack([each.double().norm() for each in gradients.values()]).norm())
