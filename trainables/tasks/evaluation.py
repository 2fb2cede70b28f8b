"""Evaluating a stack: in whole float32, and in parts that fit into memory."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch

from trainables.stacks.memory import free_cached_memory, is_out_of_memory
from trainables.stacks.stack import Stack

FEW_SAMPLES = 32
"""Several models are not evaluated on fewer at a time: then it is fewer models that are wanted."""

Result = TypeVar("Result")


@torch.no_grad()
def evaluate(stack: Stack, work: Callable[[int], Result]) -> Result:
    """Result of some work with a stack in evaluation mode, in float32 and without gradients.

    Args:
        stack: The models.
        work: Given how many samples to take at a time. It is begun anew with half as many, for this stack from now on,
            as long as memory does not suffice for them and they are more than one, or :data:`FEW_SAMPLES` of several
            models.
    """
    stack.eval()
    least = FEW_SAMPLES if stack.models > 1 else 1
    while True:
        try:
            with in_float32():
                return work(stack.samples_at_once)
        except Exception as problem:
            if stack.samples_at_once <= least or not is_out_of_memory(problem):
                raise
        stack.samples_at_once //= 2
        free_cached_memory(stack.device)


@contextmanager
def in_float32() -> Iterator[None]:
    """Keep products and convolutions from being rounded to fewer digits, whatever was set for the whole process.

    On a GPU convolutions use TensorFloat-32 unless told not to; ``torch.set_float32_matmul_precision`` brings it, or
    bfloat16 on a CPU, to products of matrices. Torch has old and new names for these settings and refuses to mix them:
    the old ones are taken, as models do that set them themselves, and the new ones where somebody has used these.
    """
    backends: Any = torch.backends  # not all of it is in torch's types
    cudnn = backends.cudnn
    with ExitStack() as restored:
        try:
            products = torch.get_float32_matmul_precision()
            own = cudnn.enabled, cudnn.benchmark, cudnn.benchmark_limit, cudnn.deterministic
            restored.enter_context(cudnn.flags(*own, allow_tf32=False))
            torch.set_float32_matmul_precision("highest")
            restored.callback(torch.set_float32_matmul_precision, products)
            places = [backends.mkldnn.conv] if backends.mkldnn.conv.fp32_precision != "none" else []
        except RuntimeError:
            places = [backends.cuda.matmul, cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]
        for place in places:
            restored.callback(setattr, place, "fp32_precision", place.fp32_precision)
            place.fp32_precision = "ieee"
        yield
