"""Residual network for small images (He et al. 2016, arXiv 1512.03385, section 4.2)."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from trainables.models.layers import BatchNormReLU, conv, global_average, residual_stages


class Block(nn.Module):
    """Two 3x3 convolutions, each followed by batch-norm, plus the shortcut.

    Where the shape changes the shortcut is a 1x1 convolution with batch-norm (their option B).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(channels_in, channels_out, 3, stride)
        self.norm1 = BatchNormReLU(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3)
        self.norm2 = nn.BatchNorm2d(channels_out)
        same = stride == 1 and channels_in == channels_out
        projection = nn.Sequential(conv(channels_in, channels_out, 1, stride), nn.BatchNorm2d(channels_out))
        self.shortcut = nn.Identity() if same else projection

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, h, w) to (batch, channels_out, h / stride, w / stride)."""
        y = self.norm2(self.conv2(self.norm1(self.conv1(x))))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """Stages of blocks at one, two, four ... times the width, then average pooling.

    ``depth = 56, width = 16`` has the 855,770 parameters of Lubana and Dick 2021 at 3 channels and 10 classes;
    ``depth = 18, width = 64, stages = 4`` is ResNet-18 with a first convolution for small images, 11,173,962.

    Args:
        depth: Convolutions on the way through and the linear layer, 2 n stages + 2.
        width: Channels of the first stage.
        channels: Of the images.
        classes: Number of outputs.
        stages: How many there are.
    """

    def __init__(self, depth: int, width: int, *, channels: int, classes: int, stages: int = 3) -> None:
        super().__init__()
        first = conv(channels, width, 3), nn.BatchNorm2d(width), nn.ReLU()
        self.features = nn.Sequential(*first, *residual_stages(Block, depth, width, stages))
        self.linear = nn.Linear(2 ** (stages - 1) * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, h, w)."""
        return self.linear(global_average(self.features(x)))
