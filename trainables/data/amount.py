"""Fewer images than others have, the first ones: a suffix of a data set's name."""

from dataclasses import replace

from trainables.data.images import DataSet, Outline, channel_statistics
from trainables.data.kind import FIRST, Kind
from trainables.data.made_from import MadeFrom, Suffixed, of_images


class FirstImages(MadeFrom):
    """The kind: of what is the user's own, or has a dimension, with ``-first1000`` at the end of the name.

    Of what has a dimension, which all images decide, the first ones are taken. As with those by name, whose own suffix
    does the same: mean and standard deviation are those of the images that are taken, the number of classes is that of
    all, also where the first ones lack some, and test images are not fewer.
    """

    hows = (FIRST,)
    number_of = "a number of images"

    def check(self, data: str, kind: Kind, found: Suffixed) -> None:
        """As :meth:`MadeFrom.check`: there must be so many."""
        there = kind.samples(found.base)
        if not 1 <= found.number <= there:
            said = f"{data!r} asks for the first {found.number} of {there} training images"
            raise ValueError(f"{said}; it is from 1 to as many as there are")

    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """As :meth:`Kind.pin`; all of the images are the data that they come from."""
        kind, found = self.parts(super().pin(data, folder, image_size))
        return found.base if found.number == kind.samples(found.base) else found.base + found.suffix

    def samples(self, data: str) -> int:
        """From the name."""
        return self.parts(data)[1].number

    def first(self, data: str, number: int) -> str:
        """As :meth:`Kind.first`; another number takes the place of the one that the name has."""
        kind, found = self.parts(data)
        return kind.first(found.base, number)

    def outline(self, data: str) -> Outline:
        """That of the data that they come from, with fewer training images."""
        kind, found = self.parts(data)
        return replace(of_images(kind.outline(found.base)), train=found.number)

    def load(self, data: str, folder: str) -> DataSet:
        """As :meth:`Kind.load`."""
        kind, found = self.parts(data)
        self.check(data, kind, found)
        loaded = kind.load(found.base, folder)
        assert isinstance(loaded, DataSet)
        train = loaded.train[: found.number]
        mean, std = channel_statistics(train)
        if 0 in std:
            raise ValueError(
                f"{data}: channel {std.index(0)} of these training images has the same value in all pixels"
            )
        return replace(loaded, train=train, mean=mean, std=std)
