"""What studies have in common: several sweeps in one, which differ in what the study compares."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, TypeVar

import tyro

from sweeps.spec.checks import require
from sweeps.spec.choices import choice_rule
from sweeps.spec.errors import UsageError
from sweeps.spec.kinds import hints_of
from sweeps.spec.spec import SweepSpec
from trainables.stages import PointStage

T = TypeVar("T")


@dataclass(frozen=True)
class Study(SweepSpec):
    """A study. Its fields of a sweep are what its sweeps have in common.

    Attributes:
        name: Of the study: of its command, and of its files in a results folder.
        has_picture: Whether its results are drawn; otherwise its command alone says what they are.
        of_reading: Fields that decide no result, only how results are read.
    """

    name: ClassVar[str]
    has_picture: ClassVar[bool] = True
    of_reading: ClassVar[tuple[str, ...]] = ()
    MARK: ClassVar[str] = "study"
    """Says in a file which study it is of."""

    def to_json(self) -> str:
        """Text that :func:`sweeps.spec.studies.sweep_from_json` reads."""
        return json.dumps({self.MARK: self.name, **json.loads(super().to_json())}, indent=2)

    def variants(self) -> dict[str, SweepSpec]:
        """Its sweeps, by what they are called in tables and pictures."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise UsageError unless all of its sweeps can be run."""
        for variant in self.variants().values():
            variant.check()

    @property
    def data_names(self) -> set[str]:
        """Those of all of its sweeps."""
        return {name for variant in self.variants().values() for name in variant.data_names}

    def points(self) -> list[PointStage]:
        """Those of all of its sweeps; a point of several is one."""
        return list({stage.key: stage for own in self.points_by_variant().values() for stage in own}.values())

    def points_by_variant(self) -> dict[str, list[PointStage]]:
        """Points of each of its sweeps."""
        return {
            name: [stage.of_variant(name) for stage in variant.points()] for name, variant in self.variants().items()
        }

    def plain(self, **changed: Any) -> SweepSpec:
        """A sweep with what they have in common, and this changed."""
        return SweepSpec(**{field.name: getattr(self, field.name) for field in fields(SweepSpec)} | changed)

    def check_names(self, option: str, names: Sequence[Any], known: Collection[str] = ()) -> None:
        """Raise UsageError unless there are some, each once, and of these if any are known."""
        for name in names if known else ():
            require(name in known, option, name, choice_rule(known))
        words = " ".join(map(str, names))
        if not names:
            raise UsageError(f"{option} (nothing): name at least one.")
        if len(set(names)) < len(names):
            raise UsageError(f"{option} {words}: name each once.")


def without_options(*names: str) -> Callable[[type[T]], type[T]]:
    """Take these fields' options from a command line: a decorator of a dataclass, whose values of them are fixed."""

    def hide(owner: type[T]) -> type[T]:
        hints = hints_of(owner)
        own = {name: Annotated[hints[name], tyro.conf.Suppress, tyro.conf.Fixed] for name in names}
        owner.__annotations__ = owner.__annotations__ | own
        return owner

    return hide
