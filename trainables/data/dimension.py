"""Images of fewer dimensions than others have, or on a random manifold: a suffix of a data set's name."""

from trainables.data.components import projected
from trainables.data.decoded import cache_of
from trainables.data.images import DataSet, Images, Outline, channel_statistics
from trainables.data.kind import Kind, content_hash
from trainables.data.made_from import COMPONENTS, MANIFOLD, MadeFrom, Suffixed, of_images
from trainables.data.manifold import random_manifold
from trainables.data.mapped import kept
from trainables.data.memory import check_bytes

GENERATORS = {"principal-components": COMPONENTS, "random-manifold": MANIFOLD}
"""How data get a dimension, and the suffix that says so."""

MAKING = 1
"""Raised when images begin to be made otherwise: those that a machine has kept are then made again."""

FLOAT_BYTES = 4


def with_dimension(data: str, generator: str, dimension: float) -> str:
    """Name of data of another dimension, by one of :data:`GENERATORS`."""
    return f"{data}-{GENERATORS[generator]}{int(dimension)}"


class OfDimension(MadeFrom):
    """The kind: of any other kind, with ``-components16`` or ``-manifold16`` at the end of the name.

    Images are float32. No random shift or mirroring is their own, which would lead out of the dimensions.
    """

    hows = (COMPONENTS, MANIFOLD)
    number_of = "a dimension"

    def check(self, data: str, kind: Kind, found: Suffixed) -> None:
        """As :meth:`MadeFrom.check`: the dimension must be one of theirs."""
        own = of_images(kind.outline(found.base))
        pixels = own.height * own.width * own.channels
        if not 1 <= found.number <= min(own.train, pixels):
            at_most = f"it is from 1 to the smaller of {own.train} training images and {pixels} numbers of an image"
            raise ValueError(f"dimension {found.number} of {data!r}: {at_most}")

    def samples(self, data: str) -> int:
        """As many as they come from."""
        kind, found = self.parts(data)
        return kind.samples(found.base)

    def outline(self, data: str) -> Outline:
        """That of the data that they come from."""
        kind, found = self.parts(data)
        return of_images(kind.outline(found.base))

    def load(self, data: str, folder: str) -> DataSet:
        """As :meth:`Kind.load`; made once on each machine, and then in files that are not read yet."""
        kind, found = self.parts(data)
        self.check(data, kind, found)
        own = of_images(kind.outline(found.base))

        def made() -> tuple[Images, Images]:
            floats = FLOAT_BYTES * own.height * own.width * own.channels
            check_bytes(data, floats * own.train, floats * own.test)
            if found.how == MANIFOLD:
                return random_manifold(own, found.number)
            loaded = kind.load(found.base, folder)
            assert isinstance(loaded, DataSet)
            return projected(loaded, found.number)

        content = content_hash(f"{MAKING}/{self.content_name(data)}".encode())
        train, test = kept(f"{found.how}{found.number}-{content}", cache_of(folder), made)
        mean, std = channel_statistics(train)
        if 0 in std:
            raise ValueError(f"{data}: channel {std.index(0)} of the training images has the same value in all pixels")
        return DataSet(train, test[:0], test, own.classes, mean, std, crop_padding=0, flip=False)
