"""What gradients need beside an optimizer: clipping, and SAM's second pass."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import get_total_norm

from trainables.stacks.stack import Stack


@torch.no_grad()
def clip_gradients(stack: Stack, gradients: Mapping[str, Tensor], largest: float) -> None:
    """Scale each model's gradients, in place, as ``torch.nn.utils.clip_grad_norm_`` does those of one model alone.

    Args:
        stack: The models.
        gradients: Of the stack's parameters, by name.
        largest: L2 norm of all gradients of a model above which they are scaled to it (Pascanu et al. 2013, arXiv
            1211.5063). Where the norm is not finite they become NaN, those of this model alone.
    """
    for own in stack.unstack_state(gradients):
        scale = (largest / (get_total_norm(own.values()) + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(list(own.values()), scale)


@contextmanager
def frozen_batch_norm_statistics(model: nn.Module) -> Iterator[None]:
    """Keep running statistics as they are in forward passes that use those of the batch: SAM's second pass."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
