"""Batch-norm and ReLU in one pass over the images."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.kernels.layout import batch_innermost
from trainables.kernels.native import code


class DirectBatchNorm(nn.BatchNorm2d):
    """Batch-norm, and ReLU if asked for, of images that lie in memory with the batch innermost.

    Args:
        layer: The batch-norm; its parameters and statistics are shared.
        relu: Whether ReLU follows.
    """

    def __init__(self, layer: nn.BatchNorm2d, relu: bool) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self._parameters, self._buffers, self._relu = layer._parameters, layer._buffers, relu
        self.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, h, w) to the same."""
        x, channels = batch_innermost(x), self.num_features
        if x.shape[1] != channels:
            raise ValueError(f"{x.shape[1]} channels instead of {channels}")
        weight = torch.ones(channels) if self.weight is None else self.weight
        bias = torch.zeros(channels) if self.bias is None else self.bias
        mean, variance = self.running_mean, self.running_var
        if not self.training and mean is not None and variance is not None:
            scale = weight * (variance + self.eps).rsqrt()
            return _ScaleAndShift.apply(x, scale, bias - mean * scale, self._relu)
        if not self.training or not self.track_running_stats:
            mean = variance = None
        momentum = self.momentum
        if mean is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1 / float(self.num_batches_tracked)
        return _Normalise.apply(x, weight, bias, (mean, variance, momentum or 0.0, self.eps, self._relu))


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, how: tuple[Tensor | None, Tensor | None, float, float, bool]
    ) -> Tensor:
        mean, variance, momentum, epsilon, relu = how
        channels = x.shape[1]
        y, noted = torch.empty_like(x), torch.empty(4, channels)
        code().normalise(
            *(tensor.data_ptr() for tensor in (x, y, weight, bias, noted)),
            *(None if tensor is None else tensor.data_ptr() for tensor in (mean, variance)),
            momentum, epsilon, channels, x.numel() // channels, relu,
        )  # fmt: skip
        ctx.relu = relu
        ctx.save_for_backward(x, noted)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, noted = ctx.saved_tensors
        channels = x.shape[1]
        x_gradient, weight_gradient, bias_gradient = torch.empty_like(x), *torch.empty(2, channels).unbind()
        tensors = x, batch_innermost(y_gradient), noted, x_gradient, weight_gradient, bias_gradient  # alive till then
        addresses = [tensor.data_ptr() for tensor in tensors]
        code().normalisation_gradients(*addresses, channels, x.numel() // channels, ctx.relu)
        return x_gradient, weight_gradient, bias_gradient, None


class _ScaleAndShift(torch.autograd.Function):
    """With fixed statistics: in evaluation, where gradients are seldom wanted."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, relu: bool) -> Tensor:
        y, channels = torch.empty_like(x), x.shape[1]
        addresses = [tensor.data_ptr() for tensor in (x, y, scale, shift)]
        code().scale_and_shift(*addresses, channels, x.numel() // channels, relu)
        ctx.relu = relu
        ctx.save_for_backward(x, scale, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, scale, y = ctx.saved_tensors
        own = y_gradient * (y > 0) if ctx.relu else y_gradient
        return own * scale[:, None, None], (own * x).sum((0, 2, 3)), own.sum((0, 2, 3)), None
