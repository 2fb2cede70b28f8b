"""Which kind of stack suits a model, found by trying."""

import copy
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from trainables.stacks.inputs import Example
from trainables.stacks.memory import free_cached_memory, is_out_of_memory
from trainables.stacks.stack import GroupedStack, SerialStack, Stack

NARROW = 2000
"""Channels of the narrowest convolution times pixels of an image, of narrow models at most. On a CPU these are faster
grouped, and with kernels of our own; others one after the other: ``tests/benchmarks/stack_step.py`` measures it."""

TIMED_MODELS, TIMED_SAMPLES, TIMED_TURNS = 3, 64, 5
"""On a GPU both kinds are timed: as many siblings and samples as is usual, and the fastest of so many turns counts."""

CLEARLY_FASTER = 0.9
"""One by one is chosen if it takes less than so much of the other's time: a tie is always decided in the same way."""


Kind = type[GroupedStack] | type[SerialStack]


def layout_of(model: nn.Module, example: Example, device: torch.device) -> torch.memory_format:
    """Channels last, which is faster for images, unless the model cannot be trained so, for instance uses ``view``.

    On a CPU with several threads torch 2.13 (oneDNN 3.12) writes past its memory, and mostly dies, in the gradient of
    the weights of a strided 1x1 convolution, channels last, if the batch is no multiple of the threads: residual
    shortcuts and the last batch of an epoch. So there these models keep the plain layout.

    Args:
        model: The architecture, on the CPU.
        example: Of its inputs.
        device: Where it is to be, and where that is tried.
    """
    images = _images(example, 4)
    if images is None:
        return torch.contiguous_format
    if device.type == "cpu" and torch.get_num_threads() > 1 and any(map(_is_strided_1x1, model.modules())):
        return torch.contiguous_format
    with _random_numbers_kept(device):
        try:
            GroupedStack(model, 1).to(device)(images[None].to(device)).sum().backward()
        except Exception:  # whatever it raises: without channels last it may do
            return torch.contiguous_format
    return torch.channels_last


def _images(example: Example, count: int) -> Tensor | None:
    """So many example images, shape (images, channels, h, w); None if a model's inputs are something else."""
    inputs = example(count)
    return inputs if isinstance(inputs, Tensor) and inputs.dim() == 4 and inputs.is_floating_point() else None


def _is_strided_1x1(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and max(module.kernel_size) == 1 and max(module.stride) > 1


def stack_kind(model: nn.Module, example: Example, device: torch.device, layout: torch.memory_format) -> Kind:
    """Kind of stack in which several models of an architecture train fastest.

    Models of anything but images are trained one after the other. For images on a CPU a rule tells it from the size of
    the layers, so that the same machine always does the same. On a GPU it is found by timing a step of each kind, once
    for each model in each process.

    Args:
        model: The architecture, on the CPU.
        example: Of its inputs.
        device: Where the stack is to be.
        layout: Of weights and inputs in memory.
    """
    if (device.type == "cpu" and not is_narrow(model, example)) or not can_be_grouped(model, example):
        return SerialStack
    if device.type != "cuda":
        return GroupedStack
    kinds: tuple[Kind, Kind] = GroupedStack, SerialStack
    grouped, serial = (_seconds(kind, model, example, device, layout) for kind in kinds)
    return GroupedStack if math.isfinite(grouped) and serial >= CLEARLY_FASTER * grouped else SerialStack


def _seconds(
    kind: Kind, model: nn.Module, example: Example, device: torch.device, layout: torch.memory_format
) -> float:
    """Time of a step, infinite if it does not fit into memory; that of a training may, with its own batch size."""
    try:
        return step_seconds(kind(model, TIMED_MODELS, layout), example, device)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    free_cached_memory(device)
    return math.inf


def step_seconds(stack: Stack, example: Example, device: torch.device) -> float:
    """Time of a forward and backward pass of a stack on images: the fastest of some, after one to warm up."""
    with _random_numbers_kept(device):
        stack = stack.to(device).train()
        own = _images(example, TIMED_SAMPLES)
        assert own is not None
        images = own.to(device).repeat(stack.models, 1, 1, 1, 1)
        turns = []
        for _ in range(1 + TIMED_TURNS):
            stack.zero_grad()
            started = time.perf_counter()
            torch.cat(tuple(stack(images))).sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            turns.append(time.perf_counter() - started)
    return min(turns[1:])


def is_narrow(model: nn.Module, example: Example) -> bool:
    """Whether the convolutions of a single model are too small to keep a core busy."""
    images = _images(example, 1)
    pixels = 0 if images is None else images.shape[2] * images.shape[3]
    channels = [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    return min(channels, default=0) * pixels <= NARROW


def _random_numbers_kept(device: torch.device) -> AbstractContextManager[None]:
    """What is tried must not change what is drawn for the training."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@torch.random.fork_rng(devices=[])
def can_be_grouped(model: nn.Module, example: Example) -> bool:
    """Whether a :class:`GroupedStack` computes what two models of this architecture do, found by trying.

    Compared are outputs, gradients and statistics, in training and in evaluation mode, in float64.

    Args:
        model: The architecture.
        example: Of its inputs; none but images are grouped.
    """
    images = _images(example, 8)
    if images is None:
        return False
    torch.manual_seed(0)
    alone = [copy.deepcopy(model).double(), copy.deepcopy(model).double()]
    with torch.no_grad():
        for parameter in alone[1].parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) * (parameter.abs().mean() + 0.01))
    images = images.double().unflatten(0, (2, 4))
    try:
        stack = GroupedStack(model, 2, torch.contiguous_format).double()
        stack.load([each.state_dict() for each in alone])
        for train in (True, False):
            together = stack.train(train)(images)
            apart = torch.stack([each.train(train)(own) for each, own in zip(alone, images, strict=True)])
            direction = torch.randn_like(apart)
            for outputs in (together, apart):
                (outputs * direction).sum().backward()
            if not _close([together], [apart]):
                return False
        gradients = stack.stack_states([{name: p.grad for name, p in each.named_parameters()} for each in alone])  # type: ignore[misc]
        state = stack.stack_states([each.state_dict() for each in alone])
        own = {name: p.grad for name, p in stack.module.named_parameters()}
        return _close([own[name] for name in gradients], list(gradients.values())) and _close(
            [stack.module.state_dict()[name] for name in state], list(state.values())
        )
    except Exception:  # whatever a model does that does not fit: then it is not grouped
        return False


def _close(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> bool:
    """Whether these are equal up to the rounding of float64 in a deep network."""
    pairs = list(zip(found, expected, strict=True))
    if any((a is None) != (b is None) for a, b in pairs):
        return False
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    return all(bool((a - b).abs().max() <= 1e-9 + 1e-6 * b.abs().max()) for a, b in both)
