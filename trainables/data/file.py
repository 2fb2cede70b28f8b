"""Users' own data: a file of arrays, known by its content."""

import io
import os
import re
from pathlib import Path

import numpy as np

from trainables.data.images import DataSet, Images, Outline, channel_statistics, check_images, sizes
from trainables.data.kind import OWN_COPY, Kind, content_hash, has_own_size

ARRAYS = ("x_train", "y_train", "x_test", "y_test")

PINNED = re.compile(r"(?P<path>.+\.npz)#(?P<images>[0-9]+)-(?P<hash>[0-9a-f]{20})")
"""A file's path with the number of its training images and a hash of its content."""


class File(Kind):
    """The kind."""

    def takes(self, data: str) -> bool:
        """Names that end in .npz, or are pinned."""
        return data.endswith(".npz") or self.is_pinned(data)

    def is_pinned(self, data: str) -> bool:
        """As :data:`PINNED`."""
        return PINNED.fullmatch(data) is not None

    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """As :meth:`Kind.pin`: ``images.npz`` becomes ``/where/it/is/images.npz#<training images>-<hash>``."""
        has_own_size(data, image_size)
        if self.is_pinned(data):
            return data
        path = Path(os.path.expanduser(data)).absolute()
        content = _read(path)
        train, _, _ = _arrays(path, content)
        return f"{path}#{len(train)}-{content_hash(content)}"

    def content_name(self, data: str) -> str:
        """What it holds, not where it lies."""
        return "npz#{images}-{hash}".format(**_match(data))

    def samples(self, data: str) -> int:
        """From the name."""
        return int(_match(data)["images"])

    def outline(self, data: str) -> Outline:
        """From the file."""
        loaded = self.load(data, "")
        return sizes(loaded.train, loaded.test, loaded.classes)

    def load(self, data: str, folder: str) -> DataSet:
        """As :meth:`Kind.load`."""
        match = _match(data)
        path = Path(match["path"])
        content = _read(path)
        if content_hash(content) != match["hash"]:
            raise ValueError(f"{path} has changed since the sweep was made; name it again to sweep what it holds now")
        train, test, classes = _arrays(path, content)
        mean, std = channel_statistics(train)
        if 0 in std:
            raise ValueError(f"{path}: channel {std.index(0)} of x_train has the same value in all pixels")
        return DataSet(train, test[:0], test, classes, mean, std, crop_padding=0, flip=False)


def _match(data: str) -> dict[str, str]:
    match = PINNED.fullmatch(data)
    assert match, data
    return match.groupdict()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); {OWN_COPY}") from None


def _arrays(path: Path, content: bytes) -> tuple[Images, Images, int]:
    """Training and test images of a file, and the number of classes."""
    try:
        if not content.startswith(b"PK"):
            raise ValueError("it is no zip archive")
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
        if labels.shape[1:] == (1,):
            labels = labels[:, 0]
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            said = "they are one whole number for each image"
            raise ValueError(f"{path}: labels y_{name} have shape {labels.shape} and type {labels.dtype}; {said}")
        if labels.max(initial=0) > np.iinfo(np.int64).max:
            raise ValueError(f"{path}: label {labels.max()} in y_{name} is too large; number the labels from 0")
        splits.append(Images(pixels, labels.astype(np.int64)))
    train, test = splits
    classes = int(train.labels.max(initial=-1)) + 1
    check_images(str(path), train, test, classes)
    return train, test, classes
