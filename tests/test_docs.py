"""What the pages for people say that a program can check: links, anchors, options, and the README's length."""

import re
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT, run_here

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = sorted(file.stem for file in (ROOT / "sweeps").glob("[!_]*.py"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
OF_OTHERS = {"--working-dir"}
"""Options that pages name by themselves, and that are not of a command here."""


def name_of(page):
    return str(page.relative_to(ROOT))


def prose(page):
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text())


def anchors(page):
    """Names that a browser can jump to, made of headings as GitHub does."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        repeated = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in found)
        found.append(f"{anchor}-{repeated}" if repeated else anchor)
    return found


def shell_lines(page):
    """Commands of a page's shell blocks, those of several lines as one, without their comments."""
    for language, block in FENCE.findall(page.read_text()):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    yield words


@cache
def options_of(command):
    return set(OPTION.findall(run_here(command, "--help").stdout))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page):
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = page.parent / path if path else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)} links to {link}: {anchors(target)}"


def test_every_page_can_be_found_from_the_readme():
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(prose(ROOT / "README.md"))}
    assert {page.resolve() for page in PAGES if page.parent.name == "docs"} <= linked


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_that_are_named_exist(page):
    known = set.union(*map(options_of, COMMANDS)) | OF_OTHERS
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        if code.startswith("--"):
            for option in OPTION.findall(code):  # --retrain-... stands for several
                is_known = any(other.startswith(option) for other in known) if option.endswith("-") else option in known
                assert is_known, f"{name_of(page)} names {code}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_examples_have_their_options(page):
    for words in shell_lines(page):
        ours = [place for place, word in enumerate(words) if re.fullmatch(r"(.*/)?sweeps/\w+\.py", word)]
        for place in ours:
            command = Path(words[place]).stem
            assert command in COMMANDS, f"{name_of(page)}: {' '.join(words)}"
            named = {word.partition("=")[0] for word in words[place + 1 :] if OPTION.match(word)}
            assert named <= options_of(command), f"{name_of(page)}: {' '.join(words)}"


def examples():
    """What pages have grids and studies do that needs no cluster, no object storage, no results, no trained models."""
    for page in PAGES:
        for words in shell_lines(page):
            command = "".join(words[1:2]).removeprefix("sweeps/").removesuffix(".py")
            if command not in ("grid", "sparsity", "importance", "prunability", "diagnose"):
                continue
            if {"--address", "--gpus-per-trial", "--checkpoints"} & set(words) or "".join(words[2:3]).startswith(
                "results/"
            ):
                continue
            typed = [word for word in words[2:] if word != "--estimate"]
            yield pytest.param(command, typed, id=" ".join([command, *typed]))


@pytest.fixture(scope="module")
def own_things(tmp_path_factory):
    """The folder where somebody types the examples, with what they name."""
    folder = tmp_path_factory.mktemp("own")
    pixels, labels = np.random.default_rng(1).integers(0, 256, (200, 8, 8), dtype=np.uint8), np.arange(200) % 10
    np.savez(folder / "images.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    (folder / "mine.py").write_text("import numpy as np\n\ndef data():\n    return dict(np.load('images.npz'))\n")
    (folder / "mymodels.py").write_text("def small(channels, classes): ...\ndef net(channels, classes): ...\n")
    for page, name in (("axes_and_recipes", "recipe.py"), ("other_ways_to_prune", "rules.py")):
        blocks = FENCE.findall((ROOT / "docs" / f"{page}.md").read_text())
        (folder / name).write_text(next(block for _, block in blocks if block.startswith(f"# {name}")))
    letters = np.random.default_rng(2).choice(list("abcdefghijklmnoprstuvwz"), (2000, 7))
    words = ["".join(word) for word in letters]
    (folder / "text").mkdir()
    for split, pairs in (("train", 6000), ("test", 50)):
        for language in ("de", "en"):
            lines = [
                " ".join(words[(7 * number + place) % len(words)] for place in range(6)) for number in range(pairs)
            ]
            (folder / "text" / f"{split}.{language}").write_text("\n".join(lines) + "\n")
    for place in ("train/rose", "train/tulip", "test/rose", "test/tulip"):
        (folder / "flowers" / place).mkdir(parents=True)
        for number in range(100):
            Image.fromarray(pixels[number]).save(folder / "flowers" / place / f"{number}.png")
    return folder


@pytest.mark.parametrize(("command", "arguments"), list(examples()))
def test_examples_of_grids_and_studies_say_what_they_would_do(command, arguments, own_things):
    done = run_here(command, *arguments, "--data-folder", own_things, "--dry-run", cwd=own_things)
    assert done.returncode == 0, done.stderr
    assert re.search(r"points: \d+ wanted, 0 stored", done.stdout)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_in_python_can_be_read(page):
    for language, block in FENCE.findall(page.read_text()):
        if language == "python":
            compile(block, name_of(page), "exec")
