"""What values a field of a dataclass may have by its type, as words on the command line and as plain data."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from sweeps.spec.choices import TRUTH, choice_rule


@dataclass(frozen=True)
class Said:
    """What a value is, for a person, in place of what its type says: an annotation."""

    rule: str


LmcThreshold = Annotated[float | Literal["auto"], Said("a negative number, or auto")]
"""Type of options of a threshold of LMC."""


@dataclass(frozen=True)
class Kind:
    """Values of a field.

    Attributes:
        types: Each value is of one of them: types, or a ``Literal``.
        most: Words that are typed for it at most: 0 for a flag, 1, or any number.
        notes: What annotations say of it.
    """

    types: tuple[Any, ...]
    most: float
    notes: tuple[Any, ...]

    def reads(self, word: str) -> bool:
        """Whether a word can be one of the values."""
        return any(_reads(word, kind) for kind in self.types)

    def holds(self, value: object) -> bool:
        """Whether plain data can be the value; a whole number is a number, too."""
        if self.most > 1 and isinstance(value, tuple):
            return all(any(_holds(each, kind) for kind in self.types if kind is not NoneType) for each in value)
        if self.most > 1 and value is not None:
            return False
        return any(_holds(value, kind) for kind in self.types)

    @property
    def reads_text(self) -> bool:
        """Whether any word can be one of the values."""
        return str in self.types

    @property
    def rule(self) -> str:
        """What a value is, for a person."""
        for note in self.notes:
            if isinstance(note, Said):
                return note.rule
        if float in self.types:
            return "a number"
        if int in self.types:
            return "a whole number"
        if bool in self.types:
            return "true or false"
        names = [str(name) for kind in self.types for name in get_args(kind)]
        return choice_rule(names).removeprefix("it is ") if names else "text"


def kind_of(hint: Any) -> Kind:
    """Kind of a field with this type: of text, numbers, truth and names, of several of one, or of None as well."""
    types, notes = _leaves(hint)
    many = math.inf if any(get_origin(kind) is tuple for kind in types) else 1.0
    inner = [
        leaf for kind in types for leaf in (_leaves(get_args(kind)[0])[0] if get_origin(kind) is tuple else [kind])
    ]
    return Kind(tuple(inner), 0 if inner == [bool] and many == 1 else many, tuple(notes))


def hints_of(owner: type) -> dict[str, Any]:
    """Types of the fields of a dataclass, with their annotations."""
    return get_type_hints(owner, include_extras=True)


def check_kinds(owner: type, values: Mapping[str, object]) -> None:
    """Raise TypeError if plain data cannot be the values of these fields of a dataclass; of others nothing is said."""
    hints = hints_of(owner)
    for name in hints.keys() & values.keys():
        if not (kind := kind_of(hints[name])).holds(values[name]):
            several = "several, of which each is " if kind.most > 1 else ""
            raise TypeError(f"{name} is {values[name]!r}; it is {several}{kind.rule}")


def _leaves(hint: Any) -> tuple[list[Any], list[Any]]:
    """Types of a union without their annotations, and these."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        types, more = _leaves(inner)
        return types, [*notes, *more]
    if get_origin(hint) in (Union, UnionType):
        found = [_leaves(each) for each in get_args(hint)]
        return [kind for types, _ in found for kind in types], [note for _, notes in found for note in notes]
    return [hint], []


def _reads(word: str, kind: Any) -> bool:
    if kind in (int, float):
        try:
            kind(word)
        except ValueError:
            return False
        return True
    if kind in (bool, NoneType):
        return word in (TRUTH if kind is bool else ("None",))
    return word in map(str, get_args(kind)) if get_origin(kind) is Literal else True


def _holds(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return False
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind if isinstance(kind, type) else True
