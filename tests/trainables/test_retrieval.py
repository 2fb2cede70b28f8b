"""The baseline of docs and benchmarks: translations of the nearest training sentences."""

import pytest
import translation_retrieval
from translation_retrieval import nearest

KNOWN = ["Öffnen Sie die Datei.", "Die Datei wird geöffnet!", "öffnen sie DIE Datei", "Sie", "Drucken"]


@pytest.mark.parametrize(
    ("sentence", "place"),
    [
        ("Öffnen Sie die Tabelle.", 0),  # 3 of 5 words, as the third, which is later
        ("Datei geöffnet", 1),  # 2 of 4
        ("Sie drucken", 3),  # 1 of 2, as the last one; of the first 1 of 5
        ("(42) drucken?", 4),
        ("nichts davon", 0),
        ("17", 0),
    ],
)
def test_the_nearest_shares_most_of_the_words_of_both(sentence, place):
    assert nearest([sentence], KNOWN) == [place]


def test_parts_change_nothing(monkeypatch):
    sentences = ["Datei geöffnet", "drucken", "Sie", "Öffnen Sie die Tabelle.", "die Datei"]
    expected = nearest(sentences, KNOWN)
    monkeypatch.setattr(translation_retrieval, "AT_ONCE", 2)
    assert nearest(sentences, KNOWN) == expected == [1, 4, 3, 0, 0]
