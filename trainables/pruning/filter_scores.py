"""How much each filter matters (Lubana and Dick 2021, arXiv 2009.11839, section 3), from values of its parameters.

A filter's parameters are its row of the convolution's or linear layer's weight, its bias, and weight and bias of the
batch-norm that normalises it alone. Layers whose channels are only removed together have the mean of their filters'
scores (our interpretation: the paper does not say it). A batch-norm of a sum or a concatenation is no filter's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainables.pruning.channels import ChannelGroup, Part
from trainables.pruning.context import PruningContext
from trainables.pruning.gradient_scores import first_order, fisher_information, second_order

Values = Mapping[str, Tensor]
"""A value for every number of a model, tensors by parameter name, of the parameters' shapes."""


@dataclass(frozen=True)
class Products:
    """What scores may ask for, of the model that is pruned; computed when it is asked for.

    Attributes:
        first_order: Of every parameter theta with gradient g of the loss: theta g.
        second_order: With the Hessian H: theta (H g).
        fisher_information: With the gradient of each example: theta^2 E[g^2].
        initial: The model's initial weights; those of the channels that it still has.
    """

    first_order: Callable[[], Values]
    second_order: Callable[[], Values]
    fisher_information: Callable[[], Values]
    initial: Callable[[], Values]


def products_of(context: PruningContext, model: nn.Module, initial: Callable[[], Values]) -> Products:
    """Those of the loss on the published sample (:mod:`trainables.pruning.gradient_scores`), each computed once.

    Args:
        context: That has the loss.
        model: Plain, on the device, in evaluation mode.
        initial: As of :class:`Products`.
    """
    return Products(
        cache(lambda: first_order(context, model)),
        cache(lambda: second_order(context, model)),
        cache(lambda: fisher_information(context, model)),
        cache(initial),
    )


Score = Callable[[nn.Module, Sequence[ChannelGroup], Products], list[Tensor]]
"""Scores of the channels of every group, shape (channels,), of which the lowest are removed."""


def channel_scores(
    groups: Sequence[ChannelGroup], values: Values, reduce: Callable[[Tensor], Tensor] = torch.Tensor.clone
) -> list[Tensor]:
    """Sum of the values of each filter's parameters, reduced, then the mean over a group's layers.

    Args:
        groups: The channels.
        values: Of every parameter, by name.
        reduce: Maps sums, one for each filter, to scores.

    Returns:
        Of every group float64, shape (channels,).
    """
    return [_means(group, values, lambda part: part.filter, reduce) for group in groups]


def _means(
    group: ChannelGroup, values: Values, owner: Callable[[Part], str], reduce: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mean, over what owns parts of a group, of the reduced sums of the values in these."""
    sums: dict[str, Tensor] = {}
    has: dict[str, Tensor] = {}
    for part in group.parts:
        names = [name for name in (f"{part.layer}.weight", f"{part.layer}.bias") if name in values]
        if part.dim == 1 or not owner(part) or not names:
            continue
        channels = torch.tensor(part.channels)
        own = sums.setdefault(owner(part), torch.zeros(group.channels, dtype=torch.float64))
        has.setdefault(owner(part), torch.zeros(group.channels))[channels] = 1
        for name in names:
            rows = values[name].detach().cpu().double()[list(part.rows)]
            own.index_add_(0, channels, rows.flatten(1).sum(1) if rows.dim() > 1 else rows)
    total = torch.stack([reduce(own) * has[name] for name, own in sums.items()]).sum(0)
    return total / torch.stack(list(has.values())).sum(0)


def magnitude(model: nn.Module, groups: Sequence[ChannelGroup], products: Products) -> list[Tensor]:
    """L2 norm of the filter's parameters: ||theta_F||_2."""
    return channel_scores(groups, {name: own.detach() ** 2 for name, own in model.named_parameters()}, torch.sqrt)


def loss(model: nn.Module, groups: Sequence[ChannelGroup], products: Products) -> list[Tensor]:
    """Loss preservation, each parameter's by itself: sum |theta g|."""
    return channel_scores(groups, _absolute(products.first_order()))


def loss_signed(model: nn.Module, groups: Sequence[ChannelGroup], products: Products) -> list[Tensor]:
    """Loss preservation, to first order that of removing the filter: |sum theta g|."""
    return channel_scores(groups, products.first_order(), torch.abs)


def loss_biased(model: nn.Module, groups: Sequence[ChannelGroup], products: Products) -> list[Tensor]:
    """Loss preservation, biased by the distance from the initial weights: sum |theta - theta_0| |theta g|."""
    initial, change = products.initial(), _absolute(products.first_order())
    moved = {name: (own.detach().cpu() - initial[name].cpu()).abs() for name, own in model.named_parameters()}
    return channel_scores(groups, {name: own * change[name].cpu() for name, own in moved.items()})


def grasp(model: nn.Module, groups: Sequence[ChannelGroup], products: Products) -> list[Tensor]:
    """Change of the gradient's norm, with its sign: sum theta (H g)."""
    return channel_scores(groups, products.second_order())


def gradient_norm(model: nn.Module, groups: Sequence[ChannelGroup], products: Products) -> list[Tensor]:
    """Preservation of the gradient's norm: |sum theta (H g)|."""
    return channel_scores(groups, products.second_order(), torch.abs)


def fisher(model: nn.Module, groups: Sequence[ChannelGroup], products: Products) -> list[Tensor]:
    """Fisher information: sum theta^2 E[g^2]."""
    return channel_scores(groups, products.fisher_information())


def batch_norm_scale(model: nn.Module, groups: Sequence[ChannelGroup], products: Products) -> list[Tensor]:
    """Scale of the batch-norm: |gamma|; the mean over all that normalise a channel (our interpretation).

    Those of sums and concatenations count, too: some channels have no other.

    Raises:
        ValueError: If a channel has none; one sentence.
    """
    norms = {name for name, module in model.named_modules() if isinstance(module, _BatchNorm) and module.affine}
    scales = {f"{name}.weight": model.get_submodule(name).weight.detach().abs() for name in norms}  # type: ignore[operator]
    for group in groups:
        normalised = {channel for part in group.parts if part.layer in norms for channel in part.channels}
        if len(normalised) < group.channels:
            layer = next(part.layer for part in group.parts if part.filter)
            raise ValueError(f"no batch-norm normalises the filters of {layer}, so these have no scale to rank them by")
    return [_means(group, scales, lambda part: part.layer, torch.abs) for group in groups]


def _absolute(values: Values) -> dict[str, Tensor]:
    return {name: value.abs() for name, value in values.items()}


FILTER_SCORES: dict[str, Score] = {
    "filter-magnitude": magnitude,
    "filter-loss": loss,
    "filter-loss-signed": loss_signed,
    "filter-loss-biased": loss_biased,
    "filter-grasp": grasp,
    "filter-gradnorm": gradient_norm,
    "filter-fisher": fisher,
    "filter-bn": batch_norm_scale,
}
"""Scores of filters, by the names of their pruning rules."""
