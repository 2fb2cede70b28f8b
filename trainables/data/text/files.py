"""Reading files of sentences, one a line, and choosing from them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from trainables.data.kind import OWN_COPY

LAYOUT = (
    "a text is train.de, train.en, test.de and test.en for de-en, a sentence a line; valid.de and valid.en may be there"
)

CHUNK = 2**20
"""Bytes that are looked through at a time."""

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
            first = chosen.first if split == "train" else None
            is_there = split != "valid" or self._has_valid()
            found[split] = [*islice(self._pairs(split, chosen.words), first)] if is_there else []
            if chosen.words is not None and is_there and not found[split]:
                said = f"none of its {split} pairs has at most {chosen.words} words on both sides"
                raise ValueError(f"{self.folder}: {said}; allow more")
        if chosen.first is not None and chosen.first > len(found["train"]):
            raise ValueError(f"{self.folder} has {len(found['train'])} training pairs, not {chosen.first}")
        return found

    def path(self, split: str, language: str) -> Path:
        """File of a split in a language."""
        return self.folder / f"{split}.{language}"

    def _has_valid(self) -> bool:
        return any(self.path("valid", language).exists() for language in (self.source, self.target))

    def _pairs(self, split: str, words: int | None) -> Iterator[tuple[int, str, str]]:
        """Pairs one by one: of a large text only those are in memory that are taken."""
        paths = [self.path(split, language) for language in (self.source, self.target)]
        counts = [_count(path) for path in paths]
        if counts[0] != counts[1]:
            said = " lines and ".join(f"{path.name} has {count}" for path, count in zip(paths, counts, strict=True))
            raise ValueError(f"{self.folder}: {said}; line by line they are translations")
        for number, (source, target) in enumerate(zip(*map(_lines, paths), strict=True), start=1):
            if words is None or max(len(source.split()), len(target.split())) <= words:
                yield number, source, target


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


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; {LAYOUT}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); {OWN_COPY}") from None


def _count(path: Path) -> int:
    """Number of lines of a file, which is not empty."""
    found, last, is_empty = 0, b"", True
    with _opened(path) as file:
        while chunk := file.read(CHUNK):
            found, last, is_empty = found + chunk.count(b"\n"), chunk, is_empty and not chunk.strip()
    if is_empty:
        raise ValueError(f"{path} is empty")
    return found + (not last.endswith(b"\n"))


def _lines(path: Path) -> Iterator[str]:
    """Lines of a file, without what ends them: no other sign than a newline, and what stands before it on Windows."""
    with _opened(path) as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError:
                raise ValueError(f"{path} is not UTF-8 in line {number}; convert it") from None
            if not line.strip():
                raise ValueError(f"{path} has an empty line, {number}; take it out of both languages")
            yield line
