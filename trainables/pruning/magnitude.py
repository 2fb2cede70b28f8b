"""One-shot pruning by the magnitude of the weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

PRUNABLE: dict[type[nn.Module], tuple[str, ...]] = {
    _ConvNd: ("weight",),
    nn.Linear: ("weight",),
    nn.MultiheadAttention: ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
}
"""Parameters that pruning may remove weights of, by the kind of layer."""


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights that pruning may remove, by parameter name: of convolutions, of attention, of linear layers but the last.

    The first convolution and the 1x1 shortcuts count; the final linear layer, biases and batch-norm do not
    (Zhou et al. 2023, section 4.1 and their code). Their models have no other linear layers and no attention; that
    those count is our extension to models that do. Weights that are bare parameters of other modules do not count.
    """
    modules = dict(model.named_modules())
    last = [name for name, module in modules.items() if isinstance(module, nn.Linear)][-1:]
    found = {
        f"{name}.{parameter}".removeprefix("."): getattr(module, parameter, None)
        for name, module in modules.items()
        for kind, parameters in PRUNABLE.items()
        if isinstance(module, kind) and name not in last
        for parameter in parameters
    }
    return {name: weight.detach() for name, weight in found.items() if weight is not None}


def magnitude_masks(weights: Mapping[str, Tensor], density: float, pruner: str) -> dict[str, Tensor]:
    """Masks that keep the weights of largest magnitude.

    ``magnitude-uniform`` drops the round((1 - density) n) smallest of every layer, ``magnitude-global`` those of all
    layers together. Exactly that many are dropped: of weights equal in magnitude those that come first go first.
    A share that falls on a half is rounded to even.

    Args:
        weights: Weights by parameter name, as :func:`prunable_weights` gives them.
        density: Fraction to keep, in (0, 1].
        pruner: Over which weights magnitudes compete.

    Returns:
        Boolean tensors by parameter name, of the weights' shapes, True where the weight is kept.
    """
    if pruner == "magnitude-uniform":
        return {name: _keep_largest(weight.flatten(), density).view_as(weight) for name, weight in weights.items()}
    flat = _keep_largest(torch.cat([weight.flatten() for weight in weights.values()]), density)
    parts = flat.split([weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}


def _keep_largest(weights: Tensor, density: float) -> Tensor:
    dropped = round((1 - density) * weights.numel())
    keep = torch.ones_like(weights, dtype=torch.bool)
    keep[weights.abs().argsort(stable=True)[:dropped]] = False
    return keep
