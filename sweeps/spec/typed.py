"""What a person typed, by the fields of a command that it sets; what cannot be one of them is told in one sentence."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

import tyro

from sweeps.spec.errors import UsageError
from sweeps.spec.kinds import Kind, hints_of, kind_of

HELP = {"-h", "--help"}

_COMPLETION = "--tyro-"
"""Begins options of the library that reads the command line, such as the one that writes a shell's completions."""


@dataclass(frozen=True)
class _Option:
    """A field of a command, and how it is typed; of one that stands alone, without a name, ``names`` is empty."""

    field: str
    names: tuple[str, ...]
    kind: Kind
    needed: bool


def typed(command: type, arguments: Sequence[str]) -> dict[str, list[str]]:
    """Words that were typed for each field of a command, of those that were given; of a flag none.

    Args:
        command: Dataclass of its options, also in dataclasses that are its fields.
        arguments: As typed. Nothing is checked, and nothing returned, if help is asked for.

    Raises:
        UsageError: For an unknown option, a missing or empty value, one of another kind, and a word too many.
    """
    if any(word in HELP or word.startswith(_COMPLETION) for word in arguments):
        return {}
    options = _options(command)
    named = {name: option for option in options for name in option.names}
    alone = [option for option in options if not option.names]
    given: dict[str, list[str]] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not _is_name(word):
            if not alone:
                raise UsageError(f"{_shown(word)}: this is the value of no option; leave it out, or name its option.")
            option, name, words = alone.pop(0), "", [word]
        else:
            name, equals, value = word.partition("=")
            if name not in named:
                raise UsageError(f"{name}: there is no such option; {_instead(name, list(named))}.")
            option, words = named[name], [value] if equals else []
            while rest and len(words) < option.kind.most and not _is_name(rest[0]):
                words.append(rest.pop(0))
        if option.field in given and option.kind.most > 1:
            raise UsageError(f"{name} {' '.join(words)}: it was given before; give all its values after one {name}.")
        _check(name or option.field.upper(), words, option.kind)
        given[option.field] = words
    if missing := [option.field.upper() for option in options if option.needed and option.field not in given]:
        raise UsageError(f"{missing[0]} (nothing): give it; --help says what it is.")
    return given


def _options(command: type) -> list[_Option]:
    """Options of a command, also those of dataclasses that are its fields."""
    found: list[_Option] = []
    hints = hints_of(command)
    for field in fields(command):
        hint = hints[field.name]
        if isinstance(hint, type) and is_dataclass(hint):
            found += _options(hint)
            continue
        kind = kind_of(hint)
        if tyro.conf.Fixed in kind.notes:
            continue
        alone = tyro.conf.Positional in kind.notes
        aliases = [alias for note in kind.notes for alias in getattr(note, "aliases", None) or ()]
        names = () if alone else ("--" + field.name.replace("_", "-"), *aliases)
        found.append(_Option(field.name, names, kind, alone and field.default is MISSING))
    return found


def _is_name(word: str) -> bool:
    """Whether it is the name of an option, and no negative number."""
    return word.startswith("-") and word.lstrip("-")[:1].isalpha() and not _is_number(word)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _check(name: str, words: Sequence[str], kind: Kind) -> None:
    """Raise UsageError unless these can be the values of an option."""
    if kind.most == 0 and words:
        raise UsageError(f"{name}={_shown(words[0])}: it takes no value; give {name} alone, or leave it out.")
    if kind.most == 1 and not words:
        raise UsageError(f"{name} needs a value.")
    for word in words:
        if not word.strip():
            raise UsageError(f"{name} {_shown(word)}: give a value, or leave {name} out.")
        if not kind.reads_text and _is_number(word) and math.isinf(float(word)) and "inf" not in word.lower():
            raise UsageError(f"{name} {word}: it is too large for a number.")
        if not kind.reads(word):
            raise UsageError(f"{name} {word}: it is {kind.rule}.")


def _shown(word: str) -> str:
    return word if word.strip() else "(nothing)"


def _instead(name: str, names: Sequence[str]) -> str:
    near: list[Any] = difflib.get_close_matches(name, names, 1)
    return f"the nearest is {near[0]}" if near else "--help lists them"
