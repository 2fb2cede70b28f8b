"""Networks of linear layers alone, on all pixels together: a linear model, and multi-layer perceptrons."""

from collections.abc import Sequence

from torch import Tensor, nn


class Perceptron(nn.Module):
    """Hidden linear layers with ReLU, and a last one; without hidden ones a linear model.

    Of Diao et al. 2023 (ICLR), whose code begins with torch's weights and with biases 0. Their MLP has hidden
    layers of 128 and 256: at 28x28 pixels of 1 channel and 10 classes 136,074 parameters, and the linear model 7,850.

    Args:
        widths: Outputs of each hidden layer.
        size: Height and width of the images.
        channels: Of the images.
        classes: Number of outputs.
    """

    def __init__(self, widths: Sequence[int], size: tuple[int, int], *, channels: int, classes: int) -> None:
        super().__init__()
        inputs, layers = channels * size[0] * size[1], list[nn.Module]()
        for width in widths:
            layers += [_linear(inputs, width), nn.ReLU()]
            inputs = width
        self.hidden = nn.Sequential(*layers)
        self.linear = _linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, h, w)."""
        return self.linear(self.hidden(x.flatten(1)))


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.bias)
    return layer
