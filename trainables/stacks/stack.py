"""A stack: several models of one architecture as one module, each computing what it would alone.

Where an architecture allows, every model's channels lie side by side, so that one convolution with groups, one
batch-norm and one batched matrix product serve all of them (:class:`GroupedStack`). Otherwise the models run one after
the other (:class:`SerialStack`), with the same results up to rounding. Layers that draw random numbers are the
exception: they are not grouped, and draw from one stream for all models of a stack.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from trainables.models.layers import BatchNormReLU, Concatenate
from trainables.stacks.direct import with_kernels
from trainables.stacks.inputs import Inputs, Outputs, arguments
from trainables.stacks.memory import LARGEST_BATCH

State = Mapping[str, Tensor]

Compute = Callable[..., Tensor]
"""Calls a module, its first argument, with the others: plainly or in a faster way (:mod:`trainables.execution`)."""


def plainly(module: nn.Module, *inputs: Tensor) -> Tensor:
    """Outputs of a module, as torch computes them."""
    outputs: Tensor = module(*inputs)
    return outputs


class Stack(nn.Module, ABC):
    """Models of one architecture as one module.

    Attributes:
        models: How many.
        module: All their parameters and statistics, under the names that its state dictionary has.
        samples_at_once: Samples in a batch when it is evaluated; decides memory and speed, nothing else.
        compute: How its modules are called; decides speed and rounding, nothing else.
        has_kernels: Whether its layers compute with kernels of our own; likewise.
    """

    samples_at_once = LARGEST_BATCH
    compute: Compute

    def __init__(self, module: nn.Module, models: int, layout: torch.memory_format) -> None:
        super().__init__()
        self.module, self.models, self._layout = module, models, layout
        self.compute = plainly
        self.has_kernels, self._side_by_side = False, 1
        module.to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch's types

    def use_kernels(self, masks: Mapping[str, Tensor]) -> None:
        """Compute with kernels of our own from now on, on the CPU, leaving out what these masks prune.

        Args:
            masks: Of a plain model, by parameter name: nonzero where weights are kept; all of those without a mask are.
        """
        self.has_kernels = True
        with_kernels(self.module, self.stack_states([masks] * self.models), self._side_by_side)

    @abstractmethod
    def forward(self, inputs: Inputs) -> Outputs:
        """Outputs of every model for its own inputs."""

    @property
    def device(self) -> torch.device:
        """Where its models are."""
        return next(self.parameters()).device

    @abstractmethod
    def stack_states(self, states: Sequence[State]) -> dict[str, Tensor]:
        """State dictionaries of ``models`` plain models, or parts of them, under the names of :attr:`module`."""

    @abstractmethod
    def unstack_state(self, state: State) -> list[dict[str, Tensor]]:
        """Undo :meth:`stack_states`; what is returned shares memory with ``state``."""

    def states(self) -> list[dict[str, Tensor]]:
        """State dictionaries of the plain models, copied."""
        plain = self.unstack_state(self.module.state_dict())
        return [{name: tensor.clone() for name, tensor in state.items()} for state in plain]

    def load(self, states: Sequence[State]) -> None:
        """Take the state dictionaries of ``models`` plain models."""
        self.module.load_state_dict(self.stack_states(states))

    def finite(self) -> Tensor:
        """Whether all weights and statistics of a model are finite, shape (models,)."""
        plain = self.unstack_state(self.module.state_dict())
        finite = [[tensor.isfinite().all() for tensor in state.values()] for state in plain]
        return torch.stack([torch.stack(tensors).all() for tensors in finite])


class GroupedStack(Stack):
    """Models of images side by side in each layer: the stack's tensors hold the models' own, along the first dimension.

    Args:
        model: The architecture; it is copied. All its models start as copies of it.
        models: How many.
        layout: Of weights and images in memory.
    """

    def __init__(self, model: nn.Module, models: int, layout: torch.memory_format = torch.channels_last) -> None:
        super().__init__(_grouped(copy.deepcopy(model), models), models, layout)
        self._side_by_side = models

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits of every model.

        Args:
            inputs: Images of shape (models, batch, channels, h, w). Those are not copied that lie in memory in the
                order (batch, h, w, models, channels).

        Returns:
            Shape (models, batch, classes).
        """
        assert isinstance(inputs, Tensor)
        if self.has_kernels:
            images = inputs.permute(0, 2, 3, 4, 1).flatten(0, 1).contiguous().permute(3, 0, 1, 2)
        else:
            side_by_side = inputs.permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)
            images = side_by_side.contiguous(memory_format=self._layout)
        return self.compute(self.module, images).unflatten(1, (self.models, -1)).transpose(0, 1)

    def stack_states(self, states: Sequence[State]) -> dict[str, Tensor]:
        """As :meth:`Stack.stack_states`; scalars from the first model."""
        return {
            name: torch.cat([state[name] for state in states]) if tensor.dim() else tensor
            for name, tensor in states[0].items()
        }

    def unstack_state(self, state: State) -> list[dict[str, Tensor]]:
        """As :meth:`Stack.unstack_state`."""
        return [
            {name: t.unflatten(0, (self.models, -1))[index] if t.dim() else t for name, t in state.items()}
            for index in range(self.models)
        ]


class SerialStack(Stack):
    """Models one after the other.

    Args:
        model: The architecture; it is copied. All its models start as copies of it.
        models: How many.
        layout: Of weights and images in memory.
    """

    def __init__(self, model: nn.Module, models: int, layout: torch.memory_format = torch.channels_last) -> None:
        super().__init__(nn.ModuleList(copy.deepcopy(model) for _ in range(models)), models, layout)

    def forward(self, inputs: Inputs) -> list[Tensor]:
        """As :meth:`Stack.forward`."""
        return [
            self.compute(model, *(each.contiguous(memory_format=self._layout) for each in arguments(own)))
            for model, own in zip(self.module.children(), inputs, strict=True)
        ]

    def stack_states(self, states: Sequence[State]) -> dict[str, Tensor]:
        """As :meth:`Stack.stack_states`."""
        return {f"{index}.{name}": tensor for index, state in enumerate(states) for name, tensor in state.items()}

    def unstack_state(self, state: State) -> list[dict[str, Tensor]]:
        """As :meth:`Stack.unstack_state`."""
        models: list[dict[str, Tensor]] = [{} for _ in range(self.models)]
        for name, tensor in state.items():
            index, _, own = name.partition(".")
            models[int(index)][own] = tensor
        return models


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
            module.padding_mode,
        )
    elif isinstance(module, nn.BatchNorm2d):
        features, kind = module.num_features * models, (module.affine, module.track_running_stats)
        norm = BatchNormReLU if isinstance(module, BatchNormReLU) else nn.BatchNorm2d
        grouped = norm(features, module.eps, module.momentum, *kind)
    elif isinstance(module, nn.Linear):
        return GroupedLinear(module, models)
    elif isinstance(module, Concatenate):
        return Concatenate(models)
    else:
        for name, child in module.named_children():
            setattr(module, name, _grouped(child, models))
        return module
    state = module.state_dict()
    grouped.load_state_dict({name: torch.cat([t] * models) if t.dim() else t for name, t in state.items()})
    return grouped
