"""The kind of data that is a text in two languages: ``text:de-en-words10-first12000-bpe2000``."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from trainables.data.decoded import cache_errors
from trainables.data.images import Normalisation
from trainables.data.kind import Kind, content_hash
from trainables.data.staging import alone
from trainables.data.text.files import Files, Lines, Selection, content_of
from trainables.data.text.pairs import Pairs, ParallelText, TextOutline, joined
from trainables.data.text.vocabulary import BEGIN, END, KINDS, LONGEST, Vocabulary, check_installed, learned

DEFAULT_VOCABULARY = "bpe8000"

LARGEST_VOCABULARY = 1_000_000
"""Beyond are typing errors."""

ENDINGS = f"-words10, -first12000 and a vocabulary such as -{DEFAULT_VOCABULARY} or -unigram4000, in this order"

LOOKS_SO = re.compile(r"(?P<folder>.+):(?P<source>[a-z]+)-(?P<target>[a-z]+)(?P<endings>(-[^/:]*)?)")
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
    return LOOKS_SO.fullmatch(data.partition("#")[0]) is not None


class Parallel(Kind):
    """The kind. Pinned names end in ``#<pairs of train>+<valid>+<test>-<tokens>-<hash>-<hash of the vocabulary>``.

    The vocabulary is learned from the training pairs that are chosen, once on each machine. What decides results is
    these pairs and the vocabulary, not where they lie.
    """

    holds = "sentences"

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
        check_installed()
        name = parsed(data)
        if name.pins is not None:
            return data
        lines = name.files.read(name.chosen)
        text = content_of(lines)
        model = _vocabulary(lines, text, name, data, folder)
        train = _encoded({"train": lines["train"]}, Vocabulary(model), name.files)[0]
        files, endings = name.files, [f"{name.kind}{name.size}"]
        for ending, number in reversed(list(zip(("words", "first"), name.chosen, strict=True))):
            endings[:0] = [] if number is None else [f"{ending}{number}"]
        counts = "+".join(str(len(pairs)) for pairs in lines.values())
        ends = "-".join([f"{files.source}-{files.target}", *endings])
        return f"{files.folder}:{ends}#{counts}-{train.longest.sum()}-{text}-{content_hash(model)}"

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
        model = kept_vocabulary(data, folder) or _vocabulary(lines, text, name, data, folder)
        if content_hash(model) != name.pins["vocabulary"]:
            said = "the vocabulary on this machine is another one than where the sweep was made"
            raise ValueError(f"{data}: {said}; copy {vocabulary_file(data)} from there to {_base(folder)}")
        vocabulary = Vocabulary(model)
        train, valid, test = _encoded(lines, vocabulary, name.files)
        return ParallelText(train, valid, test, vocabulary)


def vocabulary_file(data: str) -> str:
    """Name of the file of a pinned text's vocabulary, in the folder of data and among a sweep's artifacts."""
    name = parsed(data)
    assert name.pins, data
    return _vocabulary_file(name.pins["vocabulary"])


def kept_vocabulary(data: str, folder: str) -> bytes | None:
    """Vocabulary of a pinned text, for sentencepiece; None if this machine has none.

    Args:
        data: The name.
        folder: Where what is fetched or made from data is kept.
    """
    try:
        return (_base(folder) / vocabulary_file(data)).read_bytes()
    except OSError:
        return None


def keep_vocabulary(model: bytes, folder: str) -> str:
    """Keep a vocabulary on this machine, for all texts that were pinned with it, and give the name of its file."""
    file = _vocabulary_file(content_hash(model))
    _keep(_base(folder) / file, model)
    return file


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


def _vocabulary(lines: Lines, text: str, name: Name, data: str, folder: str) -> bytes:
    """Vocabulary of the training pairs, learned once on each machine, and then all pairs are tried, too."""
    base = _base(folder)
    note = base / f"vocabularies/{text}-{name.kind}{name.size}.txt"
    with suppress(OSError):
        return (base / note.read_text()).read_bytes()
    try:
        model = learned((side for _, *both in lines["train"] for side in both), name.kind, name.size)
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from None
    _encoded(lines, Vocabulary(model), name.files)
    _keep(note, keep_vocabulary(model, folder).encode())
    return model


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
        source = [[*row, END] for row in vocabulary.encode([source for _, source, _ in pairs])]
        target = [[BEGIN, *row, END] for row in vocabulary.encode([target for *_, target in pairs])]
        for language, rows in ((files.source, source), (files.target, target)):
            for (number, *_), row in zip(pairs, rows, strict=True):
                if len(row) > LONGEST:
                    where = f"line {number} of {files.path(split, language)} has {len(row)} tokens"
                    raise ValueError(f"{where}, and {LONGEST} are the most; leave it out, as with -words100")
        splits.append(Pairs(joined(source), joined(target), tuple(target for *_, target in pairs)))
    return splits
