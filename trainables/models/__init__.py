"""The models, by the names people write. Plain ``torch.nn`` modules; ``trainables.stack`` makes stacks of them."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

PRERESNET = re.compile(r"preresnet(?P<depth>[0-9]+)(-w(?P<width>[0-9]+(\.[0-9]+)?))?")

DEEPEST, WIDEST = 1202, 4096
"""Nothing larger was ever published; beyond are typing errors."""


def check_name(name: str) -> None:
    """Raise ValueError, in one sentence for the user, unless ``name`` is a model's."""
    _preresnet(name)


def build(name: str, channels: int, classes: int) -> "nn.Module":
    """Make the model called ``name``, initialised from torch's global random state.

    Args:
        name: ``preresnet<depth>`` with depth 6n + 2, optionally ``-w<factor>`` for a width other than the paper's
            16 channels in the first stage: ``preresnet20``, ``preresnet8-w0.5``.
        channels: Of the images.
        classes: Number of outputs.

    Raises:
        ValueError: For any other name.
    """
    from trainables.models.preresnet import PreResNet

    return PreResNet(*_preresnet(name), channels=channels, classes=classes)


def _preresnet(name: str) -> tuple[int, int]:
    """Blocks in each stage and width of the first stage."""
    match = PRERESNET.fullmatch(name)
    if not match:
        raise ValueError(f"unknown model {name!r}; write preresnet<depth> or preresnet<depth>-w<factor>")
    depth, width = int(match["depth"]), 16 * float(match["width"] or 1)
    if not 8 <= depth <= DEEPEST or depth % 6 != 2:
        raise ValueError(f"depth {depth} of model {name!r} is not 6n + 2 for a whole n; take 8, 14, 20, ..., {DEEPEST}")
    if not 1 <= width <= WIDEST or width % 1:
        said = f"width {width:g} of model {name!r} (16 times its factor)"
        raise ValueError(f"{said} is not a whole number of channels from 1 to {WIDEST}")
    return (depth - 2) // 6, int(width)


def with_width(name: str, factor: float) -> str:
    """Name of the same model with another width.

    Raises:
        ValueError: If the name says a width already.
    """
    if re.search("-w[0-9.]+$", name):
        raise ValueError(f"model {name!r} has a width already; leave it out of the name")
    return f"{name}-w{factor:g}"
