"""A stack: several models of one architecture as one module, each computing what it would alone.

Every model's channels lie side by side, so one convolution with groups, one batch-norm and one batched matrix product
serve all of them. The stack keeps the parameter names; each of its tensors holds the models' own, one after the other,
along the first dimension.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]


class GroupedLinear(nn.Module):
    """As many linear layers as there are models, each on its own share of the features."""

    def __init__(self, linear: nn.Linear, models: int) -> None:
        super().__init__()
        self.models = models
        self.weight = nn.Parameter(linear.weight.detach().repeat(models, 1))
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().repeat(models))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, models * features_in) to (batch, models * features_out)."""
        own = x.view(len(x), self.models, -1).transpose(0, 1)
        out = own @ self.weight.view(self.models, -1, own.shape[-1]).transpose(1, 2)
        if self.bias is not None:
            out = out + self.bias.view(self.models, 1, -1)
        return out.transpose(0, 1).flatten(1)


class Stack(nn.Module):
    """Models of one architecture as one module.

    Args:
        model: The architecture; it is copied. All its models start as copies of it.
        models: How many.
    """

    def __init__(self, model: nn.Module, models: int) -> None:
        super().__init__()
        self.models = models
        self.module = _grouped(copy.deepcopy(model), models)
        self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's types

    def forward(self, images: Tensor) -> Tensor:
        """Logits of every model.

        Args:
            images: Shape (batch, models * channels, h, w): each model's own images side by side.

        Returns:
            Shape (models, batch, classes).
        """
        return self.module(images).unflatten(1, (self.models, -1)).transpose(0, 1)

    def finite(self) -> Tensor:
        """Whether all weights and statistics of a model are finite, shape (models,)."""
        tensors = [tensor for tensor in self.module.state_dict().values() if tensor.is_floating_point()]
        return torch.stack([t.unflatten(0, (self.models, -1)).flatten(1).isfinite().all(1) for t in tensors]).all(0)

    def load(self, states: Sequence[State]) -> None:
        """Take the state dictionaries of ``models`` plain models."""
        self.module.load_state_dict(stack_states(states))

    def states(self) -> list[dict[str, Tensor]]:
        """State dictionaries of the plain models, copied."""
        return unstack_state(self.module.state_dict(), self.models)


def stack_states(states: Sequence[State]) -> dict[str, Tensor]:
    """Tensors of several models behind one another along the first dimension; scalars from the first model."""
    return {
        name: torch.cat([state[name] for state in states]) if tensor.dim() else tensor
        for name, tensor in states[0].items()
    }


def unstack_state(state: State, models: int) -> list[dict[str, Tensor]]:
    """Undo :func:`stack_states`; the tensors are copies."""
    return [
        {
            name: (tensor.unflatten(0, (models, -1))[index] if tensor.dim() else tensor).clone()
            for name, tensor in state.items()
        }
        for index in range(models)
    ]


def _grouped(module: nn.Module, models: int) -> nn.Module:
    if models == 1:
        return module
    if isinstance(module, nn.Conv2d):
        grouped: nn.Module = nn.Conv2d(
            module.in_channels * models,
            module.out_channels * models,
            module.kernel_size,  # type: ignore[arg-type]  # torch types its own attribute more loosely
            module.stride,  # type: ignore[arg-type]
            module.padding,  # type: ignore[arg-type]
            module.dilation,  # type: ignore[arg-type]
            module.groups * models,
            module.bias is not None,
        )
    elif isinstance(module, nn.BatchNorm2d):
        grouped = nn.BatchNorm2d(module.num_features * models, module.eps, module.momentum)
    elif isinstance(module, nn.Linear):
        return GroupedLinear(module, models)
    else:
        for name, child in module.named_children():
            setattr(module, name, _grouped(child, models))
        return module
    grouped.load_state_dict(stack_states([module.state_dict()] * models))
    return grouped
