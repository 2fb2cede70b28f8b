"""The models, by the names people write. Plain ``torch.nn`` modules; ``trainables.stacks`` makes stacks of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from trainables.functions import is_function, place
from trainables.functions import pin as pin_function
from trainables.models import factory

if TYPE_CHECKING:
    from torch import nn

DEEPEST, WIDEST = 1202, 4096
"""Nothing larger was ever published; beyond are typing errors."""

WIDTH = r"(-w(?P<width>[0-9]+(\.[0-9]+)?))?"


@dataclass(frozen=True)
class Family:
    """Architectures that differ by their depth and width.

    Attributes:
        pattern: Of the name, without the width.
        example: How to write it.
        depths: Which depths there are, for a person.
        has_depth: Whether there is this depth.
        width: Channels that the width factor multiplies; the class takes them as ``width_argument``. Of families whose
            names say the widths of all layers these are multiplied, and a name of None has no width.
        module: Module and class.
        options: Other arguments of the class, from the name's parts.
        takes_size: Whether the class takes the images' height and width.
        translates: Whether it is of sentences instead of images: the class takes a ``vocabulary``.
    """

    pattern: str
    example: str
    depths: str
    has_depth: Callable[[int], bool]
    width: int | None
    module: tuple[str, str]
    options: Callable[[dict[str, str | None]], dict[str, Any]] = lambda parts: {}
    width_argument: str = "width"
    takes_size: bool = False
    translates: bool = False


def _residual(name: str, kind: str) -> Family:
    rule = f"6n + 2 for a whole n; take 8, 14, 20, ..., {DEEPEST}"
    return Family(f"{name}(?P<depth>[0-9]+)", f"{name}20", rule, lambda depth: depth % 6 == 2, 16, (name, kind))


def _of_widths(name: str, example: str, module: tuple[str, str], takes_size: bool = False) -> Family:
    pattern = f"{name}(?P<widths>[0-9]+(-[0-9]+)*)"
    return Family(pattern, example, "", lambda depth: True, 1, module, width_argument="widths", takes_size=takes_size)


FAMILIES = (
    Family(
        "resnet18",
        "resnet18",
        "",
        lambda depth: True,
        64,
        ("resnet", "ResNet"),
        lambda parts: {"depth": 18, "stages": 4},
    ),
    _residual("preresnet", "PreResNet"),
    _residual("resnet", "ResNet"),
    Family(
        "vgg(?P<depth>[0-9]+)(?P<bn>-bn)?(?P<nobias>-nobias)?",
        "vgg16-bn",
        "11, 13, 16 or 19",
        lambda depth: depth in (11, 13, 16, 19),
        64,
        ("vgg", "VGG"),
        lambda parts: {"batch_norm": bool(parts["bn"]), "bias": not parts["nobias"]},
    ),
    Family(
        "densenet(?P<depth>[0-9]+)(-k(?P<growth>[0-9]+))?",
        "densenet40-k12",
        "3n + 4 for a whole n; take 7, 10, ..., 40, ...",
        lambda depth: depth % 3 == 1 and depth >= 7,
        12,
        ("densenet", "DenseNet"),
        width_argument="growth",
    ),
    Family("mobilenet-v1", "mobilenet-v1", "", lambda depth: True, 32, ("mobilenet", "MobileNetV1")),
    _of_widths("conv", "conv64-128-256-512", ("convolutional", "Convolutional")),
    _of_widths("mlp", "mlp128-256", ("perceptron", "Perceptron"), takes_size=True),
    Family(
        "linear",
        "linear",
        "",
        lambda depth: True,
        None,
        ("perceptron", "Perceptron"),
        lambda parts: {"widths": ()},
        takes_size=True,
    ),
    Family(
        "transformer(?P<layers>[0-9]+)x(?P<features>[0-9]+)-h(?P<heads>[0-9]+)",
        "transformer2x128-h4",
        "",
        lambda depth: True,
        1,
        ("transformer", "Transformer"),
        lambda parts: {name: int(parts[name] or 0) for name in ("layers", "heads")},
        translates=True,
    ),
)

EXAMPLES = ", ".join(family.example for family in FAMILIES)
"""Names of models, one of each family, for a person."""


def check_name(name: str, translates: bool = False) -> None:
    """Raise ValueError, in one sentence for the user, unless ``name`` is a model's of images, or of sentences."""
    if is_function(name) or (family := _named(name)[0]).translates == translates:
        return
    examples = ", ".join(each.example for each in FAMILIES if each.translates == translates)
    does, are = ("translates", "images") if family.translates else ("classifies images", "sentences")
    raise ValueError(f"model {name!r} {does}, and the data are {are}; write one like {examples}")


def pin(name: str) -> str:
    """Tie a user's own model to its source (:mod:`trainables.functions`); other names stay as they are."""
    return pin_function(name, factory.PURPOSE) if is_function(name) else name


def build(name: str, channels: int, classes: int, size: tuple[int, int] | None = None) -> "nn.Module":
    """Make the model called ``name``, initialised from torch's global random state.

    Args:
        name: Of one of :data:`FAMILIES`, optionally with ``-w<factor>`` for a width other than the published; or a
            pinned ``package.module:function#hash``.
        channels: Of the images.
        classes: Number of outputs.
        size: Height and width of the images, which networks of linear layers alone need.

    Raises:
        ValueError: For any other name, or without a size that is needed.
    """
    if is_function(name):
        return factory.build(name, classes, channels)
    check_name(name)
    family, arguments = _named(name)
    if family.takes_size:
        if size is None:
            raise ValueError(f"model {name!r} cannot be made without the height and width of the images")
        arguments["size"] = size
    return _made(family, arguments | {"channels": channels, "classes": classes})


def build_translator(name: str, vocabulary: int) -> "nn.Module":
    """Make the model of sentences called ``name``, initialised from torch's global random state.

    Args:
        name: Of a family that translates, or pinned, as of :func:`build`.
        vocabulary: Number of tokens.

    Raises:
        ValueError: For any other name.
    """
    if is_function(name):
        return factory.build(name, vocabulary)
    check_name(name, translates=True)
    family, arguments = _named(name)
    return _made(family, arguments | {"vocabulary": vocabulary})


def _made(family: Family, arguments: dict[str, Any]) -> "nn.Module":
    module, kind = family.module
    model: nn.Module = getattr(import_module(f"trainables.models.{module}"), kind)(**arguments)
    return model


def with_width(name: str, factor: float) -> str:
    """Name of the same model with so many times its width.

    Raises:
        ValueError: If the model is the user's own.
    """
    if factor == 1:
        return name
    if is_function(name):
        raise ValueError(f"the width of model {place(name)} cannot be set from outside")
    own = re.search(rf"{WIDTH}$", name)
    assert own  # perhaps of nothing
    rounded = Decimal(f"{float(own['width'] or 1) * factor:.12g}")
    base, width = name[: own.start()], f"{rounded:f}"  # never with an exponent, which no name has
    return base if width == "1" else f"{base}-w{width}"


def _named(name: str) -> tuple[Family, dict[str, Any]]:
    """Family of a name, and the arguments of its class."""
    for family in FAMILIES:
        if match := re.fullmatch(family.pattern + WIDTH, name):
            break
    else:
        raise ValueError(f"unknown model {name!r}; write one like {EXAMPLES}, or package.module:function for your own")
    parts = match.groupdict()
    arguments = family.options(parts)
    if "depth" in parts:
        arguments["depth"] = depth = int(parts["depth"])
        if depth > DEEPEST or depth < 7 or not family.has_depth(depth):
            raise ValueError(f"depth {depth} of model {name!r} is not {family.depths}")
    if family.width is None:
        if parts["width"]:
            raise ValueError(f"model {name!r} has no width to multiply; leave -w{parts['width']} out")
        return family, arguments
    published = (parts.get("widths") or parts.get("growth") or parts.get("features") or str(family.width)).split("-")
    widths = tuple(_channels(name, int(each) * float(parts["width"] or 1)) for each in published)
    if family.translates:
        _check_heads(name, widths[0], **arguments)
    return family, arguments | {family.width_argument: widths if "widths" in parts else widths[0]}


def _check_heads(name: str, width: int, layers: int, heads: int) -> None:
    """Raise ValueError unless a Transformer can have these sizes."""
    if not 1 <= layers <= DEEPEST:
        raise ValueError(f"{layers} layers of model {name!r} are not from 1 to {DEEPEST}")
    if heads == 0 or width % heads:
        raise ValueError(f"{heads} heads of model {name!r} do not divide its width {width} evenly")


def _channels(name: str, width: float) -> int:
    """A width as a whole number."""
    if not 1 <= width <= WIDEST or width % 1:
        said = f"width {width:g} of model {name!r} (its published width times the factor)"
        raise ValueError(f"{said} is not a whole number of channels from 1 to {WIDEST}")
    return int(width)
