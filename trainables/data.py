"""The data sets, as arrays in memory. Imports no torch."""

from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

DATA = ("digits",)
"""Names of the data sets."""

DIGITS_TRAINING_IMAGES = 1297
SPLIT_SEED = 20230515


@dataclass(frozen=True)
class Images:
    """Images and their labels.

    Attributes:
        pixels: uint8, shape (images, h, w, channels).
        labels: int64, shape (images,), in [0, classes).
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: NDArray[np.int64] | slice) -> "Images":
        return Images(self.pixels[index], self.labels[index])


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

    train: Images
    validation: Images
    test: Images
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int
    flip: bool


def load(name: str, validation_fraction: float) -> DataSet:
    """Load a data set and hold out round(validation_fraction * n) of its n training images.

    Which images are held out depends on nothing but their number.

    Raises:
        ValueError: For an unknown name, or if no training image is left; one sentence for the user.
    """
    if name not in DATA:
        raise ValueError(f"unknown data set {name!r}; the data sets are: {', '.join(DATA)}")
    data = _digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(data.train))
    held_out = round(validation_fraction * len(order))
    if held_out == len(order):
        raise ValueError(f"a validation fraction of {validation_fraction} leaves none of {held_out} images to train on")
    return replace(data, train=data.train[np.sort(order[held_out:])], validation=data.train[np.sort(order[:held_out])])


def _digits() -> DataSet:
    """Load 1,797 handwritten digits of 8x8 pixels in 0..16 (Alpaydin and Kaynak 1998, UCI, CC BY 4.0).

    They come in the order of their writers, so they are shuffled, always in the same way, before they are divided.
    """
    with files("trainables").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        everything = Images(arrays["images"][..., None], arrays["labels"].astype(np.int64))
    everything = everything[np.random.default_rng(SPLIT_SEED).permutation(len(everything))]
    train, test = everything[:DIGITS_TRAINING_IMAGES], everything[DIGITS_TRAINING_IMAGES:]
    mean, std = float(train.pixels.mean()), float(train.pixels.std())
    return DataSet(train, test[:0], test, 10, (mean,), (std,), crop_padding=1, flip=False)
