"""What is there of stages: results that are stored, and artifacts that are kept for the stages that need them."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from trainables.stages import KINDS, Part, Stage

if TYPE_CHECKING:
    from sweeps.results.store import Store

Have = Mapping[str, Collection[Part]]
"""Parts by the keys of stages of one kind."""


class Inventory:
    """Parts of stages that are there. Each kind of stage is looked up once, when it is first asked for.

    Args:
        stored: Gives the parts that have results, by the keys of a kind's stages.
        artifacts: Gives those whose artifacts are there.
    """

    def __init__(self, stored: Callable[[str], Have], artifacts: Callable[[str], Have]) -> None:
        self._look = {"stored": stored, "artifacts": artifacts}
        self._found: dict[tuple[str, str], dict[str, set[Part]]] = {}

    def is_stored(self, stage: Stage) -> bool:
        """Whether all of its parts have results, and so have those that these are read with."""
        return not self.missing_results(stage)

    def missing_results(self, stage: Stage) -> list[Part]:
        """Parts that lack a result, or one that it is read with."""
        have = self._have("stored", stage)
        missing = [part for part in stage.parts if part not in have]
        if len(missing) < len(stage.parts) and not all(map(self.is_stored, stage.read_with)):
            there = (part for part in stage.parts if part in have)
            missing += [part for part in there if not all(map(self.is_stored, stage.with_parts([part]).read_with))]
        return missing

    def missing_artifacts(self, stage: Stage) -> list[Part]:
        """Parts that cannot be used: without a result, or whose artifacts are gone."""
        stored, kept = self._have("stored", stage), self._have("artifacts", stage)
        return [part for part in stage.parts if part not in stored or part not in kept]

    def made_again(self, stage: Stage) -> list[Part]:
        """Parts that have results, but whose artifacts are gone: who needs these has them made again."""
        stored = self._have("stored", stage)
        return [part for part in self.missing_artifacts(stage) if part in stored]

    def add(self, stage: Stage, parts: Collection[Part]) -> None:
        """Take that these parts are stored and kept now."""
        for what in self._look:
            self._of_kind(what, stage.kind).setdefault(stage.key, set()).update(parts)

    def remove_artifacts(self, stage: Stage) -> None:
        """Take that its artifacts are gone."""
        self._have("artifacts", stage).difference_update(stage.parts)

    def _have(self, what: str, stage: Stage) -> set[Part]:
        return self._of_kind(what, stage.kind).setdefault(stage.key, set())

    def _of_kind(self, what: str, kind: str) -> dict[str, set[Part]]:
        if (what, kind) not in self._found:
            found = self._look[what](kind)
            self._found[what, kind] = {key: set(parts) for key, parts in found.items()}
        return self._found[what, kind]


def inventory_of(store: "Store") -> Inventory:
    """What is there in a store."""
    return Inventory(lambda kind: store.stored(KINDS[kind]), lambda kind: store.artifacts_of(KINDS[kind]))
