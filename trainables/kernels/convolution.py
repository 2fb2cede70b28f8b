"""A convolution that computes with the weights that are not pruned, and leaves out the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.kernels.layout import batch_innermost, empty
from trainables.kernels.native import code

Integers = npt.NDArray[np.integer[Any]]


class DirectConvolution(nn.Module):
    """A two-dimensional convolution, in float32, whose pruned weights cost nothing.

    Args:
        layer: The convolution; its parameters are shared. It has zeros around the images, and no dilation.
        mask: Nonzero where weights are kept; None if all are. The others must be zero, and their gradients are.
        models: How many models' channels lie side by side.
    """

    def __init__(self, layer: nn.Conv2d, mask: Tensor | None, models: int) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.stride, self.padding, self.models = int(layer.stride[0]), int(layer.padding[0]), models
        weight = layer.weight.detach()
        self.channels_in, self.channels_out = weight.shape[1] * layer.groups, weight.shape[0]
        kept = (torch.ones_like(weight) if mask is None else mask.to(weight)).nonzero().numpy()
        out, within, row, column = kept.T
        each_in = within + out // (self.channels_out // layer.groups) * weight.shape[1]
        place = kept @ np.array(weight.stride())
        self._weights = np.stack([out, each_in, row, column, place]).astype(np.int32)
        self._plans: dict[tuple[int, int], _Plan] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, h, w) to (batch, channels_out, h', w')."""
        if x.shape[1] != self.channels_in:
            raise ValueError(f"{x.shape[1]} channels instead of {self.channels_in}")
        y = _Convolve.apply(x, self.weight, self)
        return y if self.bias is None else y + self.bias[:, None, None]

    def __getstate__(self) -> dict[str, Any]:
        """All but the plans, which hold addresses in this process and of this object."""
        return {**super().__getstate__(), "_plans": {}}

    def plan(self, height: int, width: int) -> "_Plan":
        """How images of this size are convolved."""
        if (height, width) not in self._plans:
            self._plans[height, width] = self._planned((height, width))
        return self._plans[height, width]

    def _planned(self, size: tuple[int, int]) -> "_Plan":
        stride, padding, kernel = self.stride, self.padding, self.weight.shape[2:]
        outputs = high, wide = tuple((n + 2 * padding - k) // stride + 1 for n, k in zip(size, kernel, strict=True))
        sides = list(zip(size, kernel, outputs, strict=True))
        rows, columns = (_reads(*side, stride, padding) for side in sides)
        forward = _Parts(self._weights, self.channels_out, self.models, size, outputs, rows, columns, stride, 1)
        other_way = self._weights[[1, 0, 2, 3, 4]]
        other_way = other_way[:, other_way[0].argsort(kind="stable")]
        rows, columns = (_read_by(*side, stride, padding) for side in sides)
        backward = _Parts(other_way, self.channels_in, self.models, outputs, size, rows, columns, 1, stride)
        return _Plan((high, wide), forward, backward)


@dataclass(frozen=True)
class _Range:
    """Places along one side of an image for which the same taps lie inside what is read.

    Attributes:
        first: Of the places; each further one is a step away.
        count: Of the places.
        read: For every tap along this side, what the first place reads with it; -1 if that lies outside.
    """

    first: int
    count: int
    read: tuple[int, ...]


def _reads(inputs: int, kernel: int, outputs: int, stride: int, padding: int) -> list[_Range]:
    """Outputs along one side, and the inputs that they read."""
    reads = [[stride * place - padding + tap for tap in range(kernel)] for place in range(outputs)]
    return _ranges(range(outputs), [tuple(n if 0 <= n < inputs else -1 for n in read) for read in reads])


def _read_by(inputs: int, kernel: int, outputs: int, stride: int, padding: int) -> list[_Range]:
    """Inputs along one side, a stride apart, and the outputs that read them."""
    found = []
    for begin in range(min(stride, inputs)):
        places = range(begin, inputs, stride)
        reads = [[divmod(place + padding - tap, stride) for tap in range(kernel)] for place in places]
        found += _ranges(
            places, [tuple(n if not rest and 0 <= n < outputs else -1 for n, rest in read) for read in reads]
        )
    return found


def _ranges(places: Sequence[int], reads: Sequence[tuple[int, ...]]) -> list[_Range]:
    """Join neighbours that read with the same taps."""
    found = []
    for _, group in groupby(range(len(places)), lambda index: tuple(n < 0 for n in reads[index])):
        indices = list(group)
        found.append(_Range(places[indices[0]], len(indices), reads[indices[0]]))
    return found


class _Parts:
    """Several ``Part`` of the C code in memory, one for each pair of ranges.

    Args:
        weights: That are kept: the channel that each contributes to, ascending; the one that it is multiplied with; its
            row and column in the kernel; its place in memory. Shape (5, weights).
        channels: That are computed.
        models: Whose channels these are.
        x_size: Height and width of what is read.
        y_size: Height and width of what is computed.
        rows: That are computed.
        columns: Likewise.
        x_step: Pixels between what neighbours read.
        y_step: Pixels between neighbours.

    Attributes:
        address: Of the first.
        count: How many.
    """

    def __init__(
        self,
        weights: Integers,
        channels: int,
        models: int,
        x_size: tuple[int, ...],
        y_size: tuple[int, ...],
        rows: Sequence[_Range],
        columns: Sequence[_Range],
        x_step: int,
        y_step: int,
    ) -> None:
        channel, x_channel, row, column, place = weights
        structs: list[list[int]] = []
        self._kept: list[Integers] = []  # what these point to
        for high, wide in product(rows, columns):
            read_row, read_column = np.array(high.read)[row], np.array(wide.read)[column]
            inside = (read_row >= 0) & (read_column >= 0)
            offset = (x_channel * x_size[0] + read_row) * x_size[1] + read_column
            start = np.zeros(channels + 1, dtype=np.int32)
            start[1:] = np.bincount(channel[inside], minlength=channels).cumsum()
            arrays = [start, offset[inside].astype(np.int32), place[inside].astype(np.int32)]
            # Columns that follow each other in what is read are one segment.
            segments = (1, wide.count) if x_step == y_step == 1 else (wide.count, 1)
            numbers = [
                channels, channels // models, high.first * y_size[1] + wide.first, high.count, *segments,
                x_step * x_size[1], x_step, y_size[0] * y_size[1], y_step * y_size[1], y_step,
            ]  # fmt: skip
            structs.append([array.ctypes.data for array in arrays] + numbers)
            self._kept += arrays
        self._structs = np.array(structs, dtype=np.int64)
        self.address, self.count = self._structs.ctypes.data, len(structs)


@dataclass(frozen=True)
class _Plan:
    """How images of one size are convolved.

    Attributes:
        size: Height and width of the outputs.
        forward: Compute them, all together.
        backward: Compute the gradient of the inputs.
    """

    size: tuple[int, int]
    forward: _Parts
    backward: _Parts


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: DirectConvolution) -> Tensor:
        x = batch_innermost(x)
        batch, plan = len(x), layer.plan(x.shape[2], x.shape[3])
        y = empty(batch, layer.channels_out, *plan.size)
        addresses = x.data_ptr(), y.data_ptr(), weight.data_ptr()
        code().convolve(plan.forward.address, plan.forward.count, *addresses, batch)
        ctx.plan = plan
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        batch, plan, own = len(x), ctx.plan, batch_innermost(y_gradient)
        x_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = empty(*x.shape)
            addresses = own.data_ptr(), x_gradient.data_ptr(), weight.data_ptr()
            code().convolve(plan.backward.address, plan.backward.count, *addresses, batch)
        if ctx.needs_input_grad[1]:
            weight_gradient = torch.zeros_like(weight)
            addresses = x.data_ptr(), own.data_ptr(), weight_gradient.data_ptr()
            code().weight_gradients(plan.forward.address, plan.forward.count, *addresses, batch)
        return x_gradient, weight_gradient, None
