"""DenseNet for small images, basic layers and no compression (Huang et al. 2017, arXiv 1608.06993, table 2)."""

from torch import Tensor, nn

from trainables.models.layers import BatchNormReLU, Concatenate, conv, global_average


class Layer(nn.Module):
    """Batch-norm, ReLU and a 3x3 convolution, whose output joins its input."""

    def __init__(self, channels_in: int, growth: int) -> None:
        super().__init__()
        self.norm = BatchNormReLU(channels_in)
        self.conv = conv(channels_in, growth, 3)
        self.concatenate = Concatenate()

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, h, w) to (batch, channels_in + growth, h, w)."""
        return self.concatenate(x, self.conv(self.norm(x)))


class DenseNet(nn.Module):
    """Three blocks of densely connected layers, with a 1x1 convolution and average pooling between them.

    ``depth = 40, growth = 12`` has 1,059,298 parameters at 3 channels and 10 classes.

    Args:
        depth: Convolutions on the way through and the linear layer, 3n + 4.
        growth: Channels that each layer adds; the first convolution has twice as many.
        channels: Of the images.
        classes: Number of outputs.
    """

    def __init__(self, depth: int, growth: int, *, channels: int, classes: int) -> None:
        super().__init__()
        width = 2 * growth
        layers: list[nn.Module] = [conv(channels, width, 3)]
        for block in range(3):
            if block > 0:
                layers += [nn.BatchNorm2d(width), nn.ReLU(), conv(width, width, 1), nn.AvgPool2d(2)]
            for _ in range((depth - 4) // 3):
                layers.append(Layer(width, growth))
                width += growth
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU())
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, h, w)."""
        return self.linear(global_average(self.features(x)))
