"""Whether a model can be trained on a data set's images and pruned: tried before anything trains."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainables.data import Outline
from trainables.models import build
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.choice import layout_of
from trainables.stacks.stack import GroupedStack


def check_fit(name: str, like: Outline, smallest_batch: int) -> None:
    """Raise ValueError, in one sentence for the user, unless a model suits its data.

    Args:
        name: Of the model.
        like: Sizes of the data.
        smallest_batch: Images in the smallest batch that occurs in training or measuring.
    """
    what = f"model {name.partition('#')[0]}"
    shape = like.channels, like.height, like.width
    colours = f"{like.channels} channel" + "s" * (like.channels > 1)
    cannot = f"{what} cannot be trained on images of {like.height}x{like.width} pixels with {colours}"
    with torch.random.fork_rng(devices=[]):
        model = build(name, like.channels, like.classes)
        _tried(lambda: _check_prunable(model), what)
        images = torch.randn(max(4, smallest_batch), *shape)
        for training in (True, False):
            logits = _tried(lambda training=training: model.train(training)(images), cannot)  # type: ignore[misc]
            _check_logits(logits, (len(images), like.classes), what)
        last = _tried(lambda: _last_linear(model, images), cannot)
        layout = layout_of(model, shape, torch.device("cpu"))
        _tried(lambda: GroupedStack(model, 1, layout).train()(images).sum().backward(), cannot)
        few = f"{what} cannot be trained on a batch of {smallest_batch}, the smallest that occurs with this batch size"
        _tried(lambda: GroupedStack(model, 1, layout).train()(images[:smallest_batch]), few)
    linear = [layer for layer, module in model.named_modules() if isinstance(module, nn.Linear)]
    if last and last != linear[-1]:
        said = f"{last} gives the output but {linear[-1]} is its last linear layer, which is the one not pruned"
        raise ValueError(f"{what}: {said}; assign {last} after all others")


def _tried(attempt: Callable[[], Any], said: str) -> Any:
    """Result of an attempt; what a user's model raises, which can be anything, is told in a sentence."""
    try:
        return attempt()
    except Exception as error:
        reason = " ".join(str(error).partition("\n")[0].split())
        raise ValueError(f"{said} ({type(error).__name__}: {reason})") from None


def _check_prunable(model: nn.Module) -> None:
    prunable = set(prunable_weights(model))
    if not prunable:
        raise ValueError("it has no convolution and no hidden linear layer, so nothing of it can be pruned")
    if tied := prunable - {parameter for parameter, _ in model.named_parameters()}:
        raise ValueError(f"{min(tied)} is shared or computed from others, and cannot be pruned by itself")


def _check_logits(logits: object, expected: tuple[int, int], what: str) -> None:
    found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"type {type(logits).__name__}"
    if found != f"shape {expected}":
        said = f"for {expected[0]} images its output has {found} instead of shape {expected}, a logit for each class"
        raise ValueError(f"{what}: {said}")


def _last_linear(model: nn.Module, images: Tensor) -> str:
    """Name of the linear layer that gives the output; empty if a convolution does."""
    ran: list[str] = []
    names = {module: name for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))}
    hooks = [
        module.register_forward_hook(lambda layer, *_: ran.append(names[layer] * isinstance(layer, nn.Linear)))
        for module in names
    ]
    model(images)
    for hook in hooks:
        hook.remove()
    return ran[-1] if ran else ""
