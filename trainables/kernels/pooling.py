"""Pooling of images that lie in memory with the batch innermost."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.kernels.layout import batch_innermost, empty
from trainables.kernels.native import code


class DirectPooling(nn.Module):
    """Largest or mean values of squares of pixels that do not overlap.

    Args:
        layer: The pooling, a known one (:func:`is_known`).
    """

    def __init__(self, layer: nn.MaxPool2d | nn.AvgPool2d) -> None:
        super().__init__()
        self._side, self._largest = int(layer.kernel_size), isinstance(layer, nn.MaxPool2d)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, h, w) to (batch, channels, h', w')."""
        return _Pool.apply(x, self._side, self._largest)


def is_known(layer: nn.Module) -> bool:
    """Whether a layer is a pooling for which there is a kernel."""
    if type(layer) not in (nn.MaxPool2d, nn.AvgPool2d) or layer.ceil_mode or layer.padding != 0:
        return False
    if not isinstance(layer.kernel_size, int) or layer.stride != layer.kernel_size:
        return False
    if isinstance(layer, nn.MaxPool2d):
        return layer.dilation == 1 and not layer.return_indices
    return layer.divisor_override is None


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, side: int, largest: bool) -> Tensor:
        x = batch_innermost(x)
        batch, channels, height, width = x.shape
        rows, columns = height // side, width // side
        y = empty(batch, channels, rows, columns)
        ctx.how = batch, channels, rows, columns, side, height, width, largest
        code().pool(x.data_ptr(), y.data_ptr(), *ctx.how)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, None, None]:
        x, y = ctx.saved_tensors
        x_gradient, left = torch.zeros_like(x), torch.empty(len(x))
        tensors = x, y, batch_innermost(y_gradient), x_gradient, left  # which live until the call is over
        code().pool_gradient(*(tensor.data_ptr() for tensor in tensors), *ctx.how)
        return x_gradient, None, None
