"""How fast a machine could be: operations that a model takes, and the rate of large products of matrices."""

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.training.recipe import Precision

TRAINING = 3
"""Forward passes that a training step is worth: the gradients of inputs and of weights take as much as each other."""

SIZES = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices."""

PRODUCTS = 4


def synchronize(device: torch.device) -> None:
    """Wait for what a GPU was given; called before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.no_grad()
def forward_operations(model: nn.Module, image: torch.Tensor) -> float:
    """Floating point operations of the forward pass of one image, shape (1, channels, h, w); pruned weights count."""
    with FlopCounterMode(display=False) as counter:
        model.eval()(image)
    return float(counter.get_total_flops())


@torch.no_grad()
def products_rate(precision: Precision, device: torch.device) -> float:
    """Floating point operations a second in large products of matrices, the fastest of some, by torch's threads here.

    Also in a convolution of many channels: on a CPU other libraries do those, on some the faster ones.
    """
    size, kind = SIZES[device.type], getattr(torch, precision)
    first, second = torch.randn(2, size, size, device=device).to(kind).unbind()
    images = torch.randn(8, size // 4, 28, 28, device=device).to(kind, memory_format=torch.channels_last)
    kernel = torch.randn(size // 4, size // 4, 3, 3, device=device).to(kind)
    convolved = 2.0 * images.numel() * kernel[:, 0].numel()
    return max(
        _rate(lambda: first @ second, 2.0 * size**3, device),
        _rate(lambda: F.conv2d(images, kernel, padding=1), convolved, device),
    )


def _rate(product: Callable[[], torch.Tensor], operations: float, device: torch.device) -> float:
    fastest = math.inf
    for _ in range(1 + PRODUCTS):
        started = time.perf_counter()
        product()
        synchronize(device)
        fastest = min(fastest, time.perf_counter() - started)
    return operations / fastest
