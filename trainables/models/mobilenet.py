"""MobileNet-V1 (Howard et al. 2017, arXiv 1704.04861), its first convolution at stride 1 for small images."""

from torch import Tensor, nn

from trainables.models.layers import conv, global_average

LAYERS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *((16, 1),) * 5, (32, 2), (32, 1))
"""Output channels, in units of the first convolution's, and stride of every depthwise separable layer (table 1)."""


class MobileNetV1(nn.Module):
    """Depthwise separable convolutions, each followed by batch-norm and ReLU, then average pooling.

    ``width = 32`` has 3,217,226 parameters at 3 channels and 10 classes (Lubana and Dick 2021).

    Args:
        width: Channels of the first convolution.
        channels: Of the images.
        classes: Number of outputs.
    """

    def __init__(self, width: int, *, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(channels, width, 3), nn.BatchNorm2d(width), nn.ReLU()]
        channels_in = width
        for factor, stride in LAYERS:
            layers += [conv(channels_in, channels_in, 3, stride, groups=channels_in), nn.BatchNorm2d(channels_in)]
            layers += [nn.ReLU(), conv(channels_in, factor * width, 1), nn.BatchNorm2d(factor * width), nn.ReLU()]
            channels_in = factor * width
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(channels_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, h, w)."""
        return self.linear(global_average(self.features(x)))
