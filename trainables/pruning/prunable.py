"""Which weights of a model pruning may remove."""

from collections.abc import Collection, Mapping

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
    those count is our extension to models that do. So is that the last linear layer counts where nothing else does, as
    in a linear model (Diao et al. 2023, whose code prunes all weights of more than one dimension, prune that, too).
    Weights that are bare parameters of other modules do not count.
    """
    modules = dict(model.named_modules())
    last = [name for name, module in modules.items() if isinstance(module, nn.Linear)][-1:]
    return _weights(modules, without=last) or _weights(modules, without=())


def _weights(modules: Mapping[str, nn.Module], without: Collection[str]) -> dict[str, Tensor]:
    """Prunable weights of these modules but for some, by parameter name."""
    found = {
        f"{name}.{parameter}".removeprefix("."): getattr(module, parameter, None)
        for name, module in modules.items()
        for kind, parameters in PRUNABLE.items()
        if isinstance(module, kind) and name not in without
        for parameter in parameters
    }
    return {name: weight.detach() for name, weight in found.items() if weight is not None}


@torch.random.fork_rng(devices=[])
def random_masks(model: nn.Module, density: float) -> dict[str, Tensor]:
    """Masks that keep weights at random, each with this probability, to see how long a pruned model takes."""
    return {name: torch.rand_like(weight) < density for name, weight in prunable_weights(model).items()}
