"""Data sets as arrays in memory, by name or from a file. Imports no torch.

``digits`` comes with the package. The others by name are torchvision's, fetched once for each machine. A file is the
user's own: it is *pinned* (:func:`pin`) when a sweep is made, so that its results are known by its content.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from trainables.data.augmentation import AS_PUBLISHED, AUGMENTATIONS, Augmentation, augmentation_of
from trainables.data.file import ARRAYS, PINNED, load_file, pin_file
from trainables.data.images import DataSet, Images, Outline
from trainables.data.published import PUBLISHED, SPLIT_SEED, crop_padding_of, load_named, outline_of, parse

__all__ = [
    "ARRAYS",
    "AS_PUBLISHED",
    "AUGMENTATIONS",
    "CACHE",
    "PUBLISHED",
    "SPLIT_SEED",
    "Augmentation",
    "DataSet",
    "Images",
    "Outline",
    "augmentation_of",
    "check_name",
    "content_name",
    "load",
    "outline",
    "own_crop_padding",
    "pin",
    "training_images",
]

CACHE = "~/.cache/three-regime-sweeps"
"""Folder of the data sets that are not part of the package, unless another is named."""


def check_name(data: str) -> None:
    """Raise ValueError, in one sentence for the user, unless ``data`` is a data set's name or a pinned file."""
    if not _is_file(data):
        parse(data)
    elif not PINNED.fullmatch(data):
        raise ValueError(f"{data} is not pinned to its content")


def pin(data: str) -> str:
    """Tie a file to its content: ``images.npz`` becomes ``/where/it/is/images.npz#<training images>-<hash>``.

    Names of data sets, and what is pinned already, are returned as they are.

    Raises:
        ValueError: If the file is not there or not usable, in one sentence for the user.
    """
    if not _is_file(data) or PINNED.fullmatch(data):
        return data
    return pin_file(data)


def content_name(data: str) -> str:
    """What decides results of a data set's name: of a pinned file its content, not where it lies."""
    match = PINNED.fullmatch(data)
    return f"npz#{match['images']}-{match['hash']}" if match else data


def training_images(data: str, validation_fraction: float) -> int:
    """Number of training images that are left after holding out, known without loading them.

    Raises:
        ValueError: As :func:`check_name`, or if none is left.
    """
    check_name(data)
    match = PINNED.fullmatch(data)
    images = int(match["images"]) if match else outline_of(parse(data)).train
    held_out = round(validation_fraction * images)
    if held_out == images:
        raise ValueError(f"a validation fraction of {validation_fraction} leaves none of {images} images to train on")
    return images - held_out


def own_crop_padding(data: str) -> int:
    """Pixels of random shift in augmentation that are published for a data set; 0 for a user's own."""
    return 0 if _is_file(data) else crop_padding_of(parse(data))


@cache
def outline(data: str) -> Outline:
    """Sizes of a data set; only a file is read for them.

    Raises:
        ValueError: As :func:`check_name`, or if the file cannot be read.
    """
    if not _is_file(data):
        return outline_of(parse(data))
    loaded = load_file(data)
    height, width, channels = loaded.train.pixels.shape[1:]
    return Outline(len(loaded.train), len(loaded.test), height, width, channels, loaded.classes)


def load(data: str, validation_fraction: float, folder: str = CACHE) -> DataSet:
    """Load a data set and hold out round(validation_fraction * n) of its n training images.

    Which images are held out depends on nothing but their number.

    Args:
        data: A name of :data:`PUBLISHED`, optionally with ``-<side>px`` for images averaged over blocks to this side,
            and with ``-first<n>`` for only the first n training images; or a pinned file.
        validation_fraction: In [0, 1).
        folder: Where torchvision's data sets are kept.

    Raises:
        ValueError: If there is no such data, or it is not usable; one sentence for the user.
    """
    count = training_images(data, validation_fraction)
    loaded = load_file(data) if _is_file(data) else load_named(parse(data), folder)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(loaded.train))
    train, held_out = np.sort(order[len(order) - count :]), np.sort(order[: len(order) - count])
    return replace(loaded, train=loaded.train[train], validation=loaded.train[held_out])


def _is_file(data: str) -> bool:
    return data.endswith(".npz") or PINNED.fullmatch(data) is not None
