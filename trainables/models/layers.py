"""What several architectures are made of."""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from trainables.kernels.layout import is_batch_innermost


def conv(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Convolution that keeps the size at stride 1, with weights from N(0, 2 / (k k channels_out / groups)), bias 0.

    He et al. 2015 (arXiv 1502.01852, equation 14, counting outputs), as the paper's models are initialised.
    """
    layer = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, groups=groups, bias=bias)
    nn.init.normal_(layer.weight, 0, (2 * groups / (kernel * kernel * channels_out)) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def residual_stages(
    block: Callable[[int, int, int], nn.Module], depth: int, width: int, stages: int = 3
) -> list[nn.Module]:
    """Blocks of a residual network for small images (He et al. 2016, arXiv 1512.03385, section 4.2).

    Args:
        block: Makes one from its channels in and out and its stride.
        depth: Of the network, 2 n stages + 2: in each stage n blocks of two convolutions each.
        width: Channels of the first stage, doubled in each further one, which begins with stride 2.
        stages: How many there are.
    """
    blocks, channels = [], width
    for stage in range(stages):
        for index in range((depth - 2) // (2 * stages)):
            blocks.append(block(channels, width * 2**stage, 2 if stage > 0 and index == 0 else 1))
            channels = width * 2**stage
    return blocks


class BatchNormReLU(nn.BatchNorm2d):
    """Batch-norm and ReLU: one layer, so that both can be one pass over the images."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, h, w) to the same."""
        return F.relu(super().forward(x))


def global_average(x: Tensor) -> Tensor:
    """Mean over all pixels: (batch, channels, h, w) to (batch, channels)."""
    if is_batch_innermost(x):
        return x.mean((2, 3))
    # Not x.mean((2, 3)): its gradient is a broadcast view, on which the backward of ReLU ran 35 times slower.
    return F.avg_pool2d(x, x.shape[2:]).flatten(1)


class Concatenate(nn.Module):
    """Joins two feature maps channel by channel; a module, so that a stack can join each model's own."""

    def __init__(self, models: int = 1) -> None:
        super().__init__()
        self.models = models

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map (batch, c, h, w) and (batch, d, h, w) to (batch, c + d, h, w)."""
        if is_batch_innermost(first) and is_batch_innermost(second):  # torch.cat keeps no such order by itself
            parts = [x.permute(1, 2, 3, 0).unflatten(0, (self.models, -1)) for x in (first, second)]
            return torch.cat(parts, 1).flatten(0, 1).permute(3, 0, 1, 2)
        if self.models == 1:
            return torch.cat((first, second), 1)
        parts = [x.unflatten(1, (self.models, -1)) for x in (first, second)]
        return torch.cat(parts, 2).flatten(1, 2)
