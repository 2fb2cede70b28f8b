import math
import subprocess
import sys
from pathlib import Path

import pytest

from metrics.bleu import bleu

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_by_hand():
    """3 of 4 words, 1 of 3 pairs, and, as there is none, 1/2 of 2 threes and 1/4 of the one four."""
    found = bleu(["a cat sat here"], ["a dog sat here"])
    assert found.score == pytest.approx(100 * (3 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** (1 / 4))


def test_what_is_shorter_than_its_reference_is_penalised():
    found = bleu(["one two three four five"], ["one two three four five six seven"])
    assert found.score == pytest.approx(100 * math.exp(1 - 7 / 5))


def test_it_is_of_all_sentences_together():
    hypotheses, references = ["a b c d e", "f g h i j k"], ["a b c d e", "x x x x x x"]
    assert bleu(hypotheses, references).score == pytest.approx(100 * (5 / 11 * 4 / 9 * 3 / 7 * 2 / 5) ** (1 / 4))


def test_it_stays_in_its_range():
    assert bleu(["a b c d"], ["a b c d"]).score == 100
    assert bleu([""], ["a b c d"]).score == 0


def test_it_is_what_sacrebleus_command_line_says(tmp_path):
    """Of lines of these pages, whose translation drops every fifth word and the case of some."""
    lines = [line.strip() for page in sorted(DOCS.glob("*.md")) for line in page.read_text().splitlines()]
    references = [line for line in lines if len(line.split()) > 2][:400]
    kept = [" ".join(word for i, word in enumerate(line.split()) if i % 5 != 3) for line in references]
    hypotheses = [line.lower() if index % 7 == 0 else line for index, line in enumerate(kept)]
    for name, texts in (("hypotheses", hypotheses), ("references", references)):
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", "hypotheses", "-w", "4"]
    said = [
        subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for more in (["-b"], ["-f", "text"])
    ]
    found = bleu(hypotheses, references)
    assert f"{found.score:.4f}" == said[0].strip()
    assert f"BLEU|{found.signature} = {found.score:.4f} " in said[1]
    assert 30 < found.score < 90


def test_of_nothing_it_is_undefined():
    found = bleu([], [])
    assert math.isnan(found.score)
    assert found.signature == bleu(["a"], ["a"]).signature


def test_as_many_translations_as_sentences():
    with pytest.raises(ValueError, match="BLEU compares pairs, but got 1 translations of 2 sentences"):
        bleu(["a"], ["a", "b"])
