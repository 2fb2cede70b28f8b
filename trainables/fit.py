"""Whether a model can be trained on a data set's images and pruned: tried before anything trains."""

import torch
from torch import Tensor, nn

from trainables.data import Outline
from trainables.models import build
from trainables.pruning.magnitude import prunable_weights
from trainables.stack import GroupedStack
from trainables.stack_choice import layout_of


def check_fit(name: str, like: Outline, smallest_batch: int) -> None:
    """Raise ValueError, in one sentence for the user, unless a model suits its data.

    Args:
        name: Of the model.
        like: Sizes of the data.
        smallest_batch: Images in the smallest batch that occurs in training or measuring.
    """
    what = f"model {name.partition('#')[0]}"
    with torch.random.fork_rng(devices=[]):
        model = build(name, like.channels, like.classes)
        _check_prunable(model, what)
        shape = like.channels, like.height, like.width
        images = torch.randn(max(4, smallest_batch), *shape)
        colours = f"{like.channels} channel" + "s" * (like.channels > 1)
        trained_on = f"images of {like.height}x{like.width} pixels with {colours}"
        layout = layout_of(model, shape)
        last, logits = _run(GroupedStack(model, 1, layout), images, f"{what} cannot be trained on {trained_on}")
        said = f"{what} cannot be trained on a batch of {smallest_batch}, the smallest that occurs with this batch size"
        _run(GroupedStack(model, 1, layout), images[:smallest_batch], said)
    expected = 1, len(images), like.classes
    if tuple(logits.shape) != expected:
        said = f"for {len(images)} images its output has shape {tuple(logits.shape)[1:]} instead of {expected[1:]}"
        raise ValueError(f"{what}: {said}, a logit for each class")
    linear = [layer for layer, module in model.named_modules() if isinstance(module, nn.Linear)]
    if last and last != linear[-1]:
        said = f"{last} gives the output but {linear[-1]} is its last linear layer, which is the one not pruned"
        raise ValueError(f"{what}: {said}; assign {last} after all others")


def _check_prunable(model: nn.Module, what: str) -> None:
    prunable = set(prunable_weights(model))
    if not prunable:
        raise ValueError(f"{what} has no convolution and no hidden linear layer, so nothing of it can be pruned")
    if tied := prunable - {parameter for parameter, _ in model.named_parameters()}:
        raise ValueError(f"{what}: {min(tied)} is shared or computed from others, and cannot be pruned by itself")


def _run(stack: GroupedStack, images: Tensor, said: str) -> tuple[str, Tensor]:
    """A forward and backward pass in training mode: name of the linear layer that ran last, if it ended it; logits."""
    ran: list[str] = []
    for name, module in stack.module.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            kind = name if isinstance(module, nn.Linear) else ""
            module.register_forward_hook(lambda module, inputs, output, kind=kind: ran.append(kind))
    try:
        logits = stack(images)
        logits.sum().backward()
    except Exception as error:  # by what the model does with them
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{said} ({type(error).__name__}: {reason})") from None
    return ran[-1] if ran else "", logits
