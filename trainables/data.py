"""The data sets, by the names people write, as arrays in memory. Imports no torch.

``digits`` comes with the package. The others by name are torchvision's, fetched once for each machine. A file is the
user's own: it is *pinned* (:func:`pin`) when a sweep is made, so that its results are known by its content.
"""

import hashlib
import io
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CACHE = "~/.cache/three-regime-sweeps"
"""Folder of the data sets that are not part of the package, unless another is named."""

SPLIT_SEED = 20230515
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
PINNED = re.compile(r"(?P<path>.+\.npz)#(?P<images>[0-9]+)-(?P<hash>[0-9a-f]{20})")
NAME = re.compile(r"(?P<name>[A-Za-z0-9]+?)(-(?P<side>[0-9]+)px)?(-first(?P<first>[0-9]+))?")


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


@dataclass(frozen=True)
class Published:
    """What is known of a named data set before it is loaded.

    Attributes:
        images: Training images.
        test_images: Test images.
        side: Their height and width, in pixels.
        channels: Colours.
        classes: Number of labels.
        crop_padding: Of augmentation, in pixels of the full size; as published for the CIFARs, ours for the others.
        flip: Likewise.
        mean: Of each channel, as a fraction of the largest pixel; taken from the training images if None.
        std: Likewise.
    """

    images: int
    test_images: int
    side: int
    channels: int
    classes: int
    crop_padding: int
    flip: bool
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


_CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # as Zhou et al. 2023 normalise both
_SVHN = (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)

PUBLISHED = {
    "digits": Published(1297, 500, 8, 1, 10, crop_padding=1, flip=False),
    "CIFAR10": Published(50_000, 10_000, 32, 3, 10, 4, True, *_CIFAR),
    "CIFAR100": Published(50_000, 10_000, 32, 3, 100, 4, True, *_CIFAR),
    # A mirrored digit is another digit or none, so what is written is shifted only: our choice, the paper is silent.
    "SVHN": Published(73_257, 26_032, 32, 3, 10, 4, False, *_SVHN),
    "FashionMNIST": Published(60_000, 10_000, 28, 1, 10, 2, False),
    "MNIST": Published(60_000, 10_000, 28, 1, 10, 2, False),
}
"""Data sets by name. Augmentation of the CIFARs and normalisation are those of Zhou et al. 2023, section 4.1."""


@dataclass(frozen=True)
class Outline:
    """Sizes of a data set: training images before any are held out, test images, and what an image is like."""

    train: int
    test: int
    height: int
    width: int
    channels: int
    classes: int


@dataclass(frozen=True)
class _Named:
    name: str
    side: int | None
    first: int | None


def check_name(data: str) -> None:
    """Raise ValueError, in one sentence for the user, unless ``data`` is a data set's name or a pinned file."""
    if not _is_file(data):
        _named(data)
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
    path = Path(data).expanduser().absolute()
    content = _read(path)
    train, _, _ = _arrays(path, content)
    return f"{path}#{len(train)}-{_hash(content)}"


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
    if match := PINNED.fullmatch(data):
        images = int(match["images"])
    else:
        named = _named(data)
        images = named.first or PUBLISHED[named.name].images
    held_out = round(validation_fraction * images)
    if held_out == images:
        raise ValueError(f"a validation fraction of {validation_fraction} leaves none of {images} images to train on")
    return images - held_out


@cache
def outline(data: str) -> Outline:
    """Sizes of a data set; only a file is read for them.

    Raises:
        ValueError: As :func:`check_name`, or if the file cannot be read.
    """
    if not _is_file(data):
        named = _named(data)
        known, side = PUBLISHED[named.name], named.side or PUBLISHED[named.name].side
        return Outline(named.first or known.images, known.test_images, side, side, known.channels, known.classes)
    loaded = _load_file(data)
    height, width, channels = loaded.train.pixels.shape[1:]
    return Outline(len(loaded.train), len(loaded.test), height, width, channels, loaded.classes)


def load(
    data: str,
    validation_fraction: float,
    folder: str = CACHE,
    crop_padding: int | None = None,
    flip: bool | None = None,
) -> DataSet:
    """Load a data set and hold out round(validation_fraction * n) of its n training images.

    Which images are held out depends on nothing but their number.

    Args:
        data: A name of :data:`PUBLISHED`, optionally with ``-<side>px`` for images averaged over blocks to this side,
            and with ``-first<n>`` for only the first n training images; or a pinned file.
        validation_fraction: In [0, 1).
        folder: Where torchvision's data sets are kept.
        crop_padding: Instead of the data set's own.
        flip: Instead of the data set's own.

    Raises:
        ValueError: If there is no such data, or it is not usable; one sentence for the user.
    """
    count = training_images(data, validation_fraction)
    loaded = _load_file(data) if _is_file(data) else _load_named(_named(data), folder)
    if crop_padding is not None:
        loaded = replace(loaded, crop_padding=crop_padding)
    if flip is not None:
        loaded = replace(loaded, flip=flip)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(loaded.train))
    train, held_out = np.sort(order[len(order) - count :]), np.sort(order[: len(order) - count])
    return replace(loaded, train=loaded.train[train], validation=loaded.train[held_out])


def _is_file(data: str) -> bool:
    return data.endswith(".npz") or PINNED.fullmatch(data) is not None


def _named(data: str) -> _Named:
    match = NAME.fullmatch(data)
    if not match or match["name"] not in PUBLISHED:
        known = f"the data sets are: {', '.join(PUBLISHED)}; or name a file that ends in .npz"
        raise ValueError(f"unknown data set {data!r}; {known}")
    published = PUBLISHED[match["name"]]
    side, first = (int(match[part]) if match[part] else None for part in ("side", "first"))
    if side is not None and (not 0 < side <= published.side or published.side % side):
        raise ValueError(f"side {side} of {data!r}: images of {published.side} pixels average to a divisor of that")
    if first is not None and not 0 < first <= published.images:
        raise ValueError(f"{data!r} asks for the first {first} of {published.images} training images")
    return _Named(match["name"], side, first)


def _load_named(named: _Named, folder: str) -> DataSet:
    published = PUBLISHED[named.name]
    if named.name == "digits":
        train, test = _digits()
    else:
        from trainables.vision import load_images

        train, test = load_images(named.name, folder)
        _check(named.name, train, test, published.classes)
        if len(train) != published.images:
            raise ValueError(f"{named.name} has {published.images} training images, but {len(train)} were found")
    train = train[: named.first]
    padding = published.crop_padding
    if named.side is not None:
        train, test = (Images(_averaged(split.pixels, named.side), split.labels) for split in (train, test))
        padding = round(padding * named.side / published.side)
    if published.mean and published.std:
        mean, std = (tuple(255 * value for value in values) for values in (published.mean, published.std))
    else:
        mean, std = _statistics(train)
    return DataSet(train, test[:0], test, published.classes, mean, std, padding, published.flip)


def _averaged(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Means over square blocks, rounded to whole pixels."""
    block = pixels.shape[1] // side
    blocks = pixels.reshape(len(pixels), side, block, side, block, -1)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)


def _statistics(train: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel, in pixel units."""
    values = np.arange(256)
    counts = [np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(train.pixels, -1, 0)]
    means = tuple(float(np.average(values, weights=count)) for count in counts)
    variances = (np.average((values - mean) ** 2, weights=count) for mean, count in zip(means, counts, strict=True))
    return means, tuple(float(variance) ** 0.5 for variance in variances)


def _digits() -> tuple[Images, Images]:
    """Load 1,797 handwritten digits of 8x8 pixels in 0..16 (Alpaydin and Kaynak 1998, UCI, CC BY 4.0).

    They come in the order of their writers, so they are shuffled, always in the same way, before they are divided.
    """
    with files("trainables").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        everything = Images(arrays["images"][..., None], arrays["labels"].astype(np.int64))
    everything = everything[np.random.default_rng(SPLIT_SEED).permutation(len(everything))]
    training = PUBLISHED["digits"].images
    return everything[:training], everything[training:]


def _load_file(data: str) -> DataSet:
    match = PINNED.fullmatch(data)
    assert match, data
    path = Path(match["path"])
    content = _read(path)
    if _hash(content) != match["hash"]:
        raise ValueError(f"{path} has changed since the sweep was made; name it again to sweep what it holds now")
    train, test, classes = _arrays(path, content)
    mean, std = _statistics(train)
    if 0 in std:
        raise ValueError(f"{path}: channel {std.index(0)} of x_train is the same in all pixels; remove it")
    return DataSet(train, test[:0], test, classes, mean, std, crop_padding=0, flip=False)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); every node reads its own copy there") from None


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=10).hexdigest()


def _arrays(path: Path, content: bytes) -> tuple[Images, Images, int]:
    """Training and test images of a file, and the number of classes."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file]
            arrays = {name: file[name] for name in ARRAYS if name in file}
    except Exception as error:  # numpy and zipfile raise many kinds, by what they find
        raise ValueError(f"{path} is not a file of arrays that numpy.savez wrote, or damaged ({error})") from None
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it needs the arrays {', '.join(ARRAYS)}")
    splits = []
    for name in ("train", "test"):
        pixels, labels = arrays[f"x_{name}"], arrays[f"y_{name}"]
        if pixels.ndim == 3:
            pixels = pixels[..., None]
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            said = "they are one whole number for each image"
            raise ValueError(f"{path}: labels y_{name} have shape {labels.shape} and type {labels.dtype}; {said}")
        splits.append(Images(pixels, labels.astype(np.int64)))
    train, test = splits
    classes = int(train.labels.max(initial=-1)) + 1
    _check(str(path), train, test, classes)
    return train, test, classes


def _check(where: str, train: Images, test: Images, classes: int) -> None:
    """Raise ValueError unless these are usable images and labels."""
    for name, split in (("train", train), ("test", test)):
        shape, kind = split.pixels.shape, split.pixels.dtype
        if kind != np.uint8 or len(shape) != 4 or 0 in shape:
            said = f"x_{name} has shape {shape} and type {kind}"
            raise ValueError(f"{where}: {said}; it is uint8, images by height by width, channels last or absent")
        if shape[1] in (1, 3) and shape[3] not in (1, 3, 4):
            raise ValueError(f"{where}: x_{name} has shape {shape}, with the channels before the pixels; put them last")
        if len(split.labels) != shape[0]:
            raise ValueError(f"{where}: x_{name} holds {shape[0]} images, but y_{name} {len(split.labels)} labels")
        wrong = split.labels[(split.labels < 0) | (split.labels >= classes)]
        if len(wrong):
            raise ValueError(f"{where}: label {wrong[0]} in y_{name} is not in 0 to {classes - 1}, as in y_train")
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        shapes = f"{train.pixels.shape[1:]} and {test.pixels.shape[1:]}"
        raise ValueError(f"{where}: images of x_train and x_test have different shapes, {shapes}")
    if classes < 2:
        raise ValueError(f"{where}: y_train holds one label only; classification needs two")
