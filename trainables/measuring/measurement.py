"""Measuring trained models on whole splits: errors, the line between two siblings, their similarity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from metrics.connectivity import interpolate, path_positions, reestimate_batch_norm
from metrics.error import error
from metrics.similarity import linear_cka
from trainables.batches import Split, random_numbers
from trainables.stacks.memory import is_out_of_memory
from trainables.stacks.stack import Stack
from trainables.stages import Measurement

FEW_IMAGES = 32

State = Mapping[str, Tensor]


def errors(stack: Stack, split: Split) -> list[float]:
    """Error in [0, 1] of every model of the stack, in evaluation mode; NaN for a diverged model or an empty split."""
    return error(_logits(stack, split), split.labels).tolist()


class PathStacks:
    """Stacks for the positions of paths, one at a time.

    Args:
        make: Gives a stack of so many models.
        at_once: Positions that are measured at the same time; halved as long as memory does not suffice, which changes
            nothing but rounding.
    """

    def __init__(self, make: Callable[[int], Stack], at_once: int) -> None:
        self._make, self.at_once = make, at_once
        self._latest: Stack | None = None

    def of(self, models: int) -> Stack:
        """Give a stack of so many models, to be overwritten; the one before is gone if it was of another number."""
        if self._latest is None or self._latest.models != models:
            self._latest = None
            self._latest = self._make(models)
        return self._latest

    def halve(self) -> None:
        """Measure fewer positions at the same time from now on."""
        self._latest = None
        self.at_once = -(-self.at_once // 2)


def path_errors(stacks: PathStacks, start: State, end: State, split: Split, measurement: Measurement) -> list[float]:
    """Error along the line between two models, ends included, batch-norm statistics re-estimated at every position.

    Args:
        stacks: In which the positions are measured.
        start: State dictionary of the plain model at position 0.
        end: State dictionary of the plain model at position 1.
        split: Training images, in a fixed order and not augmented: the statistics' and the errors' alike.
        measurement: Number of positions and size of the batches of the re-estimation.
    """
    positions = path_positions(measurement.path_points)
    found: list[float] = []
    while len(found) < len(positions):
        try:
            found += _errors_at(stacks, positions[len(found) :][: stacks.at_once], start, end, split, measurement)
            continue
        except Exception as problem:
            if stacks.at_once == 1 or not is_out_of_memory(problem):
                raise
        stacks.halve()
        _free(split.labels.device)
    return found


def _errors_at(
    stacks: PathStacks,
    positions: Sequence[float],
    start: State,
    end: State,
    split: Split,
    measurement: Measurement,
) -> list[float]:
    """Errors at these positions of the line."""
    stack = stacks.of(len(positions))
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

    Batches are halved, for this stack from now on, as long as memory does not suffice for them. Several models are not
    evaluated on fewer than :data:`FEW_IMAGES` at a time: then it is fewer models that are wanted.
    """
    stack.eval()
    least = FEW_IMAGES if stack.models > 1 else 1
    while True:
        try:
            with _float32():
                batches = [stack(batch) for batch in _same_images(stack, split, stack.images_at_once, images)]
            return torch.cat(batches, 1) if batches else split.labels.new_empty(stack.models, 0, 1, dtype=torch.float32)
        except Exception as problem:
            if stack.images_at_once <= least or not is_out_of_memory(problem):
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


def _same_images(stack: Stack, split: Split, batch_size: int, images: int | None = None) -> Iterator[Tensor]:
    """Batches in which every model of the stack sees the same images."""
    for batch in split.batches(batch_size, images):
        yield batch.unsqueeze(3).expand(*batch.shape[:3], stack.models, -1).flatten(3).permute(0, 3, 1, 2)
