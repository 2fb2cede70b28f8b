"""Measuring trained models on whole splits: errors, the line between two siblings, their similarity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from metrics.connectivity import interpolate, path_positions, reestimate_batch_norm
from metrics.error import error
from metrics.similarity import linear_cka
from trainables.batches import Split, random_numbers
from trainables.memory import is_out_of_memory
from trainables.stack import Stack
from trainables.stages import Measurement

State = Mapping[str, Tensor]


def errors(stack: Stack, split: Split) -> list[float]:
    """Error in [0, 1] of every model of the stack, in evaluation mode; NaN for a diverged model or an empty split."""
    return error(_logits(stack, split), split.labels).tolist()


def path_errors(
    make: Callable[[int], Stack], at_once: int, start: State, end: State, split: Split, measurement: Measurement
) -> list[float]:
    """Error along the line between two models, ends included, batch-norm statistics re-estimated at every position.

    Args:
        make: Gives a stack of so many models; it is overwritten.
        at_once: Positions of the path that are measured at the same time; halved as long as memory does not suffice,
            which changes nothing but rounding.
        start: State dictionary of the plain model at position 0.
        end: State dictionary of the plain model at position 1.
        split: Training images, in a fixed order and not augmented: the statistics' and the errors' alike.
        measurement: Number of positions and size of the batches of the re-estimation.
    """
    positions = path_positions(measurement.path_points)
    found: list[float] = []
    while len(found) < len(positions):
        try:
            found += _errors_at(make, positions[len(found) :][:at_once], start, end, split, measurement)
            continue
        except Exception as problem:
            if at_once == 1 or not is_out_of_memory(problem):
                raise
            at_once = -(-at_once // 2)
        _free(split.labels.device)
    return found


def _errors_at(
    make: Callable[[int], Stack],
    positions: Sequence[float],
    start: State,
    end: State,
    split: Split,
    measurement: Measurement,
) -> list[float]:
    """Errors at these positions of the line."""
    stack = make(len(positions))
    stack.load([interpolate(start, end, position) for position in positions])
    with torch.no_grad(), _float32(), random_numbers(0, split.labels.device):  # for dropout, in models that have it
        reestimate_batch_norm(stack, _same_images(stack, split, measurement.batch_norm_batch_size))
    return errors(stack, split)


def similarities(stack: Stack, pairs: Sequence[tuple[int, int]], split: Split, measurement: Measurement) -> list[float]:
    """CKA of the softmax outputs of these pairs of models of the stack; NaN where it is undefined."""
    outputs = _logits(stack, split, measurement.cka_images).softmax(-1)
    return [linear_cka(outputs[first], outputs[second]) for first, second in pairs]


@torch.no_grad()
def _logits(stack: Stack, split: Split, images: int | None = None) -> Tensor:
    """Logits of shape (models, images, classes), in evaluation mode and float32.

    Batches are halved, for this stack from now on, as long as memory does not suffice for them.
    """
    stack.eval()
    while True:
        try:
            with _float32():
                batches = [stack(batch) for batch in _same_images(stack, split, stack.images_at_once, images)]
            return torch.cat(batches, 1) if batches else split.labels.new_empty(stack.models, 0, 1, dtype=torch.float32)
        except Exception as problem:
            if stack.images_at_once == 1 or not is_out_of_memory(problem):
                raise
        stack.images_at_once //= 2
        _free(split.labels.device)


def _free(device: torch.device) -> None:
    """Give back memory of a GPU that this process keeps for later: other trials may share it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def _float32() -> Iterator[None]:
    """Keep products and convolutions from being rounded to fewer digits, whatever was set for the whole process.

    On a GPU convolutions use TensorFloat-32 unless told not to; ``torch.set_float32_matmul_precision`` brings it, or
    bfloat16 on a CPU, to products of matrices.
    """
    backends: Any = torch.backends  # not all of it is in torch's types
    places = backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


def _same_images(stack: Stack, split: Split, batch_size: int, images: int | None = None) -> Iterator[Tensor]:
    """Batches in which every model of the stack sees the same images."""
    for batch in split.batches(batch_size, images):
        yield batch.unsqueeze(3).expand(*batch.shape[:3], stack.models, -1).flatten(3).permute(0, 3, 1, 2)
