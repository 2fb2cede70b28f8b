"""Pre-activation residual network for small images (He et al. 2016, arXiv 1603.05027)."""

from torch import Tensor, nn

from trainables.models.layers import BatchNormReLU, conv, global_average, residual_stages


class Block(nn.Module):
    """Two 3x3 convolutions, each after batch-norm and ReLU, plus the shortcut.

    Where the shape changes the shortcut is a bare 1x1 convolution of the block's raw input.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = BatchNormReLU(channels_in)
        self.conv1 = conv(channels_in, channels_out, 3, stride)
        self.norm2 = BatchNormReLU(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else conv(channels_in, channels_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, h, w) to (batch, channels_out, h / stride, w / stride)."""
        y = self.conv1(self.norm1(x))
        y = self.conv2(self.norm2(y))
        return y + self.shortcut(x)


class PreResNet(nn.Module):
    """Three stages of pre-activation blocks at one, two and four times the width, then average pooling.

    ``depth = 20, width = 16`` is PreResNet-20 with its 272,282 parameters at 3 channels and 10 classes.

    Args:
        depth: Convolutions on the way through and the linear layer, 6n + 2.
        width: Channels of the first stage.
        channels: Of the images.
        classes: Number of outputs.
    """

    def __init__(self, depth: int, width: int, *, channels: int, classes: int) -> None:
        super().__init__()
        self.conv = conv(channels, width, 3)
        self.blocks = nn.Sequential(*residual_stages(Block, depth, width))
        self.norm = BatchNormReLU(4 * width)
        self.linear = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, h, w)."""
        return self.linear(global_average(self.norm(self.blocks(self.conv(x)))))
