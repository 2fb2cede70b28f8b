"""Reading files of sentences, one a line, and choosing from them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainables.data.kind import OWN_COPY

LAYOUT = (
    "a text is train.de, train.en, test.de and test.en for de-en, a sentence a line; valid.de and valid.en may be there"
)

Lines = dict[str, list[tuple[int, str, str]]]
"""Number of the line, from 1, source and translation, of the pairs of each split."""


class Selection(NamedTuple):
    """Which pairs of a text are taken.

    Attributes:
        words: At most so many words on either side, in all splits; None for any number.
        first: So many training pairs, the first of those; None for all.
    """

    words: int | None
    first: int | None


@dataclass(frozen=True)
class Files:
    """The files of a text.

    Attributes:
        folder: Where they are.
        source: End of the names of one language's files.
        target: Of the other's.
    """

    folder: Path
    source: str
    target: str

    def read(self, chosen: Selection) -> Lines:
        """Read the pairs that are chosen.

        Returns:
            Those of train, valid and test; of valid none if it is not there.

        Raises:
            ValueError: If they are not as they should be; one sentence for the user.
        """
        if not self.folder.is_dir():
            raise ValueError(f"there is no folder {self.folder}; {LAYOUT}, and {OWN_COPY}")
        found: Lines = {}
        for split in ("train", "valid", "test"):
            found[split] = [] if split == "valid" and not self._has_valid() else self._pairs(split, chosen.words)
            if chosen.words is not None and not found[split] and (split != "valid" or self._has_valid()):
                said = f"none of its {split} pairs has at most {chosen.words} words on both sides"
                raise ValueError(f"{self.folder}: {said}; allow more")
        if chosen.first is not None:
            if chosen.first > len(found["train"]):
                raise ValueError(f"{self.folder} has {len(found['train'])} training pairs, not {chosen.first}")
            found["train"] = found["train"][: chosen.first]
        return found

    def path(self, split: str, language: str) -> Path:
        """File of a split in a language."""
        return self.folder / f"{split}.{language}"

    def _has_valid(self) -> bool:
        return any(self.path("valid", language).exists() for language in (self.source, self.target))

    def _pairs(self, split: str, words: int | None) -> list[tuple[int, str, str]]:
        sides = [_lines(self.path(split, language)) for language in (self.source, self.target)]
        if len(sides[0]) != len(sides[1]):
            counts = (f"{split}.{name} has {len(side)}" for name, side in zip(self._names, sides, strict=True))
            raise ValueError(f"{self.folder}: {' lines and '.join(counts)}; line by line they are translations")
        pairs = ((number, *both) for number, both in enumerate(zip(*sides, strict=True), start=1))
        return [
            (number, source, target)
            for number, source, target in pairs
            if words is None or max(len(source.split()), len(target.split())) <= words
        ]

    @property
    def _names(self) -> tuple[str, str]:
        return self.source, self.target


def content(lines: Lines) -> Iterator[bytes]:
    """All that is chosen, in an order of its own."""
    for split, pairs in lines.items():
        yield f"{split} {len(pairs)}\n".encode()
        for _, source, target in pairs:
            yield f"{source}\n{target}\n".encode()


def content_of(lines: Lines) -> str:
    """Twenty hexadecimal digits that name what is chosen."""
    hashed = hashlib.blake2b(digest_size=10)
    for part in content(lines):
        hashed.update(part)
    return hashed.hexdigest()


def _lines(path: Path) -> list[str]:
    """Lines of a file, without what ends them."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; {LAYOUT}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); {OWN_COPY}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path} is not UTF-8 in line {place}; convert it") from None
    lines = [each.removesuffix("\r") for each in text.removesuffix("\n").split("\n")]  # no other sign ends a line
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            what = "is empty" if len(lines) == 1 else f"has an empty line, {number}; take it out of both languages"
            raise ValueError(f"{path} {what}")
    return lines
