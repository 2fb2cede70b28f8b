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

    A model that has :func:`not_pruned` says by that, instead of by its last linear layer, what is left as it is (ours).
    The first convolution and the 1x1 shortcuts count; the final linear layer, biases and batch-norm do not
    (Zhou et al. 2023, section 4.1 and their code). Their models have no other linear layers and no attention; that
    those count is our extension to models that do. So is that the last linear layer counts where nothing else does, as
    in a linear model (Diao et al. 2023, whose code prunes all weights of more than one dimension, prune that, too).
    Weights that are bare parameters of other modules do not count.
    """
    modules = dict(model.named_modules())
    if (own := not_pruned(model)) is not None:
        return _weights(modules, without=own)
    last = [name for name, module in modules.items() if isinstance(module, nn.Linear)][-1:]
    return _weights(modules, without=last) or _weights(modules, without=())


def not_pruned(model: nn.Module) -> set[str] | None:
    """Names of modules that a model says pruning leaves as they are; None if it says nothing.

    They are those of its attribute ``not_pruned``, a tuple or list of names, empty if everything is pruned, and
    all modules that are in these.

    Raises:
        ValueError: If they are no names of its modules; one sentence.
    """
    own = getattr(model, "not_pruned", None)
    if own is None:
        return None
    if not isinstance(own, (tuple, list)):
        raise ValueError(f"its not_pruned is {own!r}; make it a tuple of names of modules")
    names = [name for name, _ in model.named_modules()]
    if unknown := [name for name in own if name not in names]:
        raise ValueError(
            f"its not_pruned names {unknown[0]!r}, which is none of its named_modules(); name one of these"
        )
    return {name for name in names if f"{name}.".startswith(tuple(f"{each}." for each in own))}


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
