"""Plain models with fewer channels than their architecture has: a state dictionary by itself says how many."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""Names and shapes of a state dictionary's tensors."""


def shapes(state: Mapping[str, Tensor]) -> Shapes:
    """What tells apart models of one architecture that have different numbers of channels; can be a key."""
    return tuple((name, tuple(tensor.shape)) for name, tensor in state.items())


def resized(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Make a model as small as the one that a state dictionary is of, so that it can be loaded.

    Parameters and buffers keep their first values along each dimension. Depthwise convolutions stay so, with fewer
    groups; others with groups keep their number.

    Args:
        model: Plain, newly made; it is changed. It stays as it is if it has these shapes.
        state: Of a model of this architecture with as many channels or fewer.

    Returns:
        The model.

    Raises:
        ValueError: If the names are not the model's, a tensor does not fit into its own, or no smaller one can be made
            of a kind of layer; one sentence.
    """
    own = model.state_dict()
    if strange := sorted(own.keys() ^ state.keys()):
        raise ValueError(f"{strange[0]} is in only one of a model and the weights that it is to take")
    for name, tensor in state.items():
        before, after = tuple(own[name].shape), tuple(tensor.shape)
        if len(before) != len(after) or any(size > most for size, most in zip(after, before, strict=True)):
            raise ValueError(f"{name} of shape {after} does not fit into the model's, which has shape {before}")
    for name, module in model.named_modules():
        kept = own.keys() & {f"{name}.{each}".removeprefix(".") for each in (*module._parameters, *module._buffers)}
        if any(state[each].shape != own[each].shape for each in kept):
            _shrink(module, name, {each.rpartition(".")[2]: state[each] for each in kept})
    return model


def _shrink(layer: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Give a layer the sizes of its own part of a state dictionary."""
    set_sizes = next((function for kind, function in _KINDS.items() if isinstance(layer, kind)), None)
    if set_sizes is None or isinstance(layer, _ConvTransposeNd):
        raise ValueError(f"{name} is a {type(layer).__name__}, of which no smaller one can be made")
    tensors = dict(layer.named_parameters(recurse=False)) | dict(layer.named_buffers(recurse=False))
    set_sizes(layer, name, state["weight"] if "weight" in state else state["running_mean"])
    for each, tensor in state.items():
        first = tensors[each].detach()[tuple(map(slice, tensor.shape))].clone()
        if each in layer._parameters:
            first = nn.Parameter(first, tensors[each].requires_grad)
        setattr(layer, each, first)


def _convolution(layer: Any, name: str, weight: Tensor) -> None:
    outputs, inputs = weight.shape[:2]
    if 1 < layer.groups == layer.in_channels:
        layer.groups = outputs * layer.groups // layer.out_channels
    _check_groups(name, outputs, layer.groups)
    layer.in_channels, layer.out_channels = inputs * layer.groups, outputs


def _linear(layer: Any, name: str, weight: Tensor) -> None:
    layer.out_features, layer.in_features = weight.shape


def _batch_norm(layer: Any, name: str, weight: Tensor) -> None:
    layer.num_features = len(weight)


def _group_norm(layer: Any, name: str, weight: Tensor) -> None:
    _check_groups(name, len(weight), layer.num_groups)
    layer.num_channels = len(weight)


def _layer_norm(layer: Any, name: str, weight: Tensor) -> None:
    layer.normalized_shape = tuple(weight.shape)


def _prelu(layer: Any, name: str, weight: Tensor) -> None:
    layer.num_parameters = len(weight)


def _check_groups(name: str, channels: int, groups: int) -> None:
    if groups == 0 or channels % groups:
        raise ValueError(f"{channels} channels of {name} cannot be divided evenly among its {groups} groups")


_KINDS: dict[type[nn.Module], Callable[[Any, str, Tensor], None]] = {
    _ConvNd: _convolution,
    nn.Linear: _linear,
    _NormBase: _batch_norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.PReLU: _prelu,
}
"""What sets the sizes of a layer, by its kind, given its name and its weight, or the means of one without weights."""
