"""A plain convolutional network for small images, of any widths."""

from collections.abc import Sequence

from torch import Tensor, nn

from trainables.models.layers import BatchNormReLU, conv, global_average


class Convolutional(nn.Module):
    """Convolutions, each with batch-norm and ReLU and, but for the last, max pooling that halves the image.

    Of Diao et al. 2023 (ICLR): 3x3 with biases, of widths 64, 128, 256 and 512, which take at least 8 pixels
    a side. At 3 channels and 10 classes it has 1,558,026 parameters.

    Args:
        widths: Channels of each convolution.
        channels: Of the images.
        classes: Number of outputs.
    """

    def __init__(self, widths: Sequence[int], *, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [conv(channels, width, 3, bias=True), BatchNormReLU(width), nn.MaxPool2d(2)]
            channels = width
        self.features = nn.Sequential(*layers[:-1])
        self.linear = nn.Linear(channels, classes)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, h, w)."""
        return self.linear(global_average(self.features(x)))
