"""Whether a model can be trained to classify images: tried before anything trains."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.stacks.choice import layout_of
from trainables.stacks.stack import GroupedStack
from trainables.tasks.explained import explained


def check_model(
    model: nn.Module, called: str, example: Callable[[int], Tensor], classes: int, smallest_batch: int
) -> None:
    """Raise ValueError, in one sentence for the user, unless a model suits its data.

    Args:
        model: On the CPU; left in evaluation mode.
        called: How the sentence calls it.
        example: Makes up so many images.
        classes: Their number.
        smallest_batch: Images in the smallest batch that occurs in training or measuring.
    """
    images = example(max(4, smallest_batch))
    cannot = f"{called} cannot be trained on {described(images)}"
    for training in (True, False):
        logits = explained(lambda training=training: model.train(training)(images), cannot)  # type: ignore[misc]
        _check_logits(logits, (len(images), classes), called)
    layout = layout_of(model, example, torch.device("cpu"))
    explained(lambda: GroupedStack(model, 1, layout).train()(images[None]).sum().backward(), cannot)
    few = f"{called} cannot be trained on a batch of {smallest_batch}, the smallest that occurs with this batch size"
    explained(lambda: GroupedStack(model, 1, layout).train()(images[None, :smallest_batch]), few)


def described(images: Tensor) -> str:
    """What images of shape (batch, channels, h, w) are like, for a person."""
    channels, height, width = images.shape[1:]
    return f"images of {height}x{width} pixels with {channels} channel" + "s" * (channels > 1)


def _check_logits(logits: object, expected: tuple[int, int], called: str) -> None:
    found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"type {type(logits).__name__}"
    if found != f"shape {expected}":
        said = f"for {expected[0]} images its output has {found} instead of shape {expected}, a logit for each class"
        raise ValueError(f"{called}: {said}")
