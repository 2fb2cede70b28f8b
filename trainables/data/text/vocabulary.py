"""Vocabularies of pieces of words, learned from the text itself, the same for both languages. Imports no torch."""

import io
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

PADDING, UNKNOWN, BEGIN, END = range(4)
"""Tokens that are no pieces of a text."""

LONGEST = 1024
"""Tokens of a sentence, with its begin and end, at most."""

KINDS = ("bpe", "unigram")
"""How pieces are found: by byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909), or by a unigram language model
(Kudo 2018, arXiv 1804.10959)."""

INSTALL = ".venv/bin/pip install --editable '.[translation]' in the clone"


def check_installed() -> None:
    """Raise ValueError, in one sentence for the user, unless what translation needs is installed."""
    if lacking := [name for name in ("sentencepiece", "sacrebleu") if find_spec(name) is None]:
        raise ValueError(f"translation needs {' and '.join(lacking)}: {INSTALL}")


class Vocabulary:
    """Pieces of words, numbered.

    Args:
        model: Of sentencepiece, as :func:`learned` gives it.
    """

    def __init__(self, model: bytes) -> None:
        self.model = model

    @property
    def size(self) -> int:
        """Number of tokens, those that are no pieces among them."""
        return int(self._processor.get_piece_size())

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Tokens of each sentence, without begin and end."""
        found: list[list[int]] = self._processor.encode(list(sentences))
        return found

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Text of each row of tokens; those that are no pieces do not count, but for unknown ones."""
        rows = [[token for token in row if token not in (PADDING, BEGIN, END)] for row in tokens]
        found: list[str] = self._processor.decode(rows)
        return found

    @cached_property
    def _processor(self) -> Any:
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_proto=self.model)


def learned(sentences: Iterable[str], kind: str, size: int) -> bytes:
    """Learn a vocabulary with sentencepiece (Kudo and Richardson 2018, arXiv 1808.06226), in one thread.

    Text is normalised as sentencepiece does by default (NFKC and its rules for translation); every character that
    occurs has a token. It passes over sentences of more than 4,192 bytes and those with a tab, by its own defaults.

    Args:
        sentences: The text, which is not learned from in its order alone: all of it counts.
        kind: One of :data:`KINDS`.
        size: Number of tokens.

    Returns:
        The model, for :class:`Vocabulary`.

    Raises:
        ValueError: If the text does not allow this size; one sentence for the user, without the name of the text.
    """
    from sentencepiece import SentencePieceTrainer

    if size <= END:
        raise ValueError(f"a vocabulary of {size} has no room beside {END + 1} tokens that are no pieces; take more")
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            vocab_size=size,
            model_type=kind,
            character_coverage=1.0,
            pad_id=PADDING,
            unk_id=UNKNOWN,
            bos_id=BEGIN,
            eos_id=END,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(_reason(str(error), size)) from None
    return model.getvalue()


def _reason(said: str, size: int) -> str:
    """What sentencepiece said of a size, for a person."""
    if most := re.search(r"too high \([0-9]+\).*<= ([0-9]+)", said):
        return f"a vocabulary of {size} is larger than the text allows; take {most[1]} or fewer"
    if least := re.search(r"smaller than required_chars\. [0-9]+ vs ([0-9]+)", said):
        return f"a vocabulary of {size} has no room for each character; take {least[1]} or more"
    return f"sentencepiece cannot learn a vocabulary of {size} from the text ({' '.join(said.split())})"
