"""What turns gradients into steps: SGD, alone or inside sharpness-aware minimization."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainables.recipe import Recipe


def make_optimizer(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or, for a recipe with ``rho``, SAM around it; the latter's ``step`` needs a closure.

    SAM's perturbation is rho * g / (||g||_2 + 1e-12) with the norm over all parameters (Zhou et al. 2023, after Foret
    et al. 2021, arXiv 2010.01412), so the parameters must be those of a single model.
    """
    settings: dict[str, Any] = {
        "lr": recipe.lr,
        "momentum": recipe.momentum,
        "weight_decay": recipe.weight_decay,
        "fused": True,
    }
    if not recipe.rho:
        return torch.optim.SGD(parameters, **settings)
    from pytorch_optimizer import SAM  # slow to import

    return SAM(parameters, torch.optim.SGD, rho=recipe.rho, **settings)


@contextmanager
def batch_norm_statistics_kept(model: nn.Module) -> Iterator[None]:
    """Keep running statistics as they are in forward passes that use those of the batch: SAM's second pass."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
