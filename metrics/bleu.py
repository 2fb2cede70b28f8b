"""BLEU: how much translations have in common with those of people."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Bleu(NamedTuple):
    """A score, and how it came about.

    Attributes:
        score: In [0, 100], high is good; NaN if there are no sentences.
        signature: sacreBLEU's, which others need to compare their scores with it.
    """

    score: float
    signature: str


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Bleu:
    """BLEU of a corpus, of one reference for each sentence (Papineni et al. 2002), as sacreBLEU computes it.

    That is with its default settings (Post 2018, A call for clarity in reporting BLEU scores, arXiv 1804.08771):
    n-grams of up to 4 tokens, counted over all sentences, of the tokenizer 13a, upper and lower case told apart; where
    no n-gram of a length matches, its precision is 1 / (2^k times their number) for the k-th such length ("exp").

    Args:
        hypotheses: Translations, as text that is not split into tokens.
        references: What they should be, in the same order.

    Raises:
        ValueError: If these are not as many; one sentence.
    """
    from sacrebleu.metrics import BLEU  # of an extra

    if len(hypotheses) != len(references):
        raise ValueError(f"BLEU compares pairs, but got {len(hypotheses)} translations of {len(references)} sentences")
    metric = BLEU(force=True)  # no warning of texts that look as if they were split into tokens
    score = math.nan
    if hypotheses:
        score = min(metric.corpus_score(list(hypotheses), [list(references)]).score, 100.0)  # it rounds to more
    metric.num_refs = 1  # which the signature has of no sentences, too
    return Bleu(score, str(metric.get_signature()))
