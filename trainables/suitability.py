"""Whether a model can be trained on a task's data and pruned: tried before anything trains."""

import torch
from torch import nn

from trainables.pruning.prunable import not_pruned, prunable_weights
from trainables.stacks.inputs import ModelInputs, arguments
from trainables.tasks.explained import explained
from trainables.tasks.task import Task


def check_suitable(name: str, task: Task, smallest_batch: int) -> None:
    """Raise ValueError, in one sentence for the user, unless a model suits its data and can be pruned.

    Args:
        name: Of the model.
        task: On data, or on random ones that look like them.
        smallest_batch: Samples in the smallest batch that occurs in training or measuring.
    """
    called = f"model {name.partition('#')[0]}"
    with torch.random.fork_rng(devices=[]):
        model = task.model(name)
        explained(lambda: _check_prunable(model), called)
        task.check_model(model, called, smallest_batch)
        last = _last_linear(model, task.example_inputs(4)) if not_pruned(model) is None else ""
    linear = [layer for layer, module in model.named_modules() if isinstance(module, nn.Linear)]
    if last and last != linear[-1]:
        said = f"{last} gives the output but {linear[-1]} is its last linear layer, which is the one not pruned"
        raise ValueError(f"{called}: {said}; assign {last} after all others, or name it in not_pruned")


def _check_prunable(model: nn.Module) -> None:
    prunable = set(prunable_weights(model))
    if not prunable and not_pruned(model):
        raise ValueError("its not_pruned leaves nothing of it that can be pruned; name fewer modules")
    if not prunable:
        raise ValueError("it has no convolution and no linear layer, so nothing of it can be pruned")
    if tied := prunable - {parameter for parameter, _ in model.named_parameters()}:
        raise ValueError(f"{min(tied)} is shared or computed from others, and cannot be pruned by itself")


def _last_linear(model: nn.Module, inputs: ModelInputs) -> str:
    """Name of the linear layer that gives the output; empty if a convolution does."""
    ran: list[str] = []
    names = {module: name for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))}
    hooks = [
        module.register_forward_hook(lambda layer, *_: ran.append(names[layer] * isinstance(layer, nn.Linear)))
        for module in names
    ]
    model(*arguments(inputs))
    for hook in hooks:
        hook.remove()
    return ran[-1] if ran else ""
