"""Plans: which stages to run next, given the results so far. No Ray, no training.

As with ``make``: stages that are wanted, without what is stored, each after those that it needs. What kinds of stages
there are a plan does not know.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, Protocol

from sweeps.results.inventory import Inventory
from trainables.stages import Id, Lost, Part, Stage

Outcome = Literal["ok", "diverged", "failed"]
"""How a stage ended: with results, with a loss that was not finite (a result, too), or for another reason."""


class Plan(Protocol):
    """What a sweep wants, one stage at a time. It is asked for stages that can run and told their outcomes."""

    def ask(self) -> Stage | None:
        """Give the next stage that can run now, once; None if there is none until an outcome is told."""

    def tell(self, stage: Stage, outcome: Outcome, message: str = "") -> list[Lost]:
        """Take the outcome of a stage, and why it failed; give the stages that can no longer run because of it."""

    def tell_kept(self, stage: Stage, parts: Collection[Part]) -> None:
        """Take that a stage that goes on has stored and kept these parts: what needs only them can run."""

    def follow_up(self, stage: Stage) -> Stage | None:
        """Give the stage, if there is one, that waits for this one alone, so that a worker can go on with it."""

    def take(self, stage: Stage) -> bool:
        """Take a stage that could be asked for now; False if it cannot."""

    @property
    def left(self) -> list[Stage]:
        """Stages whose outcome is not known yet, as far as the plan can tell."""

    @property
    def is_done(self) -> bool:
        """Whether none are left; unlike a list of hundreds of thousands this can be asked at every event."""


class StagePlan:
    """Stages that are wanted and not stored, and what they need; more can be wanted on the way.

    Args:
        wanted: Stages that are wanted.
        inventory: What is there.
        candidates: Stages that may be wanted later. Where a stage comes by what they need, it keeps that.
        used_up: Kinds of stages whose artifacts are removed when a stage that needs them is done.
    """

    def __init__(
        self,
        wanted: Sequence[Stage],
        inventory: Inventory,
        candidates: Sequence[Stage] = (),
        used_up: Collection[str] = (),
    ) -> None:
        self._inventory, self._used_up = inventory, used_up
        self._later: dict[Id, set[Part]] = {}
        self._note_needs(candidates)
        self._open: dict[Id, Stage] = {}
        self._again: dict[Id, list[Stage]] = {}
        self._lacks: dict[Id, dict[Id, set[Part]]] = {}
        self._waiting: dict[Id, dict[Id, None]] = {}
        self._failed: dict[Id, tuple[Stage, str]] = {}
        self._ready: deque[Stage] = deque()
        self.want(wanted)

    def want(self, stages: Iterable[Stage]) -> list[Lost]:
        """Add stages; what is stored of them already does not count. Give those that cannot run any more."""
        missing = [(stage, self._inventory.missing_results(stage)) for stage in stages]
        return self._add([self._with_stale(stage, stage.with_parts(parts)) for stage, parts in missing if parts])

    def is_stored(self, stage: Stage) -> bool:
        """Whether all of its parts have results."""
        return self._inventory.is_stored(stage)

    def ask(self) -> Stage | None:
        """Give a stage that can run now."""
        return self._ready.popleft() if self._ready else None

    def tell(self, stage: Stage, outcome: Outcome, message: str = "") -> list[Lost]:
        """Take an outcome: what needs the stage can run, or never can if it failed."""
        del self._open[stage.id], self._lacks[stage.id]
        if outcome == "failed":
            self._failed[stage.id] = stage, message
            again = [Lost(other, stage, message) for other in self._again.pop(stage.id, ())]
            return again + self._lose(stage.id)
        self._inventory.add(stage, stage.parts)
        for need in stage.needs:
            if need.kind in self._used_up:
                self._inventory.remove_artifacts(need)
        waiting = self._take_back(stage.id)
        return self._add(waiting) + self.want(self._again.pop(stage.id, ()))

    def tell_kept(self, stage: Stage, parts: Collection[Part]) -> None:
        """Take that a stage that goes on has kept these parts."""
        self._inventory.add(stage, parts)
        waiting = self._waiting.get(stage.id, {})
        for id in list(waiting):
            lacks = self._lacks[id]
            lacks[stage.id] -= set(parts)
            if not lacks[stage.id]:
                del lacks[stage.id], waiting[id]
            if not lacks:
                self._begin([self._open[id]])

    def follow_up(self, stage: Stage) -> Stage | None:
        """Give the only stage that waits for this one, if it waits for nothing else."""
        waiting = list(self._waiting.get(stage.id, ()))
        if len(waiting) != 1 or stage.gives_parts_early:
            return None
        is_enough = self._lacks[waiting[0]].items() <= {stage.id: set(stage.parts)}.items()
        return self._open[waiting[0]] if is_enough else None

    def take(self, stage: Stage) -> bool:
        """Take a stage that could be asked for now."""
        if stage not in self._ready:
            return False
        self._ready.remove(stage)
        return True

    @property
    def left(self) -> list[Stage]:
        """Stages that were not told of."""
        return list(self._open.values())

    @property
    def is_done(self) -> bool:
        """Whether there are none."""
        return not self._open

    def _add(self, stages: Sequence[Stage]) -> list[Lost]:
        """Begin these stages, or have them wait for others, which are added, too: those first that nothing is before.

        What several need of one work becomes one stage; where that work is being done already, the rest of it waits.
        """
        lost: list[Lost] = []
        added: list[Stage] = []
        level = list(stages)
        while level:
            opened = [stage for stage in level if self._is_opened(stage, lost)]
            needed: dict[Id, Stage] = {}
            for stage in opened:
                for need in stage.needs:
                    parts = self._lacks[stage.id].get(need.id)
                    if not parts:
                        continue
                    self._waiting.setdefault(need.id, {})[stage.id] = None
                    if need.id not in self._open:
                        before = needed[need.id].parts if need.id in needed else ()
                        needed[need.id] = need.with_parts({*before, *parts})
            added = opened + added
            level = [self._with_later(stage) for stage in needed.values()]
        self._begin([stage for stage in added if self._lacks.get(stage.id) == {}])
        return lost

    def _is_opened(self, stage: Stage, lost: list[Lost]) -> bool:
        """Note what a stage lacks; False if it cannot run, or not now since the same work is being done already."""
        if stage.id in self._open:
            self._again.setdefault(stage.id, []).append(stage)
            return False
        lacking = ((need.id, set(self._inventory.missing_artifacts(need))) for need in stage.needs)
        lacks = {id: parts for id, parts in lacking if parts}
        for id in lacks.keys() & self._failed.keys():
            lost += [self._lost(stage, id), *self._lose(stage.id)]
            return False
        self._open[stage.id], self._lacks[stage.id] = stage, lacks
        return True

    def _begin(self, stages: Sequence[Stage]) -> None:
        """Have them asked for: before all others those that nothing waits for, so that things get finished."""
        self._ready.extendleft(reversed([stage for stage in stages if not self._waiting.get(stage.id)]))
        self._ready.extend(stage for stage in stages if self._waiting.get(stage.id))

    def _lose(self, id: Id) -> list[Lost]:
        """Give up all that waits for a stage that failed, and all that waits for those."""
        lost: list[Lost] = []
        for stage in self._take_back(id):
            lost += [self._lost(stage, id), *self._lose(stage.id)]
        return lost

    def _lost(self, stage: Stage, need: Id) -> Lost:
        """Note that a stage cannot run since another failed; the cause is the first that did."""
        cause, why = self._failed[need]
        self._failed[stage.id] = cause, why
        return Lost(stage, cause, why)

    def _take_back(self, id: Id) -> list[Stage]:
        """Take back the stages that wait for this one."""
        waiting = [self._open.pop(other) for other in self._waiting.pop(id, ())]
        for stage in waiting:
            for need in self._lacks.pop(stage.id):
                self._waiting.get(need, {}).pop(stage.id, None)
        return waiting

    def _with_stale(self, wanted: Stage, missing: Stage) -> Stage:
        """What is missing of a stage, with those of its stored parts that come from something made again for it."""
        while again := {(need.id, part) for need in missing.needs for part in self._inventory.made_again(need)}:
            stored = [part for part in wanted.parts if part not in missing.parts]
            stale = [
                part
                for part in stored
                if any((need.id, own) in again for need in wanted.with_parts([part]).needs for own in need.parts)
            ]
            if not stale:
                break
            missing = wanted.with_parts([*missing.parts, *stale])
        return missing

    def _note_needs(self, candidates: Iterable[Stage]) -> None:
        """Note what stages need that may be wanted later, and what that needs."""
        level = list(candidates)
        while level:
            level = [need for stage in level for need in stage.needs]
            for need in level:
                self._later.setdefault(need.id, set()).update(need.parts)

    def _with_later(self, stage: Stage) -> Stage:
        """The stage with what it comes by that may be wanted later."""
        later = stage.with_parts(self._later.get(stage.id, ()))
        return stage.with_parts({*stage.parts, *filter(stage.passes_through, self._inventory.missing_artifacts(later))})
