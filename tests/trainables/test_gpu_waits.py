"""No step of a training waits for the GPU: nothing is copied to it or read from it, and no size depends on values.

On a GPU torch itself says so, by an error. On a CPU operations are looked through for those that would wait there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.data import Augmentation, load
from trainables.models import build
from trainables.pruning.magnitude import per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.tasks.image_classification.task import ImageClassification
from trainables.training.recipe import Recipe
from trainables.training.training import Training

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense.default,  # item(), tolist(), float(), bool()
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten._unique2.default,
    aten.repeat_interleave.Tensor,
    aten.bincount.default,
}
"""Operations whose result, or its size, the CPU has to know."""

BY_TRUTH = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
"""These wait if an index is boolean."""


class NothingThatWaits(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        is_index = operation in BY_TRUTH and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
        )
        if operation in WAITING or is_index:
            raise AssertionError(f"{operation} waits for a GPU")
        return operation(*arguments, **(options or {}))


@contextmanager
def no_waiting(device):
    if device.type != "cuda":
        with NothingThatWaits():
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def steps_without_waiting(training) -> int:
    """Train for an epoch as :meth:`Training.run_epoch` does; all but the first two steps, batches included, watched."""
    streams = [torch.Generator().manual_seed(seed) for seed in range(training.stack.models)]
    batches: Iterator = training.task.batches(streams, training.recipe.batch_size)
    training.stack.train()
    for _ in range(2):  # the order of the epoch is copied, and the optimizer makes its buffers
        training._step(next(batches))
    watched = 0
    with no_waiting(training.stack.device):
        for batch in batches:
            training._step(batch)
            watched += 1
    return watched


RECIPES = {
    "the paper's": Recipe(),
    "bfloat16": Recipe(precision="bfloat16"),
    "AdamW": Recipe(optimizer="adamw", lr=0.001),
    "clipping and smoothing": Recipe(gradient_clipping=1.0, label_smoothing=0.1),
    "SAM": Recipe(rho=0.1),
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", [GroupedStack, SerialStack])
def test_no_step_of_a_training_waits_for_the_gpu(kind, recipe, other):
    if RECIPES[recipe].rho:
        pytest.importorskip("pytorch_optimizer")
    torch.manual_seed(0)
    plain, models = build("preresnet8-w0.5", 1, 10), 1 if RECIPES[recipe].rho else 2
    task = ImageClassification(load("digits", 0.8), other, augmentation=Augmentation(1, True))
    masks = per_layer(prunable_weights(plain), 0.3)
    seeds = [("retrain", seed) for seed in range(models)]
    training = Training(kind(plain, models).to(other), RECIPES[recipe], task, seeds, masks)
    assert steps_without_waiting(training) == 3


@pytest.mark.parametrize(
    "waits",
    [
        lambda numbers: float(numbers.sum()),
        lambda numbers: numbers[numbers > 0],
        lambda numbers: bool((numbers > 0).all()),
    ],
    ids=["a number", "chosen by truth", "a condition"],
)
def test_what_does_wait_is_noticed(waits, other):
    numbers = torch.randn(8, device=other)
    with pytest.raises((AssertionError, RuntimeError)), no_waiting(other):
        waits(numbers)
