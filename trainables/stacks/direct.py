"""Having the layers of a stack compute with kernels of our own (:mod:`trainables.kernels`)."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from trainables.kernels.convolution import DirectConvolution
from trainables.kernels.layout import batch_innermost
from trainables.kernels.native import library
from trainables.kernels.normalisation import DirectBatchNorm
from trainables.kernels.pooling import DirectPooling, is_known
from trainables.models.layers import BatchNormReLU
from trainables.stacks.inputs import Example

ALIKE = 1e-3
"""So much of the largest output models may differ by; rounding in a deep one is far below."""

MOST_WEIGHTS = 1_000_000
"""Of a model's convolutions that are kept, at most: each takes :data:`BYTES_A_WEIGHT` in a kernel."""

BYTES_A_WEIGHT = 110

LARGEST_DENSITY = 0.4
"""Share of a model's products in convolutions that pruning leaves, up to which kernels of our own are used for models
that are not narrow: ``tests/benchmarks/stack_step.py`` measures it."""


def have_kernels(model: nn.Module, example: Example, device: torch.device) -> bool:
    """Whether a model can compute with kernels of our own here: on one core of a CPU, where they can be compiled.

    It is tried: a user's model may count on another order in memory, or on other layers, and with dropout it would draw
    other random numbers. Then it computes with torch's layers.

    Args:
        model: The architecture, on the CPU.
        example: Of its inputs.
        device: Where it is to be.
    """
    if device.type != "cpu" or torch.get_num_threads() > 1 or not isinstance(example(1), Tensor):
        return False
    convolutions = [each for each in model.modules() if isinstance(each, _ConvNd)]
    known = bool(convolutions) and all(map(_has_kernel, convolutions))
    return known and library() is not None and _computes_alike(model, example)


@torch.random.fork_rng(devices=[])
def _computes_alike(model: nn.Module, example: Example) -> bool:
    """Whether kernels give the same outputs, in training and in evaluation mode, and gradients at all."""
    inputs = example(4)
    assert isinstance(inputs, Tensor)
    outputs: list[Tensor] = []
    try:
        for each in (copy.deepcopy(model), with_kernels(copy.deepcopy(model), {}, 1)):
            images = batch_innermost(inputs) if outputs else inputs  # as a stack gives them
            torch.default_generator.manual_seed(0)
            own = torch.stack([each.train(training)(images) for training in (True, False)])
            own.sum().backward()
            outputs.append(own.detach())
    except Exception:  # whatever a model does that does not fit
        return False
    plain, others = outputs
    return bool((plain - others).abs().max() <= ALIKE * plain.abs().max())


def kernels_pay(model: nn.Module, masks: Mapping[str, Tensor], narrow: bool) -> bool:
    """Whether a model is faster with kernels: if it is narrow, or much of it is pruned.

    Args:
        model: The architecture.
        masks: Weights that are kept, by parameter name.
        narrow: Whether it is.
    """
    weights = {f"{name}.weight": each.weight for name, each in model.named_modules() if isinstance(each, nn.Conv2d)}
    kept = sum(int(masks[name].count_nonzero()) if name in masks else own.numel() for name, own in weights.items())
    few = narrow or kept <= LARGEST_DENSITY * sum(own.numel() for own in weights.values())
    return few and kept <= MOST_WEIGHTS


def kernels_bytes(model: nn.Module, narrow: bool) -> int:
    """Memory that kernels of a model take at most, beside its weights."""
    count = sum(each.weight.numel() for each in model.modules() if isinstance(each, nn.Conv2d))
    return BYTES_A_WEIGHT * min(MOST_WEIGHTS, count if narrow else round(LARGEST_DENSITY * count))


def with_kernels(module: nn.Module, masks: Mapping[str, Tensor], models: int, name: str = "") -> nn.Module:
    """A model whose convolutions and batch-norms compute with kernels; parameters, statistics and names are the same.

    Args:
        module: The model; it is changed.
        masks: Weights that are not pruned, by parameter name; all of those without a mask are kept.
        models: How many models' channels lie side by side.
        name: Under which the parameters of this part are known.
    """
    if type(module) is nn.Conv2d:
        return DirectConvolution(module, masks.get(f"{name}weight"), models)
    if type(module) in (nn.BatchNorm2d, BatchNormReLU):
        return DirectBatchNorm(module, relu=isinstance(module, BatchNormReLU))  # type: ignore[arg-type]
    if is_known(module):
        return DirectPooling(module)  # type: ignore[arg-type]
    children = dict(module.named_children())
    for own, child in children.items():
        setattr(module, own, with_kernels(child, masks, models, f"{name}{own}."))
    if type(module).forward is nn.Sequential.forward:
        _join_relus(module)  # type: ignore[arg-type]
    return module


def _join_relus(sequence: nn.Sequential) -> None:
    """Have batch-norms compute the ReLU that follows them."""
    for index in range(len(sequence) - 1):
        norm, after = sequence[index], sequence[index + 1]
        if isinstance(norm, DirectBatchNorm) and type(after) is nn.ReLU:
            sequence[index], sequence[index + 1] = DirectBatchNorm(norm, relu=True), nn.Identity()


def _has_kernel(layer: _ConvNd) -> bool:
    if layer._forward_hooks or layer._forward_pre_hooks or layer.weight.dtype != torch.float32:
        return False
    if type(layer) is not nn.Conv2d or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return False
    return len({*layer.stride}) == len({*layer.padding}) == 1 and {*layer.dilation} == {1}
