"""What kinds of data have in common that are made from other data: a suffix of the other's name, as ``-first1000``."""

import os
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from trainables.data.images import Normalisation, Outline
from trainables.data.kind import FIRST, Kind
from trainables.data.text.pairs import TextOutline

COMPONENTS, MANIFOLD = "components", "manifold"

SUFFIX = re.compile(rf"(?P<base>.+)-(?P<how>{COMPONENTS}|{MANIFOLD}|{FIRST})(?P<number>[0-9]+)")


def without_suffixes(data: str) -> str:
    """Name of the data that images of a name come from in the end; of names without a suffix the same."""
    match = SUFFIX.fullmatch(data)
    return without_suffixes(match["base"]) if match else data


class Suffixed(NamedTuple):
    """A name taken apart.

    Attributes:
        base: Name of the data that the images come from.
        how: What is made of them, and the suffix that says so.
        number: Of dimensions or images.
    """

    base: str
    how: str
    number: int

    @property
    def suffix(self) -> str:
        """What the name ends in."""
        return f"-{self.how}{self.number}"


class MadeFrom(Kind):
    """Names are those of other data with a suffix; they are pinned if the other's are.

    Args:
        kinds: Gives all kinds of data, of which others can be made, this one among them.

    Attributes:
        hows: Suffixes of this kind.
        number_of: What their number is, for a person.
    """

    hows: ClassVar[tuple[str, ...]]
    number_of: ClassVar[str]

    def __init__(self, kinds: Callable[[], Sequence[Kind]]) -> None:
        self._kinds = kinds

    @abstractmethod
    def check(self, data: str, kind: Kind, found: Suffixed) -> None:
        """Raise ValueError, in one sentence for the user, unless there can be such data of others.

        Args:
            data: The whole name, for a person.
            kind: Of the others.
            found: The name taken apart, with the others pinned.
        """

    def takes(self, data: str) -> bool:
        """Names with the suffix, of data that another kind takes."""
        return self._found(data) is not None

    def is_pinned(self, data: str) -> bool:
        """As the data that they come from."""
        kind, found = self.parts(data)
        return kind.is_pinned(found.base)

    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """As :meth:`Kind.pin`: the data that they come from, with the suffix."""
        kind, found = self.parts(data)
        found = found._replace(base=kind.pin(found.base, folder, image_size))
        self.check(data, kind, found)
        return found.base + found.suffix

    def content_name(self, data: str) -> str:
        """As the data that they come from, with the suffix."""
        kind, found = self.parts(data)
        return kind.content_name(found.base) + found.suffix

    def normalisation(self, data: str, folder: str) -> Normalisation:
        """As :meth:`Kind.normalisation`; that of the data that they come from must be known here."""
        kind, found = self.parts(data)
        kind.normalisation(found.base, folder)
        return super().normalisation(data, folder)

    def parts(self, data: str) -> tuple[Kind, Suffixed]:
        """Kind of the data that they come from, and the name taken apart; ValueError if that cannot be."""
        found = self._found(data)
        assert found, data
        if found[0].holds != self.holds:
            said = f"these are {found[0].holds}, and {self.number_of} is of images"
            raise ValueError(f"{data}: {said}; leave {found[1].suffix} out")
        inner: tuple[Kind, Suffixed] | None = found
        while inner and isinstance(inner[0], MadeFrom):
            if inner[0] is self:
                raise ValueError(f"{data} has {self.number_of} twice; leave one of the two out")
            inner = inner[0]._found(inner[1].base)
        return found

    def _found(self, data: str) -> tuple[Kind, Suffixed] | None:
        """The same; None if there is no such suffix, or it is the end of a folder's own name, or the other kind's."""
        match = SUFFIX.fullmatch(data)
        if not match or match["how"] not in self.hows:
            return None
        base = match["base"]
        kind = next((kind for kind in self._kinds() if kind.takes(base)), None)
        if kind is None or match["how"] in kind.own_suffixes:
            return None
        if not kind.is_pinned(base) and os.path.isdir(os.path.expanduser(data)):
            return None
        return kind, Suffixed(base, match["how"], int(match["number"]))


def of_images(found: Outline | TextOutline) -> Outline:
    """Sizes of data that are known to be images."""
    assert isinstance(found, Outline)
    return found
