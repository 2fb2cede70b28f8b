"""What a data set is: arrays in memory, and how they are to be normalised and augmented."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

COUNTED = 1024
"""Images whose pixels are counted at a time."""


Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""Bytes, or what was computed from them, in their unit: near [0, 255]."""


@dataclass(frozen=True)
class Images:
    """Images and their labels. A selection of them copies no pixels, which may lie in a file that processes share.

    Attributes:
        stored: Pixels of these images, and perhaps of others, shape (any number, h, w, channels).
        labels: int64, shape (images,), in [0, classes).
        order: Which of those that are stored these images are, shape (images,); None if they are all, in their order.
    """

    stored: Pixels
    labels: NDArray[np.int64]
    order: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: NDArray[np.int64] | slice) -> "Images":
        if isinstance(index, slice) and self.order is None:
            return Images(self.stored[index], self.labels[index])
        order = np.arange(len(self)) if self.order is None else self.order
        return Images(self.stored, self.labels[index], order[index])

    @property
    def pixels(self) -> Pixels:
        """Of these images alone, shape (images, h, w, channels); a copy unless they are all that are stored."""
        return self.stored if self.order is None else self.stored[self.order]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width, channels = self.stored.shape[1:]
        return height, width, channels

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels of these images."""
        return len(self) * math.prod(self.shape) * self.stored.itemsize


@dataclass(frozen=True)
class DataSet:
    """A data set and how its images are normalised and augmented.

    Attributes:
        train: What models are trained on, and LMC and CKA measured on.
        validation: Held out of the training images; may be empty.
        test: Never used to choose anything.
        classes: Number of labels.
        mean: Of each channel, in pixel units, subtracted.
        std: Of each channel, in pixel units, divided by.
        crop_padding: Pixels of zeros around an image from which it is cropped again at random.
        flip: Whether images are mirrored at random, left to right.
    """

    what: ClassVar[str] = "images"
    train: Images
    validation: Images
    test: Images
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int
    flip: bool


class Normalisation(NamedTuple):
    """How images become what models are given: (pixels - mean) / std, float32.

    Attributes:
        mean: Of each channel, in pixel units, as of :class:`DataSet`.
        std: Likewise.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Outline:
    """Sizes of a data set: training images before any are held out, test images, and what an image is like."""

    train: int
    test: int
    height: int
    width: int
    channels: int
    classes: int

    @property
    def shape(self) -> str:
        """What a sample is like."""
        return f"{self.height}x{self.width}x{self.channels}"

    def samples_in(self, batch_size: int) -> float:
        """Images in a batch of so many."""
        return batch_size


def sizes(train: Images, test: Images, classes: int) -> Outline:
    """Outline of images that are there."""
    return Outline(len(train), len(test), *train.shape, classes)


def channel_statistics(train: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel, in pixel units."""
    if train.stored.dtype != np.uint8:
        return _float_statistics(train)
    values = np.arange(256)
    counts = np.zeros((train.pixels.shape[-1], 256), dtype=np.int64)
    for first in range(0, len(train), COUNTED):  # counting takes eight times the memory of what is counted
        group = train.pixels[first : first + COUNTED]
        counts += [np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(group, -1, 0)]
    means = tuple(float(np.average(values, weights=count)) for count in counts)
    variances = (np.average((values - mean) ** 2, weights=count) for mean, count in zip(means, counts, strict=True))
    return means, tuple(float(variance) ** 0.5 for variance in variances)


def _float_statistics(train: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """As :func:`channel_statistics`, summed in float64, some images at a time."""
    groups = [train[first : first + COUNTED] for first in range(0, len(train), COUNTED)]
    pixels = len(train) * math.prod(train.shape[:2])
    mean = sum(group.pixels.sum((0, 1, 2), dtype=np.float64) for group in groups) / pixels
    squares = sum(np.square(group.pixels - mean).sum((0, 1, 2)) for group in groups)
    return tuple(map(float, mean)), tuple(map(float, np.sqrt(squares / pixels)))


def check_images(where: str, train: Images, test: Images, classes: int, all_there: bool = True) -> None:
    """Raise ValueError unless these are usable images and labels.

    Args:
        where: What holds them, for a person.
        train: Training images.
        test: Test images.
        classes: Number of labels.
        all_there: Whether each must have a training image.
    """
    for name, split in (("train", train), ("test", test)):
        shape, kind = split.pixels.shape, split.pixels.dtype
        if kind != np.uint8 or len(shape) != 4 or 0 in shape:
            said = f"x_{name} has shape {shape} and type {kind}; it must hold images of type uint8"
            raise ValueError(f"{where}: {said}, of shape (images, height, width) or with channels last")
        if shape[1] in (1, 3) and shape[3] not in (1, 3, 4):
            raise ValueError(f"{where}: x_{name} has shape {shape}, with the channels before the pixels; put them last")
        if len(split.labels) != shape[0]:
            raise ValueError(f"{where}: x_{name} holds {shape[0]} images, but y_{name} {len(split.labels)} labels")
        wrong = split.labels[(split.labels < 0) | (split.labels >= classes)]
        if len(wrong):
            raise ValueError(f"{where}: label {wrong[0]} in y_{name} must be from 0 to {max(classes - 1, 0)}")
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        shapes = f"{train.pixels.shape[1:]} and {test.pixels.shape[1:]}"
        raise ValueError(f"{where}: images of x_train and x_test have different shapes, {shapes}")
    if classes > len(train) and all_there:
        raise ValueError(f"{where}: label {classes - 1} in y_train, of {len(train)} images, must be below their number")
    absent = np.flatnonzero(np.bincount(train.labels, minlength=classes) == 0)
    if len(absent) and all_there:
        raise ValueError(f"{where}: no image of y_train has label {absent[0]}; number the labels from 0 without gaps")
    if classes < 2:
        raise ValueError(f"{where}: y_train holds one label only; classification needs two")
