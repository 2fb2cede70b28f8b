"""What translates without having learned anything: ``python tests/benchmarks/translation_retrieval.py FOLDER:de-en``.

Each sentence of the test pairs is translated by the translation of the training sentence that is nearest to it: that of
the largest Jaccard overlap of their sets of words (words have letters alone, upper and lower case are one); of equally
near ones the first. Prints the BLEU of these translations, and of the validation pairs' if there are some. A model that
does not reach it has not learned to translate. Names say which pairs are taken as those of ``--data`` do, as
``FOLDER:de-en-words10-first12000``; several are measured one after the other. A vocabulary in a name changes nothing.
"""

import argparse
import re
import time
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from metrics.bleu import bleu
from trainables.data.text.parallel import parsed

AT_ONCE = 200
"""Sentences that are compared with all training sentences together: 33,000 of these take 50 MB a matrix."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="FOLDER:de-en")
    for data in parser.parse_args().data:
        try:
            name = parsed(data)
            lines = name.files.read(name.chosen)
        except ValueError as error:
            parser.error(f"{error}.")
        known = lines.pop("train")
        for split, pairs in lines.items():
            started = time.perf_counter()
            chosen = nearest([source for _, source, _ in pairs], [source for _, source, _ in known])
            score = bleu([known[place][2] for place in chosen], [target for *_, target in pairs])
            took = f"{time.perf_counter() - started:.1f} s"
            if pairs:
                print(f"{data}: BLEU {score.score:.2f} of {len(pairs)} {split} pairs, nearest of {len(known)}, {took}")
        print(f"{data}: {score.signature}", flush=True)


def words(text: str) -> frozenset[str]:
    """The words of a sentence."""
    return frozenset(re.findall(r"[^\W\d_]+", text.casefold()))


def nearest(sentences: Sequence[str], known: Sequence[str]) -> list[int]:
    """Place of the known sentence that is nearest to each of others, the first of equally near ones."""
    numbers: dict[str, int] = {}
    for text in known:
        for word in sorted(words(text)):
            numbers.setdefault(word, len(numbers))
    theirs, size_of_theirs = _counted(known, numbers)
    found: list[int] = []
    for start in range(0, len(sentences), AT_ONCE):
        own, size_of_own = _counted(sentences[start : start + AT_ONCE], numbers)
        both = (own @ theirs.T).toarray()
        either = size_of_own[:, None] + size_of_theirs - both
        found += np.argmax(both / np.maximum(either, 1), axis=1).tolist()
    return found


def _counted(sentences: Sequence[str], numbers: dict[str, int]) -> tuple[csr_matrix, np.ndarray]:
    """Which words are in which sentences, float64 of shape (sentences, words), and how many, known or not."""
    sets = [words(text) for text in sentences]
    places = [(row, numbers[word]) for row, own in enumerate(sets) for word in own if word in numbers]
    index = np.array(places, dtype=np.int64).reshape(-1, 2).T
    shape = len(sentences), len(numbers)
    return csr_matrix((np.ones(len(places)), index), shape), np.array([len(own) for own in sets])


if __name__ == "__main__":
    main()
