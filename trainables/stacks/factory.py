"""Making stacks of an architecture as suits the device."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainables.stacks import memory
from trainables.stacks.choice import is_narrow, layout_of, stack_kind
from trainables.stacks.direct import have_kernels, kernels_bytes, kernels_pay
from trainables.stacks.inputs import Example
from trainables.stacks.stack import GroupedStack, Stack


class StackFactory:
    """Makes stacks of models of one architecture that have the same numbers of channels.

    Args:
        model: One of them, on the CPU; it is tried, not kept.
        example: Of its inputs.
        device: Where stacks are to be.
        room: Bytes for the largest activation of a measured batch (:mod:`trainables.stacks.memory`).
    """

    def __init__(self, model: nn.Module, example: Example, device: torch.device, room: int) -> None:
        self._device, self._room = device, room
        self._layout = layout_of(model, example, device)
        self._kind = stack_kind(model, example, device, self._layout)
        self._has_kernels = have_kernels(model, example, device)
        self._is_narrow = is_narrow(model, example)
        self._weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        if self._has_kernels:
            self._weights += kernels_bytes(model, self._is_narrow)
        self._activation = memory.activation_bytes(model, example)

    def stack(self, model: nn.Module, models: int, masks: Mapping[str, Tensor] | None = None) -> Stack:
        """Make a stack of so many copies of such a model; for masks see :meth:`Task.stack`."""
        stack = self._kind(model, models, self._layout).to(self._device)
        if masks is not None and self._has_kernels and kernels_pay(model, masks, self._is_narrow):
            stack.use_kernels(masks)
        stack.samples_at_once = self.samples_at_once(self._together(models))
        return stack

    def samples_at_once(self, tensors: int) -> int:
        """Samples of a batch in which so many tensors of the size of the largest activation are in memory."""
        return memory.samples_at_once(self._room, self._activation * tensors)

    def models_at_once(self, models: int, batch_size: int) -> int:
        """How many of so many models are to be in a stack that is measured in batches of so many samples."""
        of_each = self._weights + batch_size * (self._activation if self._kind is GroupedStack else 0)
        return memory.models_at_once(models, self._room, of_each)

    def _together(self, models: int) -> int:
        """Of how many models the activations are in memory at the same time."""
        return models if self._kind is GroupedStack else 1
