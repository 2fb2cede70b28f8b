"""Texts: their names, what they are pinned by, what is read of them, and the vocabulary of a sweep."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_text import MODEL, RECIPE, VOCABULARY, sentences, write

from trainables.data import content_name, held_out_samples, load, outline, pin, short_name, training_samples
from trainables.data.text import parallel, vocabulary
from trainables.data.text.vocabulary import BEGIN, END, PADDING, UNKNOWN, learned
from trainables.stages import DenseRun
from trainables.stages.machine import Machine, task_of
from trainables.storage.local_folder import LocalFolder
from trainables.suitability import check_suitable
from trainables.tasks import load_task
from trainables.training.training import Training

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where vocabularies are kept, of all tests but those of keeping."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def text(tmp_path):
    """A folder's text, named but not pinned."""
    splits = {"train": sentences(60, 1), "valid": sentences(8, 2), "test": sentences(9, 3)}
    return write(tmp_path / "toy", **splits)


def texts(pairs, vocabulary):
    """Source and target of each pair, decoded."""
    return [
        tuple(
            vocabulary.decode([side.tokens[side.starts[place] : side.starts[place + 1]].tolist()])[0]
            for side in (pairs.source, pairs.target)
        )
        for place in range(len(pairs))
    ]


def lines(text, split):
    folder = Path(text.partition(":")[0])
    return [
        tuple(both)
        for both in zip(*((folder / f"{split}.{end}").read_text().splitlines() for end in ("xx", "yy")), strict=True)
    ]


def test_what_is_loaded_is_what_the_files_hold(text, cache):
    name = pin(f"{text}-{VOCABULARY}", cache)
    loaded = load(name, 0.0, cache)
    for split, pairs in (("train", loaded.train), ("valid", loaded.validation), ("test", loaded.test)):
        assert texts(pairs, loaded.vocabulary) == lines(text, split)
        assert list(pairs.references) == [target for _, target in lines(text, split)]
        sources = np.split(pairs.source.tokens, pairs.source.starts[1:-1])
        targets = np.split(pairs.target.tokens, pairs.target.starts[1:-1])
        for (source, target), own, others in zip(lines(text, split), sources, targets, strict=True):
            assert len(own) == len(source.split()) + 1  # a word is a token
            assert len(others) == len(target.split()) + 2
            assert (own[-1], others[0], others[-1]) == (END, BEGIN, END)
            assert (own[:-1] > END).all()
            assert (others[1:-1] > END).all()
    known = outline(name)
    assert (known.train, known.validation, known.test, known.classes) == (60, 8, 9, loaded.vocabulary.size)
    assert known.classes == 29
    assert known.tokens == sum(len(target.split()) + 2 for _, target in lines(text, "train"))
    assert known.samples_in(known.tokens) == 60


def test_names_have_ends_in_one_order(text, cache):
    whole = pin(f"{text}-words5-first20-{VOCABULARY}", cache)
    assert whole.partition("#")[0] == f"{text}-words5-first20-{VOCABULARY}"
    assert pin(whole, cache) == whole
    assert short_name(whole) == "toy:xx-yy-words5-first20-bpe29"
    for ends in (
        f"-first20-words5-{VOCABULARY}",
        f"-{VOCABULARY}-words5",
        "-bpe",
        "-words",
        "-word5",
        "-words5-words5",
        "-bpe29-unigram29",
        "-first-20",
        "-words5.5",
        "-",
    ):
        with pytest.raises(ValueError, match=f"ends in '{ends}'; after the languages there may be -words10, -first"):
            pin(f"{text}{ends}", cache)


def test_a_vocabulary_that_is_not_named_is_the_default(text, cache, monkeypatch):
    monkeypatch.setattr(parallel, "DEFAULT_VOCABULARY", VOCABULARY)
    assert pin(text, cache) == pin(f"{text}-{VOCABULARY}", cache)


def test_a_relative_name_is_of_the_same_folder(text, cache, monkeypatch):
    monkeypatch.chdir(Path(text).parent)
    assert pin(f"toy:xx-yy-{VOCABULARY}", cache) == pin(f"{text}-{VOCABULARY}", cache)


def test_what_decides_results_is_the_text_and_the_vocabulary(text, tmp_path, cache):
    """Not where they lie, nor which of several names chose them."""

    def name_of(text, ends=f"-{VOCABULARY}"):
        return content_name(pin(f"{text}{ends}", cache))

    own = name_of(text)
    folder = Path(text.partition(":")[0])
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert name_of(f"{tmp_path}/elsewhere:xx-yy") == own
    assert name_of(text, f"-words6-first60-{VOCABULARY}") == own
    others = {
        name_of(text, ends) for ends in (f"-words5-{VOCABULARY}", f"-first59-{VOCABULARY}", "-bpe28", "-unigram29")
    }
    for split in ("train", "valid", "test"):
        for language in ("xx", "yy"):
            shutil.copytree(folder, tmp_path / f"{split}-{language}")
            file = tmp_path / f"{split}-{language}/{split}.{language}"
            first, _, rest = file.read_text().partition("\n")
            file.write_text(f"a {first}\n{rest}")
            others.add(name_of(f"{tmp_path}/{split}-{language}:xx-yy"))
    shutil.copytree(folder, tmp_path / "swapped")
    for split in ("train", "valid", "test"):
        os.rename(tmp_path / f"swapped/{split}.xx", tmp_path / "swapped/kept")
        os.rename(tmp_path / f"swapped/{split}.yy", tmp_path / f"swapped/{split}.xx")
        os.rename(tmp_path / "swapped/kept", tmp_path / f"swapped/{split}.yy")
    others.add(name_of(f"{tmp_path}/swapped:xx-yy"))
    shutil.copytree(folder, tmp_path / "without")
    for file in (tmp_path / "without").glob("valid.*"):
        file.unlink()
    others.add(name_of(f"{tmp_path}/without:xx-yy"))
    assert len(others) == 12
    assert own not in others


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.removesuffix(b"\n"),
        lambda raw: (b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r\n")).removesuffix(b"\r\n"),
    ],
    ids=["CRLF", "BOM", "no final newline", "all of them"],
)
def test_how_lines_end_and_files_begin_changes_nothing(change, text, cache):
    own = pin(f"{text}-{VOCABULARY}", cache)
    for file in Path(text.partition(":")[0]).iterdir():
        file.write_bytes(change(file.read_bytes()))
    assert pin(f"{text}-{VOCABULARY}", cache) == own
    assert texts(load(own, 0.0, cache).train, load(own, 0.0, cache).vocabulary) == [
        (source.lstrip("\ufeff"), target.lstrip("\ufeff")) for source, target in lines(text, "train")
    ]


def test_other_signs_that_might_end_a_line_do_not(text, cache):
    """A form feed, or the separators of Unicode, are parts of a sentence."""
    folder = Path(text.partition(":")[0])
    for name in ("train.xx", "train.yy"):
        file = folder / name
        file.write_text("".join(f"a\x0cb \u2028c\x85 d\x1e {line}\n" for line in file.read_text().splitlines()))
    loaded = load(pin(f"{text}-bpe30", cache), 0.0, cache)
    assert len(loaded.train) == 60


def test_short_sentences_of_all_splits_and_the_first_of_training(text, cache):
    loaded = load(pin(f"{text}-words4-first15-bpe29", cache), 0.0, cache)
    short = {
        split: [both for both in lines(text, split) if len(both[0].split()) <= 4]
        for split in ("train", "valid", "test")
    }
    assert texts(loaded.train, loaded.vocabulary) == short["train"][:15]
    assert texts(loaded.validation, loaded.vocabulary) == short["valid"]
    assert texts(loaded.test, loaded.vocabulary) == short["test"]
    assert 0 < len(short["test"]) < 9


def test_words_are_counted_on_both_sides(tmp_path, cache):
    text = write(tmp_path / "toy", train=sentences(60, 1), test=sentences(9, 3))
    target = tmp_path / "toy/test.yy"
    rows = target.read_text().splitlines()
    target.write_text("\n".join(["a b c d e f g h", *rows[1:]]))
    name = pin(f"{text}-words6-{VOCABULARY}", cache)
    assert outline(name).test == 8


def test_a_vocabulary_is_of_the_chosen_training_pairs_alone(text, cache):
    """Words of other splits, and of pairs that are not chosen, are unknown to it."""
    folder = Path(text.partition(":")[0])
    for split in ("valid", "test"):
        for end in ("xx", "yy"):
            file = folder / f"{split}.{end}"
            file.write_text(file.read_text().replace("a", "z"))
    for end in ("xx", "yy"):
        with open(folder / f"train.{end}", "a") as file:
            file.write("q q q\n")
    loaded = load(pin(f"{text}-first60-{VOCABULARY}", cache), 0.0, cache)
    assert UNKNOWN in loaded.test.source.tokens
    assert UNKNOWN in loaded.validation.target.tokens
    assert UNKNOWN not in loaded.train.source.tokens
    assert any("z" in reference for reference in loaded.test.references)  # as somebody wrote it
    [row] = loaded.vocabulary.encode(["q"])
    assert UNKNOWN in row


def test_tokens_become_text_again():
    kept = vocabulary.Vocabulary(learned(["ein Haus und ein Baum", "a house and a tree"] * 3, "unigram", 22))
    sentence = "ein house und a tree"
    [row] = kept.encode([sentence])
    assert kept.decode([[BEGIN, *row, END, PADDING], []]) == [sentence, ""]
    assert kept.size == 22


def test_validation_pairs_of_a_file_or_held_out(text, cache):
    name = pin(f"{text}-{VOCABULARY}", cache)
    assert (training_samples(name, 0.0), held_out_samples(name, 0.0)) == (60, 8)
    with pytest.raises(ValueError, match=r"validation fraction of 0\.1: toy:.* has 8 validation samples of its own"):
        load(name, 0.1, cache)
    folder = Path(text.partition(":")[0])
    for end in ("xx", "yy"):
        (folder / f"valid.{end}").unlink()
    name = pin(f"{text}-{VOCABULARY}", cache)
    assert (training_samples(name, 0.2), held_out_samples(name, 0.2)) == (48, 12)
    assert held_out_samples(name, 0.0) == 0
    loaded, again = load(name, 0.2, cache), load(name, 0.2, cache)
    train, held_out = (texts(pairs, loaded.vocabulary) for pairs in (loaded.train, loaded.validation))
    assert (len(train), len(held_out)) == (48, 12)
    assert sorted(train + held_out) == sorted(lines(text, "train"))
    assert list(loaded.validation.references) == [target for _, target in held_out]
    assert texts(again.validation, again.vocabulary) == held_out
    assert held_out != lines(text, "train")[:12]
    assert len(loaded.test) == 9


def test_one_file_of_validation_pairs_is_not_enough(text, cache):
    folder = Path(text.partition(":")[0])
    (folder / "valid.yy").unlink()
    with pytest.raises(ValueError, match=r"there is no file .*valid\.yy"):
        pin(f"{text}-{VOCABULARY}", cache)


def test_a_text_that_changed_after_it_was_pinned_is_said_so(text, cache):
    name = pin(f"{text}-{VOCABULARY}", cache)
    file = Path(text.partition(":")[0]) / "valid.xx"
    before = file.read_text()
    file.write_text(before.replace("a", "b", 1))
    with pytest.raises(ValueError, match="the text has changed since the sweep was made; name it again"):
        load(name, 0.0, cache)
    file.write_text(before)
    assert len(load(name, 0.0, cache).train) == 60


def test_a_vocabulary_is_learned_once_on_a_machine(text, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(parallel, "learned", lambda *what: calls.append(what[1:]) or learned(*what))
    folder = str(tmp_path / "cache")
    name = pin(f"{text}-{VOCABULARY}", folder)
    for _ in range(2):
        assert pin(f"{text}-{VOCABULARY}", folder) == name
        load(name, 0.0, folder)
    assert calls == [("bpe", 29)]
    kept = tmp_path / "cache" / parallel.vocabulary_file(name)
    assert kept.read_bytes() == load(name, 0.0, folder).vocabulary.model
    shutil.rmtree(tmp_path / "cache")
    assert load(name, 0.0, folder).vocabulary.model == learned(
        (side for both in lines(text, "train") for side in both), "bpe", 29
    )
    assert len(calls) == 2


def test_a_machine_that_learns_another_vocabulary_says_so(text, tmp_path, monkeypatch):
    """As sentencepiece of another version might."""
    name = pin(f"{text}-{VOCABULARY}", str(tmp_path / "cache"))
    monkeypatch.setattr(parallel, "learned", lambda sentences, kind, size: learned(sentences, "unigram", size))
    with pytest.raises(ValueError, match=r"vocabulary on this machine is another one.*; copy vocabularies/.* to .*new"):
        load(name, 0.0, str(tmp_path / "new"))


def test_a_vocabulary_that_was_damaged_is_learned_again(text, tmp_path):
    folder = str(tmp_path / "cache")
    name = pin(f"{text}-{VOCABULARY}", folder)
    file = tmp_path / "cache" / parallel.vocabulary_file(name)
    before = file.read_bytes()
    for again in (lambda: load(name, 0.0, folder), lambda: pin(f"{text}-{VOCABULARY}", folder)):
        file.write_bytes(b"no model")
        again()
        assert file.read_bytes() == before
    [note] = file.parent.glob("*.txt")
    note.write_bytes(b"\xff")
    assert pin(f"{text}-{VOCABULARY}", folder) == name


def test_a_machine_that_makes_other_tokens_says_so(text, cache, monkeypatch):
    """As sentencepiece of another version might, of the same vocabulary."""
    name = pin(f"{text}-{VOCABULARY}", cache)
    encode = vocabulary.Vocabulary.encode
    monkeypatch.setattr(vocabulary.Vocabulary, "encode", lambda *own: [[*row, UNKNOWN] for row in encode(*own)])
    with pytest.raises(ValueError, match="makes other tokens of it than where the sweep was made; install the version"):
        load(name, 0.0, cache)


def test_a_pinned_text_needs_neither_its_files_nor_sentencepiece_until_it_is_loaded(text, cache, monkeypatch):
    name = pin(f"{text}-{VOCABULARY}", cache)
    shutil.rmtree(text.partition(":")[0])
    monkeypatch.setattr(vocabulary, "find_spec", lambda module: None)
    assert pin(name, cache) == name
    assert (outline(name).train, outline(name).validation, short_name(name)) == (60, 8, f"toy:xx-yy-{VOCABULARY}")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="there is no folder"):
        load(name, 0.0, cache)


@pytest.mark.parametrize("folder", ["a#b", "a:b", "a#1+2+3-4", "ä ö"])
def test_any_folder_may_have_a_text(folder, tmp_path, cache):
    text = write(tmp_path / folder, train=sentences(60, 1), test=sentences(9, 3))
    name = pin(f"{text}-{VOCABULARY}", cache)
    assert pin(name, cache) == name
    assert len(load(name, 0.0, cache).train) == 60
    assert short_name(name) == f"{folder}:xx-yy-{VOCABULARY}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "train.xx is empty"),
        (b"a\nb\n", r"train.xx has 2 lines and train.yy has 60; line by line they are translations"),
        (b"\n" + b"a\n" * 59, "train.xx has an empty line, 1; take it out of both"),
        (b"a\n" * 58 + b"\r\na", "train.xx has an empty line, 59; take it out of both"),
        (b"a\n" * 58 + b"\xe4\na\n", "train.xx is not UTF-8 in line 59; convert it"),
        (("a\n" * 59).encode("utf-16"), "train.xx is not UTF-8 in line 1"),
        (b"a b " * 600 + b"\n" + b"a\n" * 59, "line 1 of .*train.xx has .* tokens, and 1024 are the most"),
        (b"a\n" * 61, r"train.xx has 61 lines and train.yy has 60"),
    ],
    ids=["nothing", "fewer", "empty", "empty below", "Latin-1", "UTF-16", "long", "more"],
)
def test_a_file_that_is_no_side_of_a_text_is_said_so(content, said, text, tmp_path):
    (Path(text.partition(":")[0]) / "train.xx").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        pin(f"{text}-bpe20", str(tmp_path / "cache"))


def test_pairs_that_are_not_taken_may_be_as_they_are(text, cache):
    """But for their number: of a large text they are not looked at."""
    folder = Path(text.partition(":")[0])
    own = content_name(pin(f"{text}-first60-{VOCABULARY}", cache))
    for end in ("xx", "yy"):
        with open(folder / f"train.{end}", "ab") as file:
            file.write(b"\n\xff\n")
    assert content_name(pin(f"{text}-first60-{VOCABULARY}", cache)) == own
    with open(folder / "train.xx", "ab") as file:
        file.write(b"a\n")
    with pytest.raises(ValueError, match=r"train.xx has 63 lines and train.yy has 62"):
        pin(f"{text}-first60-{VOCABULARY}", cache)


@pytest.mark.parametrize("size", [4, 5, 999])
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_vocabulary_that_the_text_does_not_allow_is_said_so(kind, size, text, cache):
    with pytest.raises(ValueError, match=rf": a vocabulary of {size} .*; take [0-9]+ or (more|fewer)$"):
        pin(f"{text}-{kind}{size}", cache)


def test_the_vocabulary_of_a_sweep_is_an_artifact_that_other_machines_take(text, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_SHARED", set())
    name = pin(f"{text}-{VOCABULARY}", str(tmp_path / "first"))
    run = DenseRun(name, 0.0, MODEL, RECIPE, 1)
    folder = LocalFolder(tmp_path / "artifacts")
    file = parallel.vocabulary_file(name)
    assert folder.read(file) is None
    task_of(run, Machine(folder, CPU, data_folder=str(tmp_path / "first")))
    assert folder.read(file) == (tmp_path / "first" / file).read_bytes()
    monkeypatch.setattr(parallel, "_SHARED", set())  # another machine, which would learn another one
    monkeypatch.setattr(parallel, "learned", lambda sentences, kind, size: learned(sentences, "unigram", size))
    task_of(run, Machine(folder, CPU, data_folder=str(tmp_path / "second")))
    assert (tmp_path / "second" / file).read_bytes() == folder.read(file)


def test_a_machine_without_the_vocabulary_gives_what_it_learned(text, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_SHARED", set())
    name = pin(f"{text}-{VOCABULARY}", str(tmp_path / "first"))
    folder, machine = LocalFolder(tmp_path / "artifacts"), str(tmp_path / "second")
    for _ in range(2):
        task_of(DenseRun(name, 0.0, MODEL, RECIPE, 1), Machine(folder, CPU, data_folder=machine))
    assert folder.read(parallel.vocabulary_file(name)) is not None


@pytest.mark.parametrize("lacking", ["sentencepiece", "sacrebleu"])
def test_what_is_not_installed_is_said_with_how_to_install_it(lacking, text, cache, monkeypatch):
    name = pin(f"{text}-{VOCABULARY}", cache)
    monkeypatch.setattr(vocabulary, "find_spec", lambda module: None if module == lacking else object())
    for attempt in (lambda: pin(f"{text}-{VOCABULARY}", cache), lambda: load(name, 0.0, cache)):
        with pytest.raises(ValueError, match=rf"^translation needs {lacking}: .*pip install .*\[translation\]"):
            attempt()


def test_real_pairs_are_pinned_loaded_and_trained_on(tmp_path):
    folder = os.environ.get("THREE_REGIME_SWEEPS_TEXT")
    if not folder:
        pytest.skip("THREE_REGIME_SWEEPS_TEXT names no folder of real pairs, as of tests/benchmarks/parallel_text.py")
    name = pin(f"{folder}:de-en-words6-first600-bpe300", str(tmp_path))
    assert outline(name).train == 600
    task = load_task(name, 0.0, CPU, folder=str(tmp_path))
    loaded = load(name, 0.0, str(tmp_path))
    assert (loaded.vocabulary.size, loaded.train.longest.sum()) == (300, outline(name).tokens)
    assert UNKNOWN not in loaded.train.source.tokens
    decoded = texts(loaded.train, loaded.vocabulary)
    assert (
        sum(target == reference for (_, target), reference in zip(decoded, loaded.train.references, strict=True)) > 500
    )
    check_suitable(MODEL, task, 1)
    training = Training(task.stack(MODEL, 1), RECIPE, task, [("dense", 1)])
    before = task.evaluation(training.stack, "test")
    training.run_epoch()
    after = task.evaluation(training.stack, "test")
    assert after.losses[0] < before.losses[0]
    assert after.errors[0] < before.errors[0]
    assert 0 <= task.scores(training.stack)[0]["bleu"] < 50
