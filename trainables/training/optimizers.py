"""What turns gradients into steps: SGD, alone or inside sharpness-aware minimization."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainables.training.recipe import Recipe


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


def remembered(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, dict[str, Tensor]]:
    """What an optimizer remembers of each parameter.

    Args:
        optimizer: Any of torch's kind.
        parameters: All that it optimizes, by name.

    Returns:
        By the optimizer's own name (``momentum_buffer``, ``exp_avg``, ``step``), then by parameter name, tensors of the
        parameters' shapes or of none. They share memory with the optimizer's.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, parameter in parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                found.setdefault(key, {})[name] = torch.as_tensor(value)
    return found


def remember(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    found: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Have an optimizer remember what :func:`remembered` found, of an optimizer like it.

    Every tensor is laid out in memory as its parameter is here. ``load_state_dict`` of an optimizer keeps the layout of
    the process that saved it, and fused steps go through both memories side by side: with another layout each weight
    would get another one's momentum, or the step fails.
    """
    optimizer.state.clear()
    group = optimizer.param_groups[0]
    counts_on_device = group.get("fused") or group.get("capturable")
    for key, tensors in found.items():
        for name, tensor in tensors.items():
            parameter = parameters[name].detach()
            if tensor.shape == parameter.shape:
                own = torch.empty_like(parameter).copy_(tensor)
            else:  # a count of steps
                own = tensor.to(parameter.device if counts_on_device else tensor.device, copy=True)
            optimizer.state[parameters[name]][key] = own
