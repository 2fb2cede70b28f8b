"""How much of a model fits into memory at once when it is measured."""

import ctypes
import re

import torch
from torch import Tensor, nn

from trainables.stacks.inputs import Example, arguments

LARGEST_BATCH = 512
"""Samples in an evaluation batch at most; more are not faster."""

ROOM_ON_CPU = 2**28
"""Bytes for the largest activation of a batch in measuring, on a CPU. Several are alive at a time."""

SHARE_ON_GPU = 16
"""On a GPU it may take this part of what a trial may use of it."""


NO_MEMORY = re.compile("can't allocate memory|not enough memory|bad_alloc|_STATUS_ALLOC_FAILED|out of memory")
"""In messages of errors that have no class of their own."""


def activation_budget(device: torch.device, gpu_share: float = 1.0) -> int:
    """Bytes for the largest activation of a batch.

    Args:
        device: Where models are measured.
        gpu_share: How much of a GPU this process may use, in (0, 1].
    """
    if device.type != "cuda":
        return ROOM_ON_CPU
    return int(torch.cuda.get_device_properties(device).total_memory * gpu_share) // SHARE_ON_GPU


@torch.no_grad()
def activation_bytes(model: nn.Module, example: Example) -> int:
    """Bytes of the largest tensor that a layer of a model gives for one sample, in float32.

    Args:
        model: On the CPU.
        example: Of its inputs.
    """
    largest, samples = 1, 2

    def note(layer: nn.Module, inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() // samples)

    hooks = [layer.register_forward_hook(note) for layer in model.modules()]
    trains = model.training
    try:
        with torch.random.fork_rng(devices=[]):
            model.eval()(*arguments(example(samples)))
    finally:
        model.train(trains)
        for hook in hooks:
            hook.remove()
    return 4 * largest


def samples_at_once(room: int, sample_bytes: int) -> int:
    """Samples in an evaluation batch: a power of two, at most :data:`LARGEST_BATCH`, for which there is room."""
    return min(LARGEST_BATCH, 1 << max(room // sample_bytes, 1).bit_length() - 1)


def models_at_once(models: int, room: int, model_bytes: int) -> int:
    """How many of so many models are measured at the same time: as evenly divided as there is room for."""
    turns = -(-models // max(room // model_bytes, 1))
    return -(-models // turns)


def free_cached_memory(device: torch.device) -> None:
    """Give back memory of a GPU that this process keeps for later: other trials may share it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether something did not fit into memory, on a GPU or on a CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None
    )


def keep_freed_memory() -> None:
    """Have glibc keep freed memory rather than give it back: a step of a small net was 10 to 20 % faster."""
    trim_threshold, mmap_threshold, at_most = -1, -3, 2**30
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library
    mallopt(trim_threshold, at_most)
    mallopt(mmap_threshold, at_most)
