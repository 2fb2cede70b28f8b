"""Options whose value is one of the names in a registry, which alone says what there is and what it means."""

from collections.abc import Collection, Mapping
from typing import Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from sweeps.spec.errors import UsageError


def choice_rule(names: Collection[str]) -> str:
    """That a value is one of these names, for a person."""
    return f"it is one of {', '.join(names)}"


def one_of(option: str, names: Collection[str], optional: bool = False) -> PrimitiveConstructorSpec[Any]:
    """How the command line reads one of these names: an annotation, where a ``Literal`` would repeat them.

    Args:
        option: The option.
        names: What it may be.
        optional: Whether it may be None, too.
    """

    def read(words: list[str]) -> str | None:
        if optional and words[0] == "None":
            return None
        if words[0] not in names:
            raise UsageError(f"{option} {words[0]}: {choice_rule(names)}.")
        return words[0]

    metavar = "{" + ",".join([*(["None"] if optional else []), *names]) + "}"
    fits = lambda value: isinstance(value, str) or (optional and value is None)  # noqa: E731
    return PrimitiveConstructorSpec(1, metavar, read, fits, lambda value: [str(value)])


TRUTH = {"true": True, "True": True, "false": False, "False": False}
"""Words for yes and no."""


def true_or_false() -> PrimitiveConstructorSpec[Any]:
    """How the command line reads one of :data:`TRUTH`, or None: an annotation, for options that are not flags."""
    known: dict[str, bool | None] = {"None": None, **TRUTH}
    fits = lambda value: value is None or isinstance(value, bool)  # noqa: E731
    return PrimitiveConstructorSpec(
        1, "{None,true,false}", lambda words: known[words[0]], fits, lambda value: [str(value)]
    )


def described(what: str, registry: Mapping[str, object], besides: str = "") -> Any:
    """Help of an option, with each name and, as text, what it stands for: an annotation.

    Args:
        what: The option.
        registry: Names, and what they stand for.
        besides: What else it may be.
    """
    entries = [f"{name}, {entry}" for name, entry in registry.items()]
    return tyro.conf.arg(help=f"{what}: {'; '.join([*entries, *([besides] if besides else [])])}.")
