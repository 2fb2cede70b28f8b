"""One image, of whatever type people have them, as bytes."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

GREY_MODES = ("1", "L", "LA", "La")
"""Of PIL: what has no colours."""

DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""Of PIL: grey of sixteen bits."""

EXACT = 1e-3
"""A float times 255 that is so near to a whole number is meant to be one; torchvision's ToTensor is off by 1e-5."""


class WrongPictureError(ValueError):
    """An image cannot be used; says why, to be read after what it is called."""


class Picture(NamedTuple):
    """An image.

    Attributes:
        pixels: uint8, shape (h, w, 3).
        is_grey: Whether it came without colours; then the three channels are the same.
    """

    pixels: NDArray[np.uint8]
    is_grey: bool


def picture(image: Any, size: int | None) -> Picture:
    """Take an image of a user's data set.

    Args:
        image: Of PIL; or an array of shape (h, w) or (h, w, channels); or a tensor of shape (h, w) or
            (channels, h, w), as torchvision makes them. Both have 1 or 3 channels, and are uint8, or float in [0, 1]
            in steps of 1/255, as torchvision's ToTensor gives.
        size: As of :func:`resized`.

    Raises:
        WrongPictureError: If it is nothing of these.
    """
    if hasattr(image, "getbands"):
        return decoded(image, size)
    if any(kind.__module__ == "torch" for kind in type(image).__mro__):  # torchvision has subclasses of tensors
        try:
            values = image.detach().cpu().numpy()
        except TypeError:
            raise WrongPictureError(f"has type {image.dtype}; it must be uint8, or float in [0, 1]") from None
        if values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
    elif isinstance(image, np.ndarray):
        values = image
    else:
        raise WrongPictureError(f"is of type {type(image).__name__}, not an image of PIL, an array or a tensor")
    if values.ndim not in (2, 3) or 0 in values.shape or (values.ndim == 3 and values.shape[-1] not in (1, 3)):
        said = "arrays are (height, width) or have 1 or 3 channels last, tensors have them first"
        raise WrongPictureError(f"has shape {tuple(image.shape)}; {said}")
    pixels = _bytes(values)
    pixels = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
    if size is None:
        return _picture(pixels)
    from PIL import Image

    return _picture(np.asarray(resized(Image.fromarray(pixels), size)))


def decoded(image: "Image", size: int | None) -> Picture:
    """Decode an image of PIL: the first of several frames, without transparency, not turned by what a camera noted.

    Sixteen bits become eight, palettes and other kinds of colours RGB; so does torchvision's loader.

    Args:
        image: May be opened only.
        size: As of :func:`resized`.

    Raises:
        WrongPictureError: If its pixels cannot become bytes.
        OSError: And others, if it is damaged.
    """
    from PIL import Image

    if image.mode in DEEP_MODES:
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise WrongPictureError("has pixels of more than sixteen bits")
        image = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    elif image.mode == "F":
        raise WrongPictureError("has pixels that are floats")
    elif image.mode in GREY_MODES:
        image = image.convert("L")
    else:
        if "transparency" in image.info:
            image = image.convert("RGBA")  # what PIL wants to see first
        image = image.convert("RGB")
    return _picture(np.asarray(image if size is None else resized(image, size)))


def resized(image: "Image", size: int) -> "Image":
    """Resize an image so that its shorter side is ``size``, and cut its middle out of the longer one.

    As torchvision's ``Resize(size)`` and ``CenterCrop(size)`` do with an image of PIL: bilinear, and when it shrinks
    over all pixels that become one (antialiased).
    """
    from PIL import Image

    width, height = image.size
    shorter, longer = sorted(image.size)
    if shorter != size:
        other = int(size * longer / shorter)
        width, height = (size, other) if width <= height else (other, size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _picture(pixels: NDArray[np.uint8]) -> Picture:
    is_grey = pixels.ndim == 2
    return Picture(np.repeat(pixels[..., None], 3, axis=-1) if is_grey else pixels, is_grey)


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        raise WrongPictureError(f"has type {values.dtype}; it must be uint8, or float in [0, 1]")
    scaled = 255 * values.astype(np.float64)
    whole = np.rint(scaled)
    if not (np.abs(scaled - whole) < EXACT).all() or whole.min() < 0 or whole.max() > 255:
        said = "are not in [0, 1] in steps of 1/255; give images as they are before they are normalised or augmented"
        raise WrongPictureError(f"has type {values.dtype}, and values that {said}")
    return whole.astype(np.uint8)
