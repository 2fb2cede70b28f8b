"""A convolution that computes with the weights that are not pruned, and leaves out the others."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.kernels.layout import batch_innermost, empty
from trainables.kernels.library import code


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
        kept = (torch.ones_like(weight) if mask is None else mask.to(weight)).nonzero().int()
        self._out, within, self._row, self._column = kept.unbind(1)
        self._in = within + self._out // (self.channels_out // layer.groups) * weight.shape[1]
        self._place = (kept * torch.tensor(weight.stride(), dtype=torch.int32)).sum(1, dtype=torch.int32)
        self._plans: dict[tuple[int, int], _Plan] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, h, w) to (batch, channels_out, h', w')."""
        y = _Convolve.apply(x, self.weight, self)
        return y if self.bias is None else y + self.bias[:, None, None]

    def plan(self, height: int, width: int) -> "_Plan":
        """How images of this size are convolved."""
        if (height, width) not in self._plans:
            self._plans[height, width] = self._planned(height, width)
        return self._plans[height, width]

    def _planned(self, height: int, width: int) -> "_Plan":
        stride, padding, kernel = self.stride, self.padding, self.weight.shape[2:]
        high, wide = ((n + 2 * padding - k) // stride + 1 for n, k in zip((height, width), kernel, strict=True))
        row = width + 2 * padding
        offset = (self._in * (height + 2 * padding) + self._row) * row + self._column
        everything = torch.arange(len(offset))
        forward = _Pass(
            *self._taps(self._out, self.channels_out, offset, everything), self.channels_out // self.models,
            0, high, *_segments(wide, stride), stride * row, stride, high * wide, wide, 1,
        )  # fmt: skip
        # An input pixel at stride * a + part was read by the output at a + (part + padding - tap) / stride. So much
        # further than the outputs' own border that may lie:
        most = (stride - 1 + padding) // stride
        beyond = (-(-n // stride) - m + most for n, m in zip((height, width), (high, wide), strict=True))
        border = max(0, -((padding - max(kernel) + 1) // stride), *beyond)
        backward = []
        for top in range(min(stride, height)):
            for left in range(min(stride, width)):
                down, right = top + padding - self._row, left + padding - self._column
                which = ((down % stride == 0) & (right % stride == 0)).nonzero().flatten()
                down, right = (n[which].div(stride, rounding_mode="floor") + border for n in (down, right))
                row = wide + 2 * border
                offset = (self._out[which] * (high + 2 * border) + down) * row + right
                rows, columns = -(-(height - top) // stride), -(-(width - left) // stride)
                each = _Pass(
                    *self._taps(self._in[which], self.channels_in, offset, which), self.channels_in // self.models,
                    top * width + left, rows, *_segments(columns, stride), row, 1,
                    height * width, stride * width, stride,
                )  # fmt: skip
                backward.append(each)
        return _Plan((high, wide), forward, tuple(backward), border)

    def _taps(self, channel: Tensor, channels: int, offset: Tensor, which: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Taps of these channels in their order: where those of each begin, what they read, and the weights' places."""
        order = channel.argsort(stable=True)
        start = torch.zeros(channels + 1, dtype=torch.int32)
        start[1:] = channel.bincount(minlength=channels).cumsum(0)
        return start, offset.int()[order].contiguous(), self._place[which][order].contiguous()


class _Pass:
    """What ``Pass`` is in the C code."""

    def __init__(self, start: Tensor, offset: Tensor, place: Tensor, *numbers: int) -> None:
        self._kept = start, offset, place
        addresses = [tensor.data_ptr() for tensor in self._kept]
        self._struct = torch.tensor([*addresses, len(start) - 1, *numbers], dtype=torch.int64)
        self.address = self._struct.data_ptr()


@dataclass(frozen=True)
class _Plan:
    """How images of one size are convolved.

    Attributes:
        size: Height and width of the outputs.
        forward: Computes them.
        backward: Compute the gradient of the inputs: one for each place within a stride.
        border: Pixels of zeros that these need around the outputs' gradient.
    """

    size: tuple[int, int]
    forward: _Pass
    backward: tuple[_Pass, ...]
    border: int


def _segments(columns: int, stride: int) -> tuple[int, int]:
    """Segments of a row and their length: columns that follow each other in what is read are one."""
    return (1, columns) if stride == 1 else (columns, 1)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: DirectConvolution) -> Tensor:
        x = batch_innermost(x)
        size = x.shape[2], x.shape[3]
        plan, batch = layer.plan(*size), len(x)
        padded = _padded(x, layer.padding)
        y = empty(batch, layer.channels_out, *plan.size)
        code().convolve(plan.forward.address, padded.data_ptr(), y.data_ptr(), weight.data_ptr(), batch)
        ctx.layer, ctx.size = layer, size
        ctx.save_for_backward(padded, weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        padded, weight = ctx.saved_tensors
        layer, batch, own = ctx.layer, len(padded), batch_innermost(y_gradient)
        plan = layer.plan(*ctx.size)
        x_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient, around = empty(batch, layer.channels_in, *ctx.size), _padded(own, plan.border)
            addresses = around.data_ptr(), x_gradient.data_ptr(), weight.data_ptr()
            for each in plan.backward:
                code().convolve(each.address, *addresses, batch)
        if ctx.needs_input_grad[1]:
            weight_gradient = torch.zeros_like(weight)
            addresses = padded.data_ptr(), own.data_ptr(), weight_gradient.data_ptr()
            code().weight_gradients(plan.forward.address, *addresses, batch)
        return x_gradient, weight_gradient, None


def _padded(x: Tensor, border: int) -> Tensor:
    """Images, batch innermost, with so many zeros on all sides."""
    if not border:
        return x
    batch, channels, height, width = x.shape
    y = empty(batch, channels, height + 2 * border, width + 2 * border)
    code().pad(x.data_ptr(), y.data_ptr(), channels, height, width * batch, border, border * batch)
    return y
