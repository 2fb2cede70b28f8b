"""The kind of data that is a text in two languages: ``text:de-en-words10-first12000-bpe2000``."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from trainables.data.decoded import cache_errors
from trainables.data.images import Normalisation
from trainables.data.kind import FIRST, Kind, content_hash
from trainables.data.staging import alone
from trainables.data.text.files import Files, Lines, Selection, content_of
from trainables.data.text.pairs import Pairs, ParallelText, TextOutline, joined
from trainables.data.text.vocabulary import BEGIN, END, KINDS, LONGEST, Vocabulary, check_installed, learned
from trainables.storage.folder import Folder

DEFAULT_VOCABULARY = "bpe8000"

LARGEST_VOCABULARY = 1_000_000
"""Beyond are typing errors."""

AT_ONCE = 10_000
"""Sentences whose tokens are Python's own numbers at a time, which take ten times the memory of arrays."""

ENDINGS = f"-words10, -first12000 and a vocabulary such as -{DEFAULT_VOCABULARY} or -unigram4000, in this order"

LOOKS_SO = re.compile(r"(?P<folder>.+):(?P<source>[A-Za-z_]+)-(?P<target>[A-Za-z_]+)(?P<endings>([-#][^/:]*)?)")
NAME = re.compile(
    LOOKS_SO.pattern.partition("(?P<endings>")[0]
    + rf"(-words(?P<words>[0-9]+))?(-first(?P<first>[0-9]+))?(-(?P<kind>{'|'.join(KINDS)})(?P<size>[0-9]+))?"
    + r"(#(?P<train>[0-9]+)\+(?P<valid>[0-9]+)\+(?P<test>[0-9]+)-(?P<tokens>[0-9]+)"
    + r"-(?P<text>[0-9a-f]{20})-(?P<vocabulary>[0-9a-f]{20}))?"
)


class Name(NamedTuple):
    """A name taken apart.

    Attributes:
        files: Of the text.
        chosen: Which of its pairs are taken.
        kind: Of the vocabulary.
        size: Of the vocabulary.
        pins: Numbers of pairs and hashes, by what they are of; None if it is not pinned.
    """

    files: Files
    chosen: Selection
    kind: str
    size: int
    pins: dict[str, str] | None


def takes(data: str) -> bool:
    """Whether a name looks like one of a text."""
    return LOOKS_SO.fullmatch(data) is not None


class Parallel(Kind):
    """The kind. Pinned names end in ``#<pairs of train>+<valid>+<test>-<tokens>-<hash>-<hash of the vocabulary>``.

    The vocabulary is learned from the training pairs that are chosen, once on each machine. What decides results is
    these pairs and the vocabulary, not where they lie.
    """

    holds = "sentences"
    own_suffixes = (FIRST,)

    def takes(self, data: str) -> bool:
        """A folder and two languages."""
        return takes(data)

    def is_pinned(self, data: str) -> bool:
        """Whether the name ends as it should."""
        match = NAME.fullmatch(data)
        return match is not None and match["text"] is not None

    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """As :meth:`Kind.pin`; a vocabulary that is not named is :data:`DEFAULT_VOCABULARY`."""
        if image_size is not None:
            raise ValueError(f"--image-size {image_size} with {data}: these are sentences; leave it out")
        name = parsed(data)
        if name.pins is not None:
            return data
        check_installed()
        lines = name.files.read(name.chosen)
        text = content_of(lines)
        model, tokens = _vocabulary(lines, text, name, data, folder)
        files, endings = name.files, [f"{name.kind}{name.size}"]
        for ending, number in reversed(list(zip(("words", "first"), name.chosen, strict=True))):
            endings[:0] = [] if number is None else [f"{ending}{number}"]
        counts = "+".join(str(len(pairs)) for pairs in lines.values())
        ends = "-".join([f"{files.source}-{files.target}", *endings])
        return f"{files.folder}:{ends}#{counts}-{tokens}-{text}-{content_hash(model)}"

    def content_name(self, data: str) -> str:
        """Pairs and vocabulary."""
        name = parsed(data)
        return f"text-{name.kind}{name.size}#{data.rpartition('#')[2]}"

    def samples(self, data: str) -> int:
        """From the name."""
        return self.outline(data).train

    def validation(self, data: str) -> int:
        """From the name."""
        return self.outline(data).validation

    def outline(self, data: str) -> TextOutline:
        """From the name."""
        name = parsed(data)
        assert name.pins, data
        train, valid, test, tokens = (int(name.pins[part]) for part in ("train", "valid", "test", "tokens"))
        return TextOutline(train, valid, test, name.size, tokens)

    def normalisation(self, data: str, folder: str) -> Normalisation:
        """There is none."""
        raise ValueError(f"{data} are sentences")

    def load(self, data: str, folder: str) -> ParallelText:
        """As :meth:`Kind.load`."""
        check_installed()
        name = parsed(data)
        assert name.pins, data
        lines = name.files.read(name.chosen)
        text = content_of(lines)
        if text != name.pins["text"]:
            said = "has changed since the sweep was made; name it again to sweep what it holds now"
            raise ValueError(f"{name.files.folder}: the text {said}")
        model = kept_vocabulary(data, folder) or _vocabulary(lines, text, name, data, folder)[0]
        if content_hash(model) != name.pins["vocabulary"]:
            said = "the vocabulary on this machine is another one than where the sweep was made"
            raise ValueError(f"{data}: {said}; copy {vocabulary_file(data)} from there to {_base(folder)}")
        vocabulary = Vocabulary(model)
        train, valid, test = _encoded(lines, vocabulary, name.files)
        if train.longest.sum() != int(name.pins["tokens"]):
            said = "sentencepiece of this machine makes other tokens of it than where the sweep was made"
            raise ValueError(f"{data}: {said}; install the version that is there")
        return ParallelText(train, valid, test, vocabulary)


def vocabulary_file(data: str) -> str:
    """Name of the file of a pinned text's vocabulary, in the folder of data and among a sweep's artifacts."""
    name = parsed(data)
    assert name.pins, data
    return _vocabulary_file(name.pins["vocabulary"])


def kept_vocabulary(data: str, folder: str) -> bytes | None:
    """Vocabulary of a pinned text, for sentencepiece; None if this machine has none, or a damaged one.

    Args:
        data: The name.
        folder: Where what is fetched or made from data is kept.
    """
    return _kept(_base(folder), vocabulary_file(data))


def keep_vocabulary(model: bytes, folder: str) -> str:
    """Keep a vocabulary on this machine, for all texts that were pinned with it, and give the name of its file."""
    file = _vocabulary_file(content_hash(model))
    _keep(_base(folder) / file, model)
    return file


_SHARED: set[str] = set()
"""Vocabularies that this machine and a sweep's artifacts both have, as far as this process knows."""


def share_vocabulary(data: str, artifacts: Folder, folder: str) -> None:
    """Take the vocabulary of a pinned text from the artifacts of a sweep, or give them this machine's.

    It was learned where the sweep was made; sentencepiece of another version might learn another one.

    Args:
        data: Any data's name; of what is no text nothing is done.
        artifacts: Of the sweep.
        folder: As of :func:`kept_vocabulary`.
    """
    if not takes(data) or (place := artifacts.at(file := vocabulary_file(data))) in _SHARED:
        return
    own, theirs = kept_vocabulary(data, folder), artifacts.read(file)
    if own is None and theirs is None:
        return  # whoever loads the text learns it
    if own is None and theirs is not None:
        keep_vocabulary(theirs, folder)
    if own is not None and theirs is None:
        artifacts.write(file, own)
    _SHARED.add(place)


def _kept(base: Path, file: str) -> bytes | None:
    """Content of a vocabulary's file; None if it is not there, or not what its name says."""
    with suppress(OSError):
        model = (base / file).read_bytes()
        return model if _vocabulary_file(content_hash(model)) == file else None
    return None


def _vocabulary_file(content: str) -> str:
    return f"vocabularies/{content}.model"


def parsed(data: str) -> Name:
    """Take a name apart.

    Raises:
        ValueError: If an end of it is none; one sentence for the user.
    """
    match = NAME.fullmatch(data)
    if match is None:
        looks = LOOKS_SO.fullmatch(data)
        ends = looks["endings"] if looks else data
        raise ValueError(f"{data!r} ends in {ends!r}; after the languages there may be {ENDINGS}")
    if match["source"] == match["target"]:
        raise ValueError(f"{data!r} has one language twice, {match['source']}; name the other one, too")
    kind, size = match["kind"], match["size"]
    if kind is None:
        kind, size = re.fullmatch("([a-z]+)([0-9]+)", DEFAULT_VOCABULARY).groups()  # type: ignore[union-attr]
    words, first = (int(match[part]) if match[part] else None for part in ("words", "first"))
    for what, number in (("words", words), ("first", first), (kind, int(size))):
        if number == 0:
            raise ValueError(f"-{what}0 of {data!r} leaves nothing; take more than 0")
    if int(size) > LARGEST_VOCABULARY:
        raise ValueError(f"a vocabulary of {size} in {data!r} is more than {LARGEST_VOCABULARY}")
    pins = {part: match[part] for part in ("train", "valid", "test", "tokens", "text", "vocabulary")}
    folder = Path(os.path.expanduser(match["folder"])).absolute()
    chosen = Selection(words, first)
    return Name(
        Files(folder, match["source"], match["target"]), chosen, kind, int(size), pins if pins["text"] else None
    )


def _base(folder: str) -> Path:
    return Path(os.path.expanduser(folder)).absolute()


def _vocabulary(lines: Lines, text: str, name: Name, data: str, folder: str) -> tuple[bytes, int]:
    """Vocabulary of the training pairs, and how many tokens these have, the longer sides of pairs.

    It is learned once on each machine, and then all pairs are tried, too.
    """
    base = _base(folder)
    note = base / f"vocabularies/{text}-{name.kind}{name.size}.txt"
    with suppress(OSError, ValueError):
        file, tokens = note.read_text().split()
        if (kept := _kept(base, file)) is not None:
            return kept, int(tokens)
    try:
        model = learned((side for _, *both in lines["train"] for side in both), name.kind, name.size)
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from None
    known = int(_encoded(lines, Vocabulary(model), name.files)[0].longest.sum())
    _keep(note, f"{keep_vocabulary(model, folder)} {known}".encode())
    return model, known


def _keep(path: Path, content: bytes) -> None:
    with cache_errors(path.parent, "a vocabulary"), alone(path.parent, path.stem) as temporary:
        (temporary / path.name).write_bytes(content)
        os.replace(temporary / path.name, path)


def _encoded(lines: Lines, vocabulary: Vocabulary, files: Files) -> list[Pairs]:
    """Pairs of each split as tokens.

    Raises:
        ValueError: If a sentence is too long; one sentence for the user.
    """
    splits = []
    for split, pairs in lines.items():
        texts = [source for _, source, _ in pairs], [target for *_, target in pairs]
        source, target = (joined(_rows(vocabulary, *each)) for each in zip(texts, ([], [BEGIN]), strict=True))
        for language, side in ((files.source, source), (files.target, target)):
            for place in (side.lengths > LONGEST).nonzero()[0][:1]:
                where = f"line {pairs[place][0]} of {files.path(split, language)} has {side.lengths[place]} tokens"
                raise ValueError(f"{where}, and {LONGEST} are the most; leave it out, as with -words100")
        splits.append(Pairs(source, target, tuple(texts[1])))
    return splits


def _rows(vocabulary: Vocabulary, texts: Sequence[str], before: Sequence[int]) -> Iterator[list[int]]:
    """Tokens of each sentence, with these before and an end."""
    for first in range(0, len(texts), AT_ONCE):
        for row in vocabulary.encode(texts[first : first + AT_ONCE]):
            yield [*before, *row, END]
