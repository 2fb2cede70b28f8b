"""What a text is: pairs of sentences as tokens, in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trainables.data.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Sentences:
    """Tokens of many sentences, one after the other, each with what begins and ends it.

    Attributes:
        tokens: int32, shape (all tokens,).
        starts: Where each sentence begins, and where the last one ends: int64, shape (sentences + 1,).
    """

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sentence, shape (sentences,)."""
        return np.diff(self.starts)

    def __getitem__(self, index: NDArray[np.int64]) -> "Sentences":
        lengths = self.lengths[index]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        return Sentences(self.tokens[np.repeat(self.starts[:-1][index], lengths) + within], starts)


def joined(rows: Iterable[Sequence[int]]) -> Sentences:
    """Sentences of these tokens, which are taken one by one."""
    lengths = [0]

    def tokens() -> Iterator[int]:
        for row in rows:
            lengths.append(len(row))
            yield from row

    return Sentences(np.fromiter(tokens(), dtype=np.int32), np.cumsum(lengths, dtype=np.int64))


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations.

    Attributes:
        source: With an end each.
        target: With a begin and an end each.
        references: The translations as text, as somebody wrote them.
    """

    source: Sentences
    target: Sentences
    references: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.references)

    def __getitem__(self, index: NDArray[np.int64]) -> "Pairs":
        references = tuple(self.references[place] for place in index)
        return Pairs(self.source[index], self.target[index], references)

    @property
    def longest(self) -> NDArray[np.int64]:
        """Tokens of the longer side of each pair, shape (pairs,)."""
        return np.maximum(self.source.lengths, self.target.lengths)

    @property
    def nbytes(self) -> int:
        """Bytes of the tokens and of the text."""
        return self.source.tokens.nbytes + self.target.tokens.nbytes + sum(map(len, self.references))


@dataclass(frozen=True)
class ParallelText:
    """Pairs of sentences in two languages.

    Attributes:
        train: What models are trained on, and LMC and CKA measured on.
        validation: A file's, or held out of the training pairs; may be empty.
        test: Never used to choose anything.
        vocabulary: Of both languages.
    """

    what: ClassVar[str] = "sentences"
    train: Pairs
    validation: Pairs
    test: Pairs
    vocabulary: Vocabulary


@dataclass(frozen=True)
class TextOutline:
    """Sizes of a text.

    Attributes:
        train: Pairs before any are held out.
        validation: Pairs of a file of their own.
        test: Likewise.
        classes: Tokens of the vocabulary.
        tokens: Of all training pairs: the sum of their longer sides.
    """

    train: int
    validation: int
    test: int
    classes: int
    tokens: int

    @property
    def shape(self) -> str:
        """What a sample is like."""
        return "text"

    def samples_in(self, batch_size: int) -> float:
        """Pairs in a batch of so many tokens, on average."""
        return batch_size * self.train / self.tokens
