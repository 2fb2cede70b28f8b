"""VGG for small images (Simonyan and Zisserman 2015, arXiv 1409.1556): one linear layer instead of three."""

from torch import Tensor, nn

from trainables.models.layers import conv, global_average

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""3x3 convolutions in each of the five stages, by depth (their table 1, configurations A, B, D and E)."""


class VGG(nn.Module):
    """Five stages of convolutions, each halving the image by max pooling: at least 32 pixels are needed.

    At 3 channels and 10 classes and width 64, VGG-19 with batch-norm has 20,040,522 parameters (Zhou et al. 2023), and
    VGG-13 with batch-norm and without biases 9,413,066 (Lubana and Dick 2021).

    Args:
        depth: 11, 13, 16 or 19.
        width: Channels of the first stage; the later ones have 2, 4, 8 and 8 times as many.
        batch_norm: Put batch-norm behind every convolution.
        bias: Give convolutions a bias.
        channels: Of the images.
        classes: Number of outputs.
    """

    def __init__(self, depth: int, width: int, *, batch_norm: bool, bias: bool, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for factor, convolutions in zip((1, 2, 4, 8, 8), CONVOLUTIONS[depth], strict=True):
            for _ in range(convolutions):
                layers.append(conv(channels, factor * width, 3, bias=bias))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(factor * width))
                layers.append(nn.ReLU())
                channels = factor * width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, h, w)."""
        return self.linear(global_average(self.features(x)))
