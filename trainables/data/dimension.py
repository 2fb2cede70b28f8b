"""Images of fewer dimensions than others have, or on a random manifold: a suffix of a data set's name."""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from trainables.data.components import projected
from trainables.data.decoded import cache_of
from trainables.data.images import DataSet, Images, Normalisation, Outline, channel_statistics
from trainables.data.kind import Kind, content_hash
from trainables.data.manifold import random_manifold
from trainables.data.mapped import kept
from trainables.data.memory import check_bytes
from trainables.data.text.pairs import TextOutline

COMPONENTS, MANIFOLD = "components", "manifold"

GENERATORS = {"principal-components": COMPONENTS, "random-manifold": MANIFOLD}
"""How data get a dimension, and the suffix that says so."""

SUFFIX = re.compile(rf"(?P<base>.+)-(?P<how>{COMPONENTS}|{MANIFOLD})(?P<dimension>[0-9]+)")

MAKING = 1
"""Raised when images begin to be made otherwise: those that a machine has kept are then made again."""

FLOAT_BYTES = 4


class Suffixed(NamedTuple):
    """A name taken apart.

    Attributes:
        base: Name of the data that the images come from.
        how: :data:`COMPONENTS` or :data:`MANIFOLD`.
        dimension: Of the images that are wanted.
    """

    base: str
    how: str
    dimension: int

    @property
    def suffix(self) -> str:
        """What the name ends in."""
        return f"-{self.how}{self.dimension}"


def with_dimension(data: str, generator: str, dimension: float) -> str:
    """Name of data of another dimension, by one of :data:`GENERATORS`."""
    return f"{data}-{GENERATORS[generator]}{int(dimension)}"


def without_dimension(data: str) -> str:
    """Name of the data that images of a pinned name come from; of names without a suffix the same."""
    match = SUFFIX.fullmatch(data)
    return match["base"] if match else data


class OfDimension(Kind):
    """The kind: of any other kind, with ``-components16`` or ``-manifold16`` at the end of the name.

    Images are float32. No random shift or mirroring is their own, which would lead out of the dimensions.

    Args:
        kinds: The others.
    """

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds

    def takes(self, data: str) -> bool:
        """Names with the suffix, of data that another kind takes."""
        return self._found(data) is not None

    def is_pinned(self, data: str) -> bool:
        """As the data that they come from."""
        kind, found = self._parts(data)
        return kind.is_pinned(found.base)

    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """As :meth:`Kind.pin`: the data that they come from, with the suffix; the dimension must be one of theirs."""
        kind, found = self._parts(data)
        base = kind.pin(found.base, folder, image_size)
        self._check_dimension(data, found.dimension, _images(kind.outline(base)))
        return base + found.suffix

    def content_name(self, data: str) -> str:
        """As the data that they come from, with the suffix."""
        kind, found = self._parts(data)
        return kind.content_name(found.base) + found.suffix

    def samples(self, data: str) -> int:
        """As many as they come from."""
        kind, found = self._parts(data)
        return kind.samples(found.base)

    def outline(self, data: str) -> Outline:
        """That of the data that they come from."""
        kind, found = self._parts(data)
        return _images(kind.outline(found.base))

    def normalisation(self, data: str, folder: str) -> Normalisation:
        """As :meth:`Kind.normalisation`; that of the data that they come from must be known here."""
        kind, found = self._parts(data)
        kind.normalisation(found.base, folder)
        return super().normalisation(data, folder)

    def load(self, data: str, folder: str) -> DataSet:
        """As :meth:`Kind.load`; made once on each machine, and then in files that are not read yet."""
        kind, found = self._parts(data)
        own = _images(kind.outline(found.base))
        self._check_dimension(data, found.dimension, own)

        def made() -> tuple[Images, Images]:
            floats = FLOAT_BYTES * own.height * own.width * own.channels
            check_bytes(data, floats * own.train, floats * own.test)
            if found.how == MANIFOLD:
                return random_manifold(own, found.dimension)
            loaded = kind.load(found.base, folder)
            assert isinstance(loaded, DataSet)
            return projected(loaded, found.dimension)

        content = content_hash(f"{MAKING}/{self.content_name(data)}".encode())
        train, test = kept(f"{found.how}{found.dimension}-{content}", cache_of(folder), made)
        mean, std = channel_statistics(train)
        if 0 in std:
            raise ValueError(f"{data}: channel {std.index(0)} of the training images has the same value in all pixels")
        return DataSet(train, test[:0], test, own.classes, mean, std, crop_padding=0, flip=False)

    def _parts(self, data: str) -> tuple[Kind, Suffixed]:
        """Kind of the data that they come from, and the name taken apart; ValueError if that has a suffix, too."""
        found = self._found(data)
        assert found, data
        if found[0].holds != self.holds:
            said = f"these are {found[0].holds}, and a dimension is of images"
            raise ValueError(f"{data}: {said}; leave {found[1].suffix} out")
        if found[0] is self:
            raise ValueError(f"{data} has a dimension twice; leave one of the two out")
        return found

    def _found(self, data: str) -> tuple[Kind, Suffixed] | None:
        """The same; None if there is no such suffix, or it is the end of a folder's own name."""
        match = SUFFIX.fullmatch(data)
        if not match:
            return None
        base = match["base"]
        kind = next((kind for kind in (self, *self._kinds) if kind.takes(base)), None)
        if kind is None or (not kind.is_pinned(base) and os.path.isdir(os.path.expanduser(data))):
            return None
        return kind, Suffixed(base, match["how"], int(match["dimension"]))

    @staticmethod
    def _check_dimension(data: str, dimension: int, own: Outline) -> None:
        pixels = own.height * own.width * own.channels
        if not 1 <= dimension <= min(own.train, pixels):
            at_most = f"it is from 1 to the smaller of {own.train} training images and {pixels} numbers of an image"
            raise ValueError(f"dimension {dimension} of {data!r}: {at_most}")


def _images(found: Outline | TextOutline) -> Outline:
    assert isinstance(found, Outline)
    return found
