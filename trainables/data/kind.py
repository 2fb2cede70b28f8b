"""What a kind of data is: how it is named, tied to its content, and loaded. Imports no torch."""

import hashlib
from abc import ABC, abstractmethod
from typing import ClassVar

from trainables.data.images import DataSet, Normalisation, Outline
from trainables.data.text.pairs import ParallelText, TextOutline

FIRST = "first"
"""With a number at the end of a name: so many training samples, the first ones."""

OWN_COPY = "every node reads its own copy there"


def content_hash(content: bytes) -> str:
    """Twenty hexadecimal digits that name a content."""
    return hashlib.blake2b(content, digest_size=10).hexdigest()


class Kind(ABC):
    """Data that are named in one way. A kind is one file with a subclass, and a line of ``KINDS`` in this package.

    A name that is *pinned* says what the data hold, so that results are known by that, and not by where data lie.

    Attributes:
        holds: What the samples are, for a person.
        own_suffixes: Of names of this kind by themselves; of others data are made from those of the name without it
            (:mod:`trainables.data.made_from`).
    """

    holds: ClassVar[str] = "images"
    own_suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def takes(self, data: str) -> bool:
        """Whether a name, pinned or not, is of this kind."""

    @abstractmethod
    def is_pinned(self, data: str) -> bool:
        """Whether a name of this kind says what the data hold."""

    @abstractmethod
    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """Tie a name to what the data hold now.

        Args:
            data: The name; if it is pinned already, it is returned.
            folder: Where what must be kept is kept.
            image_size: Height and width to which images are brought; None for as they are.

        Raises:
            ValueError: If there are no such data, or they are not usable; one sentence for the user.
        """

    def content_name(self, data: str) -> str:
        """What decides results of a pinned name."""
        return data

    @abstractmethod
    def samples(self, data: str) -> int:
        """Number of training samples of a pinned name, known without the data."""

    def first(self, data: str, number: int) -> str:
        """Name of the first so many training samples of a pinned name, from 1 to those that there are."""
        return f"{data}-{FIRST}{number}"

    def validation(self, data: str) -> int:
        """Number of validation samples that a pinned name has beside the training samples."""
        return 0

    @abstractmethod
    def outline(self, data: str) -> Outline | TextOutline:
        """Sizes of the data of a pinned name.

        Raises:
            ValueError: If they must be read for it and cannot; one sentence for the user.
        """

    @abstractmethod
    def load(self, data: str, folder: str) -> DataSet | ParallelText:
        """Load the data of a pinned name, with no training sample held out.

        Raises:
            ValueError: If they are not there, have changed or are not usable; one sentence for the user.
        """

    def normalisation(self, data: str, folder: str) -> Normalisation:
        """Mean and standard deviation of the channels of pinned data; by themselves, no code of the user's is run.

        Raises:
            ValueError: If they are not known on this machine; one sentence for the user.
        """
        loaded = self.load(data, folder)
        assert isinstance(loaded, DataSet)
        return Normalisation(loaded.mean, loaded.std)


def has_own_size(data: str, image_size: int | None) -> None:
    """Raise ValueError if images are to have a size, of data whose images have theirs."""
    if image_size is not None:
        said = "it is for a folder of images or a function; images of these data have their own size"
        raise ValueError(f"--image-size {image_size} with {data}: {said}")
