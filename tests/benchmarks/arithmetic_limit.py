"""How fast a machine could be: operations that a model takes, and the rate of large products of matrices."""

import time

import torch
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


def products_rate(precision: Precision, device: torch.device) -> float:
    """Floating point operations a second, in products of matrices, by as many threads as torch has here."""
    size = SIZES[device.type]
    first, second = torch.randn(2, size, size, device=device).to(getattr(torch, precision)).unbind()
    first @ second
    synchronize(device)
    started = time.perf_counter()
    for _ in range(PRODUCTS):
        first @ second
    synchronize(device)
    return PRODUCTS * 2 * size**3 / (time.perf_counter() - started)
