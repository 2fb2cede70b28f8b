"""What an optimizer remembers of each parameter, so that a training goes on with it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def optimizer_state(
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


def load_optimizer_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    found: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Have an optimizer remember what :func:`optimizer_state` found, of an optimizer like it.

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
