"""What is typed: by option, and of which kind."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
import tyro
from support import run_here

from sweeps.running.options import RunOptions, SweepOptions, read_options
from sweeps.spec.errors import UsageError
from sweeps.spec.kinds import check_kinds, kind_of
from sweeps.spec.presets import DEFAULT_PRESET, PRESETS
from sweeps.spec.typed import typed


@dataclass(frozen=True)
class Inner:
    """A part of a command."""

    numbers: Annotated[tuple[float, ...], tyro.conf.arg(aliases=["--number"])] = ()
    """Numbers."""

    way: Literal["here", "there"] | None = None
    """Which."""


@dataclass(frozen=True)
class Command:
    """A command."""

    place: tyro.conf.Positional[str]
    """Where."""

    inner: Inner

    count: int = 1
    """How many."""

    loud: bool = False
    """Whether."""


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("here", {"place": ["here"]}),
        ("here --loud", {"place": ["here"], "loud": []}),
        ("--loud here --count=-2", {"place": ["here"], "loud": [], "count": ["-2"]}),
        (
            "here --numbers -1 1e-3 -inf --count 2",
            {"place": ["here"], "numbers": ["-1", "1e-3", "-inf"], "count": ["2"]},
        ),
        ("here --number=1 2", {"place": ["here"], "numbers": ["1", "2"]}),
        ("here --numbers", {"place": ["here"], "numbers": []}),
        ("here --count 1 --count 2", {"place": ["here"], "count": ["2"]}),
        ("here --way None", {"place": ["here"], "way": ["None"]}),
        ("--help --nonsense", {}),
    ],
)
def test_words_by_the_field_they_set(words, given):
    assert typed(Command, words.split()) == given


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "PLACE (nothing): give it"),
        ("here there", "there: this is the value of no option"),
        ("here --coutn 1", "--coutn: there is no such option; the nearest is --count."),
        ("here --zzz 1", "--zzz: there is no such option; --help lists them."),
        ("here --count", "--count needs a value."),
        ("here --count --loud", "--count needs a value."),
        ("here --count 1.5", "--count 1.5: it is a whole number."),
        ("here --numbers 1 two", "--numbers two: it is a number."),
        ("here --numbers 1e999", "--numbers 1e999: it is too large for a number."),
        ("here --numbers 1 --number 2", "--number 2: it was given before; give all its values after one --number."),
        ("here --way up", "--way up: it is one of here, there."),
        ("here --loud=yes", "--loud=yes: it takes no value"),
        ("here --count=", "--count (nothing): give a value, or leave --count out."),
    ],
)
def test_what_is_no_option_or_value_is_one_sentence(words, said):
    with pytest.raises(UsageError) as told:
        typed(Command, words.split())
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("word", "flip"), [("true", True), ("True", True), ("false", False), ("False", False), ("None", None)]
)
def test_truth_is_written_small_or_large(word, flip):
    assert read_options(SweepOptions, ["--flip", word]).spec.flip is flip


def test_both_ways_to_write_an_option_are_one(tmp_path):
    done = run_here("grid", "--dry_run", "--preset", "smoke", "--dense_seeds=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 wanted" in done.stdout


def test_a_kind_says_which_plain_data_it_holds():
    numbers = kind_of(tuple[int | float, ...])
    assert numbers.holds((1, 0.5))
    assert not any(numbers.holds(value) for value in (None, 1, (1, None), ("1",), (True,), ((1,),), (10**400,)))
    assert kind_of(float).holds(1)
    assert not any(kind_of(int).holds(value) for value in (1.0, True, "1", None))
    assert kind_of(bool | None).holds(None)
    assert not kind_of(Literal["a"] | None).holds("b")


def test_a_field_of_another_kind_is_named():
    with pytest.raises(TypeError, match="epochs is '6'; it is a whole number"):
        check_kinds(type(PRESETS["smoke"]), {"epochs": "6"})
    with pytest.raises(TypeError, match="max_failures is None; it is a whole number"):
        check_kinds(RunOptions, {"max_failures": None})


def test_help_lists_the_presets(tmp_path):
    done = run_here("grid", "--help", cwd=tmp_path)
    assert done.returncode == 0
    shown = " ".join(done.stdout.replace("│", " ").split())
    for name, spec in PRESETS.items():
        assert f"{name}, {spec.temperature} " in shown
    assert DEFAULT_PRESET in PRESETS
