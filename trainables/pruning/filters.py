"""Removing whole filters: which channels go together (Torch-Pruning's dependency graph), and the smaller model.

Fang et al. 2023 (DepGraph, arXiv 2301.12900, section 3) find them by tracing. Torch-Pruning is asked for nothing else.
"""

import copy
import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from trainables.models.smaller import resized
from trainables.pruning.channels import ChannelGroup, Kept, Part, unread, without_channels
from trainables.pruning.prunable import not_pruned
from trainables.stacks.inputs import ModelInputs, arguments
from trainables.tasks.explained import explained

ALIKE = 1e-3
"""So much of the largest output a smaller model may differ from one that does not read its channels, by rounding."""

EXAMPLES = 4
"""Made-up inputs with which a model is traced, and a smaller one is tried."""

LAYERS = _ConvNd, nn.Linear, _BatchNorm, nn.PReLU
"""Kinds of layers that can lose channels."""


@torch.random.fork_rng(devices=[])
def channel_groups(model: nn.Module, example_inputs: ModelInputs) -> list[ChannelGroup]:
    """Channels that can be removed, and what has to go with them.

    Those of layers whose outputs are added or pass through a depthwise convolution go together; of a concatenation each
    layer's own are by themselves. Outputs of the model, as of the final linear layer, are never removed, nor those of
    layers that it says are :func:`trainables.pruning.prunable.not_pruned`. Filters are of convolutions and of hidden
    linear layers; that the latter count is our extension, as in :func:`trainables.pruning.prunable.prunable_weights`.
    Torch-Pruning 1.6 misreads a concatenation whose pixels a linear layer takes; :func:`pruned_filters` finds that.

    Args:
        model: Plain, with all its channels (:func:`trainables.pruning.channels.left` gives those of a smaller one).
        example_inputs: Of this model, on the CPU.

    Returns:
        Groups in the order in which the model has their layers.

    Raises:
        ValueError: If the model cannot be traced, or its filters cannot be removed; one sentence.
    """
    if attention := [name for name, module in model.named_modules() if isinstance(module, nn.MultiheadAttention)]:
        said = "is a MultiheadAttention, which cannot lose channels, so whole filters cannot be removed"
        raise ValueError(f"{attention[0]} {said}; choose a rule that removes single weights")
    traced = copy.deepcopy(model).cpu().requires_grad_()
    said = "the model cannot be traced to see which of its filters go together"
    graph, groups = explained(lambda: _traced(traced, example_inputs), said)
    names = {module: name for name, module in traced.named_modules()}
    for module, name in names.items():
        if isinstance(module, LAYERS) and module not in graph.module2node:
            raise ValueError(f"{name} gives nothing to the model's outputs, so what goes with its filters is not known")
    stays = not_pruned(model) or set()
    found = [
        ChannelGroup(len(group[0].idxs), tuple(_parts(graph, group, names)))
        for group in groups
        if not _gives_outputs(graph, group)
    ]
    found = [group for group in found if not stays & {part.filter for part in group.parts}]
    if not found:
        raise ValueError("no convolution and no linear layer is hidden in the model, so it has no filters to remove")
    _check(traced, found)
    places = list(names.values())
    return sorted(found, key=lambda group: min(places.index(part.layer) for part in group.parts if part.filter))


def pruned_filters(
    model: nn.Module, groups: Sequence[ChannelGroup], kept: Kept, example_inputs: ModelInputs
) -> dict[str, Tensor]:
    """Remove whole filters from a model, and try what is left of it.

    Its outputs have to be those of the model whose layers do not read the removed channels.

    Args:
        model: Plain; it is not changed.
        groups: Its channels.
        kept: Which are kept.
        example_inputs: Of this model, on the model's device.

    Returns:
        State dictionary of the smaller model; :func:`trainables.models.smaller.resized` makes a model that takes it.

    Raises:
        ValueError: If the model does not work with fewer channels, or gives something else; one sentence.
    """
    state = model.state_dict()
    smaller = without_channels(state, groups, kept)
    whole, small = copy.deepcopy(model), resized(copy.deepcopy(model), smaller)
    whole.load_state_dict(unread(state, groups, kept))
    small.load_state_dict(smaller)
    expected = _outputs(whole, example_inputs)
    found = explained(lambda: _outputs(small, example_inputs), "the model does not run with fewer channels")
    most = ALIKE * float(expected.abs().nan_to_num(0, 0, 0).max())
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=0, atol=most, equal_nan=True):
        raise ValueError("the model uses its channels in a way that is not understood, so it cannot lose whole filters")
    return smaller


@torch.no_grad()
@torch.random.fork_rng(devices=[])
def _outputs(model: nn.Module, inputs: ModelInputs) -> Tensor:
    outputs: Tensor = model.eval()(*arguments(inputs))
    return outputs


def _traced(model: nn.Module, inputs: ModelInputs) -> tuple[Any, list[Any]]:
    """Torch-Pruning's graph of a model and its groups, with nothing printed."""
    with redirect_stdout(io.StringIO()), torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            model, inputs, forward_fn=lambda traced, given: traced(*arguments(given)), verbose=False
        )
        return graph, list(graph.get_all_groups())


def _gives_outputs(graph: Any, group: Any) -> bool:
    """Whether channels of a group are the model's outputs."""
    return any(graph.is_out_channel_pruning_fn(item.dep.handler) and not item.dep.target.outputs for item in group)


def _parts(graph: Any, group: Any, names: dict[nn.Module, str]) -> Iterator[Part]:
    for item in group:
        node, layer = item.dep.target, item.dep.target.module
        if isinstance(layer, nn.Parameter):
            raise ValueError(f"a parameter of shape {tuple(layer.shape)} is in no known layer and cannot lose channels")
        if layer not in names or not layer.state_dict():
            continue  # an operation
        name = names[layer]
        if not isinstance(layer, LAYERS) or isinstance(layer, _ConvTransposeNd):
            raise ValueError(f"{name} is a {type(layer).__name__}, which cannot lose channels")
        depthwise = isinstance(layer, _ConvNd) and 1 < layer.groups == layer.in_channels == layer.out_channels
        if isinstance(layer, _ConvNd) and layer.groups > 1 and not depthwise:
            raise ValueError(f"{name} is a convolution with {layer.groups} groups, which cannot lose single channels")
        if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
            continue
        rows, channels = tuple(item.idxs), tuple(item.root_idxs)
        if isinstance(layer, _BatchNorm):
            yield Part(name, 0, rows, channels, _filter_before(node, names))
        elif isinstance(layer, nn.PReLU):
            yield Part(name, 0, rows, channels)
        elif depthwise or graph.is_out_channel_pruning_fn(item.dep.handler):
            yield Part(name, 0, rows, channels, name)
        else:
            yield Part(name, 1, rows, channels)


def _filter_before(node: Any, names: dict[nn.Module, str]) -> str:
    """The convolution or linear layer whose output alone a batch-norm gets; empty if it gets more."""
    while len(node.inputs) == 1:
        node = node.inputs[0]
        if isinstance(node.module, (_ConvNd, nn.Linear)):
            return names[node.module]
    return ""


def _check(model: nn.Module, groups: Sequence[ChannelGroup]) -> None:
    """Raise ValueError, in one sentence, if layers share their weights, or channels do not fall into groups."""
    users: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        users.setdefault(id(parameter), []).append(name)
    alone = {name for name, *others in users.values() if not others}
    seen: set[tuple[str, int, int]] = set()
    for part in (part for group in groups for part in group.parts):
        weight = f"{part.layer}.weight"
        if getattr(model.get_submodule(part.layer), "weight", None) is not None and weight not in alone:
            raise ValueError(f"{weight} is shared or computed from others, so its layer cannot lose channels")
        own = {(part.layer, part.dim, row) for row in part.rows}
        if seen & own:
            raise ValueError(f"{part.layer} mixes channels of several layers, so these cannot be removed one by one")
        seen |= own
