"""Which kind of stack suits a model, found by trying."""

import copy
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from trainables.stacks.memory import is_out_of_memory
from trainables.stacks.stack import GroupedStack, SerialStack, Stack

LARGEST_GROUPED_ON_CPU = 2000
"""Channels of the narrowest convolution times pixels of an image. On a CPU larger models are faster one after the
other, smaller ones grouped: ``tests/benchmarks/stack_step.py`` measures it."""

TIMED_MODELS, TIMED_IMAGES, TIMED_TURNS = 3, 64, 5
"""On a GPU both kinds are timed: as many siblings and images as is usual, and the fastest of so many turns counts."""

CLEARLY_FASTER = 0.9
"""One by one is chosen if it takes less than so much of the other's time: a tie is always decided in the same way."""


Kind = type[GroupedStack] | type[SerialStack]


def layout_of(model: nn.Module, shape: Sequence[int], device: torch.device) -> torch.memory_format:
    """Channels last, which is faster, unless the model cannot be trained so: one that uses ``view``, for instance.

    On a CPU with several threads torch 2.13 (oneDNN 3.12) writes past its memory, and mostly dies, in the gradient of
    the weights of a strided 1x1 convolution, channels last, if the batch is no multiple of the threads: residual
    shortcuts and the last batch of an epoch. So there these models keep the plain layout.

    Args:
        model: The architecture, on the CPU.
        shape: Of one of its images: channels, h, w.
        device: Where it is to be, and where that is tried.
    """
    if device.type == "cpu" and torch.get_num_threads() > 1 and any(map(_is_strided_1x1, model.modules())):
        return torch.contiguous_format
    with _random_numbers_kept(device):
        try:
            GroupedStack(model, 1).to(device)(torch.randn(4, *shape, device=device)).sum().backward()
        except Exception:  # whatever it raises: without channels last it may do
            return torch.contiguous_format
    return torch.channels_last


def _is_strided_1x1(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and max(module.kernel_size) == 1 and max(module.stride) > 1


def stack_kind(model: nn.Module, shape: Sequence[int], device: torch.device, layout: torch.memory_format) -> Kind:
    """Kind of stack in which several models of an architecture train fastest.

    On a CPU a rule tells it from the size of the layers, so that the same machine always does the same. On a GPU it is
    found by timing a step of each kind, once for each model in each process.

    Args:
        model: The architecture, on the CPU.
        shape: Of one of its images: channels, h, w.
        device: Where the stack is to be.
        layout: Of weights and images in memory.
    """
    if _busy_alone(model, shape, device) or not can_be_grouped(model, shape):
        return SerialStack
    if device.type != "cuda":
        return GroupedStack
    kinds: tuple[Kind, Kind] = GroupedStack, SerialStack
    grouped, serial = (_seconds(kind, model, shape, device, layout) for kind in kinds)
    return GroupedStack if math.isfinite(grouped) and serial >= CLEARLY_FASTER * grouped else SerialStack


def _seconds(
    kind: Kind, model: nn.Module, shape: Sequence[int], device: torch.device, layout: torch.memory_format
) -> float:
    """Time of a step, infinite if it does not fit into memory; that of a training may, with its own batch size."""
    try:
        return step_seconds(kind(model, TIMED_MODELS, layout), shape, device)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    torch.cuda.empty_cache()
    return math.inf


def step_seconds(stack: Stack, shape: Sequence[int], device: torch.device) -> float:
    """Time of a forward and backward pass of a stack on random images: the fastest of some, after one to warm up."""
    with _random_numbers_kept(device):
        stack = stack.to(device).train()
        images = torch.randn(TIMED_IMAGES, stack.models * shape[0], *shape[1:], device=device)
        turns = []
        for _ in range(1 + TIMED_TURNS):
            stack.zero_grad()
            started = time.perf_counter()
            stack(images).sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            turns.append(time.perf_counter() - started)
    return min(turns[1:])


def _busy_alone(model: nn.Module, shape: Sequence[int], device: torch.device) -> bool:
    """Whether the layers of a single model are large enough to keep the device busy."""
    _, height, width = shape
    channels = [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    return device.type == "cpu" and min(channels, default=0) * height * width > LARGEST_GROUPED_ON_CPU


def _random_numbers_kept(device: torch.device) -> AbstractContextManager[None]:
    """What is tried must not change what is drawn for the training."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@torch.random.fork_rng(devices=[])
def can_be_grouped(model: nn.Module, shape: Sequence[int]) -> bool:
    """Whether a :class:`GroupedStack` computes what two models of this architecture do, found by trying.

    Compared are outputs, gradients and statistics, in training and in evaluation mode, in float64.

    Args:
        model: The architecture.
        shape: Of one of its images: channels, h, w.
    """
    torch.manual_seed(0)
    alone = [copy.deepcopy(model).double(), copy.deepcopy(model).double()]
    with torch.no_grad():
        for parameter in alone[1].parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) * (parameter.abs().mean() + 0.01))
    images = torch.randn(4, 2, *shape, dtype=torch.float64)
    try:
        stack = GroupedStack(model, 2, torch.contiguous_format).double()
        stack.load([each.state_dict() for each in alone])
        for train in (True, False):
            together = stack.train(train)(images.flatten(1, 2))
            apart = torch.stack([each.train(train)(images[:, index]) for index, each in enumerate(alone)])
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
