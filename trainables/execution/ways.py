"""The ways in which a stack may compute in training. All give the same but for rounding."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.execution.compiled import Compiled
from trainables.execution.option import Compile
from trainables.stacks.stack import Compute, Stack, plainly

Masks = Mapping[str, Tensor]
"""Weights to keep, by parameter name of a plain model; empty for all."""


@dataclass(frozen=True)
class Way:
    """A way of computing.

    Attributes:
        begin: Gives what computes a stack whose weights have these masks. If it cannot after all, it may compute
            plainly and have the reason, an exception, as its ``problem``.
        devices: Kinds of devices on which it is tried.
        is_compiled: Whether it is one that ``--compile`` is about.
        draws_alike: Whether layers that draw random numbers, as dropout does, draw the same in it as plainly.
    """

    begin: Callable[[Stack, Masks], Compute]
    devices: tuple[str, ...] = ("cpu", "cuda")
    is_compiled: bool = False
    draws_alike: bool = True


PLAIN, COMPILED = "plain", "compiled"

WAYS = {
    PLAIN: Way(lambda stack, masks: plainly),
    COMPILED: Way(lambda stack, masks: Compiled(), is_compiled=True, draws_alike=False),
    "compiled-graphs": Way(
        lambda stack, masks: Compiled("reduce-overhead"), devices=("cuda",), is_compiled=True, draws_alike=False
    ),
}
"""Ways by the names that tables have for them; the last starts a step as one CUDA graph."""


def ways_to_try(compiling: Compile, device: torch.device) -> list[str]:
    """Names of the ways, other than plainly, that may be faster on a device; if compiling is wanted, that alone."""
    if compiling == "on":
        return [COMPILED]
    return [
        name
        for name, way in WAYS.items()
        if name != PLAIN and device.type in way.devices and not (way.is_compiled and compiling == "off")
    ]


def begin(name: str, stack: Stack, masks: Masks) -> None:
    """Have a stack compute in this way."""
    stack.compute = WAYS[name].begin(stack, masks)


def problem_of(stack: Stack) -> Exception | None:
    """Why a stack computes plainly although it was begun in another way."""
    problem: Exception | None = getattr(stack.compute, "problem", None)
    return problem
