"""Measuring trained models on whole splits: errors, the line between two siblings, their similarity."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from metrics.connectivity import interpolate, path_positions, reestimate_batch_norm
from metrics.error import error
from metrics.similarity import linear_cka
from trainables.batches import Split, random_numbers
from trainables.stack import Stack
from trainables.stages import Measurement

EVALUATION_BATCH = 512
"""Images in an evaluation batch; decides memory and speed, nothing else."""

State = Mapping[str, Tensor]


def errors(stack: Stack, split: Split) -> list[float]:
    """Error in [0, 1] of every model of the stack, in evaluation mode; NaN for a diverged model or an empty split."""
    return error(_logits(stack, split), split.labels).tolist()


def path_errors(stack: Stack, start: State, end: State, split: Split, measurement: Measurement) -> list[float]:
    """Error along the line between two models, ends included, batch-norm statistics re-estimated at every position.

    Args:
        stack: A stack of as many models as the path has positions; overwritten.
        start: State dictionary of the plain model at position 0.
        end: State dictionary of the plain model at position 1.
        split: Training images, in a fixed order and not augmented: the statistics' and the errors' alike.
        measurement: Number of positions and size of the batches of the re-estimation.
    """
    stack.load([interpolate(start, end, position) for position in path_positions(measurement.path_points)])
    with torch.no_grad(), _float32(), random_numbers(0, split.labels.device):  # for dropout, in models that have it
        reestimate_batch_norm(stack, _same_images(stack, split, measurement.batch_norm_batch_size))
    return errors(stack, split)


def similarities(stack: Stack, pairs: Sequence[tuple[int, int]], split: Split, measurement: Measurement) -> list[float]:
    """CKA of the softmax outputs of these pairs of models of the stack; NaN where it is undefined."""
    outputs = _logits(stack, split, measurement.cka_images).softmax(-1)
    return [linear_cka(outputs[first], outputs[second]) for first, second in pairs]


@torch.no_grad()
def _logits(stack: Stack, split: Split, images: int | None = None) -> Tensor:
    """Logits of shape (models, images, classes), in evaluation mode and float32."""
    stack.eval()
    with _float32():
        batches = [stack(batch) for batch in _same_images(stack, split, EVALUATION_BATCH, images)]
    return torch.cat(batches, 1) if batches else split.labels.new_empty(stack.models, 0, 1, dtype=torch.float32)


def _float32() -> AbstractContextManager[None]:
    """Keep convolutions on a GPU from rounding to TensorFloat-32, which they do unless told not to."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _same_images(stack: Stack, split: Split, batch_size: int, images: int | None = None) -> Iterator[Tensor]:
    """Batches in which every model of the stack sees the same images."""
    for batch in split.batches(batch_size, images):
        yield batch.unsqueeze(3).expand(*batch.shape[:3], stack.models, -1).flatten(3).permute(0, 3, 1, 2)
