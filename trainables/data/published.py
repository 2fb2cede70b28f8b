"""Data sets by the names people write."""

import re
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from trainables.data.images import DataSet, Images, Normalisation, Outline, Pixels, channel_statistics, check_images
from trainables.data.kind import FIRST, Kind, has_own_size

SPLIT_SEED = 20230515
NAME = re.compile(r"(?P<name>[A-Za-z0-9]+?)(-(?P<side>[0-9]+)px)?(-first(?P<first>[0-9]+))?")


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
class Name:
    """A name taken apart.

    Attributes:
        name: Of the data set in :data:`PUBLISHED`.
        side: To which images are averaged; None for as they are.
        first: How many training images; None for all.
    """

    name: str
    side: int | None
    first: int | None


def parse(data: str) -> Name:
    """Take a name apart.

    Raises:
        ValueError: If there is no such data set; one sentence for the user.
    """
    match = NAME.fullmatch(data)
    if not match or match["name"] not in PUBLISHED:
        known = f"the data sets are: {', '.join(PUBLISHED)}, with -14px or -first6000 or both in this order"
        known += ", and -components16 or -manifold16 at the end"
        known += "; or name a file that ends in .npz, a folder of images, or package.module:function"
        raise ValueError(f"unknown data set {data!r}; {known}")
    published = PUBLISHED[match["name"]]
    side, first = (int(match[part]) if match[part] else None for part in ("side", "first"))
    if side is not None and (not 0 < side <= published.side or published.side % side):
        raise ValueError(f"side {side} of {data!r}: images of {published.side} pixels average to a divisor of that")
    if first is not None and not 0 < first <= published.images:
        raise ValueError(f"{data!r} asks for the first {first} of {published.images} training images")
    return Name(match["name"], side, first)


def outline_of(named: Name) -> Outline:
    """Sizes of a data set."""
    known, side = PUBLISHED[named.name], named.side or PUBLISHED[named.name].side
    return Outline(named.first or known.images, known.test_images, side, side, known.channels, known.classes)


def crop_padding_of(named: Name) -> int:
    """Pixels of random shift in augmentation that are its own, in those of the side that is asked for."""
    known = PUBLISHED[named.name]
    return known.crop_padding if named.side is None else round(known.crop_padding * named.side / known.side)


def load_named(named: Name, folder: str) -> DataSet:
    """Load a data set, with no image held out.

    Raises:
        ValueError: If it is not there and cannot be fetched, or is not usable; one sentence for the user.
    """
    published = PUBLISHED[named.name]
    if named.name == "digits":
        train, test = _digits()
    else:
        from trainables.data.torchvision_sets import load_images

        train, test = load_images(named.name, folder)
        check_images(named.name, train, test, published.classes)
        if len(train) != published.images:
            raise ValueError(f"{named.name} has {published.images} training images, but {len(train)} were found")
    train = train[: named.first]
    if named.side is not None:
        train, test = (Images(_averaged(split.pixels, named.side), split.labels) for split in (train, test))
    mean, std = _published_normalisation(published) or channel_statistics(train)
    padding, flip = crop_padding_of(named), published.flip
    return DataSet(train, test[:0], test, published.classes, mean, std, padding, flip)


class Named(Kind):
    """The kind: what comes with the package, or is fetched by torchvision. A name says what it holds."""

    own_suffixes = (FIRST,)

    def takes(self, data: str) -> bool:
        """Names that begin with one of :data:`PUBLISHED`."""
        return re.split("[^A-Za-z0-9]", data)[0] in PUBLISHED and not {"/", ":"}.intersection(data)

    def is_pinned(self, data: str) -> bool:
        """It need not be."""
        return True

    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """As :meth:`Kind.pin`: the name."""
        has_own_size(data, image_size)
        return data

    def samples(self, data: str) -> int:
        """As published."""
        return self.outline(data).train

    def first(self, data: str, number: int) -> str:
        """As :meth:`Kind.first`; another number takes the place of the one that the name has."""
        return f"{data.removesuffix(f'-{FIRST}{parse(data).first}')}-{FIRST}{number}"

    def outline(self, data: str) -> Outline:
        """As published."""
        return outline_of(parse(data))

    def normalisation(self, data: str, folder: str) -> Normalisation:
        """As :meth:`Kind.normalisation`; loaded only where it is not published."""
        return _published_normalisation(PUBLISHED[parse(data).name]) or super().normalisation(data, folder)

    def load(self, data: str, folder: str) -> DataSet:
        """As :meth:`Kind.load`; fetched if it is not in the folder."""
        return load_named(parse(data), folder)


def _published_normalisation(published: Published) -> Normalisation | None:
    """In pixel units; None where the training images say."""
    if published.mean is None or published.std is None:
        return None
    return Normalisation(*(tuple(255 * value for value in values) for values in (published.mean, published.std)))


def _averaged(pixels: Pixels, side: int) -> NDArray[np.uint8]:
    """Means over square blocks, rounded to whole pixels."""
    block = pixels.shape[1] // side
    blocks = pixels.reshape(len(pixels), side, block, side, block, -1)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)


def _digits() -> tuple[Images, Images]:
    """Load 1,797 handwritten digits of 8x8 pixels in 0..16 (Alpaydin and Kaynak 1998, UCI, CC BY 4.0).

    They come in the order of their writers, so they are shuffled, always in the same way, before they are divided.
    """
    with files("trainables").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        everything = Images(arrays["images"][..., None], arrays["labels"].astype(np.int64))
    everything = everything[np.random.default_rng(SPLIT_SEED).permutation(len(everything))]
    training = PUBLISHED["digits"].images
    return everything[:training], everything[training:]
