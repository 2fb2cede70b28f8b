"""Images that were decoded once on a machine: arrays in files, named by what they hold.

In the folder of data lies ``decoded/<hash>/`` with ``x_train.npy`` and the others, and ``about.json``. It may be
deleted at any time; what is needed is decoded again.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.data.images import DataSet, Images, Outline, channel_statistics, check_images, sizes
from trainables.data.mapped import mapped_splits
from trainables.data.memory import check_bytes
from trainables.data.pictures import Picture
from trainables.data.showing import showing

GROUP = 256
"""Images that are written, hashed or decoded at a time."""

PINNED = re.compile(
    r"(?P<place>.+)#(?P<train>[0-9]+)\+(?P<test>[0-9]+)-(?P<height>[0-9]+)x(?P<width>[0-9]+)x(?P<channels>[0-9]+)"
    r"-(?P<classes>[0-9]+)-(?P<hash>[0-9a-f]{20})"
)
"""A place with what decoded images from it were: training and test images, shape, classes, and a hash of it all."""


class Example(NamedTuple):
    """An image with its label.

    Attributes:
        picture: The image.
        label: Its class.
        name: For a person.
    """

    picture: Picture
    label: int
    name: str


class Examples(NamedTuple):
    """A split of a data set.

    Attributes:
        number: Of examples.
        examples: In their order, decoded when it is their turn.
    """

    number: int
    examples: Iterable[Example]


@dataclass(frozen=True)
class Decoded:
    """What decoded images are.

    Attributes:
        outline: Their sizes.
        hash: Of pixels, labels and number of classes: twenty hexadecimal digits.
    """

    outline: Outline
    hash: str

    @property
    def image_size(self) -> int | None:
        """That to which images may have been brought: what is square was, or had that size already."""
        return self.outline.height if self.outline.height == self.outline.width else None

    def __str__(self) -> str:
        own = self.outline
        shape = f"{own.height}x{own.width}x{own.channels}"
        return f"{own.train}+{own.test}-{shape}-{own.classes}-{self.hash}"


def is_pinned(name: str) -> bool:
    """Whether a name says what decoded images are."""
    return PINNED.fullmatch(name) is not None


def pinned(name: str) -> tuple[str, Decoded]:
    """Take a pinned name apart into its place and what is there."""
    match = PINNED.fullmatch(name)
    assert match, name
    sizes = {size: int(value) for size, value in match.groupdict().items() if size not in ("place", "hash")}
    return match["place"], Decoded(Outline(**sizes), match["hash"])


def cache_of(folder: str) -> Path:
    """Where in the folder of data decoded images are kept."""
    return Path(os.path.expanduser(folder)).absolute() / "decoded"


def load_decoded(known: Decoded, base: Path) -> DataSet:
    """Open decoded images, in files that are not read yet; no image is held out.

    Raises:
        FileNotFoundError: If they are not there.
        ValueError: If they are damaged; one sentence for the user.
    """
    place = base / known.hash
    if not place.is_dir():
        raise FileNotFoundError(place)
    try:
        about = json.loads((place / "about.json").read_text())
        splits = mapped_splits(place)
        return DataSet(
            splits[0],
            splits[0][:0],
            splits[1],
            known.outline.classes,
            tuple(about["mean"]),
            tuple(about["std"]),
            crop_padding=0,
            flip=False,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"decoded images in {place} are damaged ({error}); remove that folder") from None


def decode(splits: Mapping[str, Examples], classes: int | None, where: str, temporary: Path, base: Path) -> Decoded:
    """Write decoded images, one channel if none of them has colours, and put them in their place.

    Args:
        splits: ``train`` and ``test``.
        classes: Number of classes; counted in ``train`` if None.
        where: The data's name, for a person.
        temporary: An empty folder.
        base: :func:`cache_of`.

    Raises:
        ValueError: If the images are not usable together; one sentence for the user.
    """
    own = temporary / "decoded"
    own.mkdir()
    with showing(f"Decoding {where}", sum(split.number for split in splits.values())) as advance:
        writing = _Writing(where, own, advance, [split.number for split in splits.values()])
        for name, split in splits.items():
            writing.write(name, split)
    if writing.all_grey:
        for name in splits:
            _keep_one_channel(own / f"x_{name}.npy")
    train, test = (Images(*(np.load(own / f"{kind}_{name}.npy", mmap_mode="r") for kind in "xy")) for name in splits)
    counted = int(train.labels.max()) + 1 if classes is None else classes
    check_images(where, train, test, counted, all_there=classes is None)
    mean, std = channel_statistics(train)
    if 0 in std:
        raise ValueError(f"{where}: channel {std.index(0)} of the training images has the same value in all pixels")
    outline = sizes(train, test, counted)
    decoded = Decoded(outline, _hash(outline, train, test))
    (own / "about.json").write_text(json.dumps({"from": where, **asdict(outline), "mean": mean, "std": std}))
    try:
        os.rename(own, base / decoded.hash)
    except OSError:
        if not (base / decoded.hash).is_dir():
            raise  # else they are there already, of another place with the same images
    return decoded


@contextmanager
def cache_errors(base: Path, what: str = "decoded images") -> Iterator[None]:
    """Turn errors of the file system into one sentence for the user, in which this is called so."""
    try:
        yield
    except OSError as error:
        said = f"{what} cannot be kept in {base} ({error.strerror or error})"
        raise ValueError(f"{said}; make room there, or name another folder with --data-folder") from None


class _Writing:
    """Writes splits of images that all have one shape.

    Attributes:
        all_grey: Whether no image so far has colours.
    """

    def __init__(self, where: str, folder: Path, advance: Callable[[int], None], numbers: Sequence[int]) -> None:
        self._where, self._folder, self._advance, self._numbers = where, folder, advance, numbers
        self._first: Example | None = None
        self.all_grey = True

    def write(self, name: str, split: Examples) -> None:
        """Write a split, with three channels."""
        labels: list[int] = []
        examples = iter(split.examples)
        with open(self._folder / f"x_{name}.npy", "wb") as file:
            while group := list(islice(examples, GROUP)):
                for example in group:
                    self._check(example)
                pixels = np.stack([example.picture.pixels for example in group])
                if not labels:
                    channels = 1 if self.all_grey else 3
                    train, test = (pixels[0, ..., :channels].size * number for number in self._numbers)
                    check_bytes(self._where, train, test)
                    _header(file, (split.number, *pixels.shape[1:]))
                file.write(pixels.tobytes())
                labels += [example.label for example in group]
                self._advance(len(group))
        if not labels:
            raise ValueError(f"{self._where} has no {'training' if name == 'train' else name} images")
        np.save(self._folder / f"y_{name}.npy", np.array(labels, dtype=np.int64))

    def _check(self, example: Example) -> None:
        self._first = self._first or example
        first, other = (each.picture.pixels.shape[:2] for each in (self._first, example))
        if first != other:
            said = f"{self._first.name} has {first[0]}x{first[1]} and {example.name} {other[0]}x{other[1]}"
            raise ValueError(
                f"{self._where}: images differ in height x width, {said} pixels; bring them to one with --image-size"
            )
        self.all_grey &= example.picture.is_grey


def _header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_2_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _keep_one_channel(path: Path) -> None:
    pixels, one = np.load(path, mmap_mode="r"), path.with_suffix(".grey")
    with open(one, "wb") as file:
        _header(file, (*pixels.shape[:3], 1))
        for first in range(0, len(pixels), GROUP):
            file.write(pixels[first : first + GROUP, ..., 0].tobytes())
    os.replace(one, path)


def _hash(outline: Outline, train: Images, test: Images) -> str:
    hashed = hashlib.blake2b(json.dumps(asdict(outline), sort_keys=True).encode(), digest_size=10)
    for split in (train, test):
        for first in range(0, len(split), GROUP):
            hashed.update(split.pixels[first : first + GROUP].tobytes())
        hashed.update(_little_endian(split.labels))
    return hashed.hexdigest()


def _little_endian(labels: NDArray[np.int64]) -> bytes:
    return labels.astype("<i8").tobytes()
