"""What is given to workers: the stages of a plan, and those again that ended without a result. Knows no Ray."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from sweeps.plans.plan import Plan
from sweeps.running.nodes import Nodes
from trainables.stages import Stage


@dataclass
class _Tries:
    """What happened to a stage so far.

    Attributes:
        failures: Where it failed since it got further last: the node, if that is known, and how many other stages had
            had results there.
        reached: Epochs that it reported.
        before: Those at its last failure.
    """

    failures: list[tuple[str, int]] = field(default_factory=list)
    reached: float = 0.0
    before: float = 0.0


class StageQueue:
    """Gives stages, and decides which of them are given again.

    A stage that ended without a result, because of a fault or because its worker died, is given again, as often as
    ``max_failures`` without getting further. Then it counts as failed, unless all of that happened on a node of which
    nothing better is known: then another node has to try.

    Args:
        plan: Where stages come from.
        max_failures: How often a stage may fail without getting further before it is given up.
        workers: Gives the nodes that are there and large enough for a stage.

    Attributes:
        nodes: What is known of them.
    """

    def __init__(self, plan: Plan, max_failures: int, workers: Callable[[], Collection[str]]) -> None:
        self.plan, self.nodes = plan, Nodes()
        self._max_failures, self._workers = max_failures, workers
        self._again: deque[Stage] = deque()
        self._tries: dict[Stage, _Tries] = {}

    def ask(self) -> Stage | None:
        """Give a stage that can run now."""
        return self._again.popleft() if self._again else self.plan.ask()

    def give_back(self, stage: Stage) -> None:
        """Take back a stage that was not begun, or cannot go on now."""
        self._again.append(stage)

    def reached(self, stage: Stage, epochs: float) -> None:
        """Take note of how far a stage is."""
        tries = self._tries.setdefault(stage, _Tries())
        tries.reached = max(tries.reached, epochs)

    def worked(self, stage: Stage, node: str) -> None:
        """A stage had a result."""
        self._tries.pop(stage, None)
        self.nodes.worked(node)

    def failed(self, stage: Stage, node: str, why: str, own: bool = False) -> bool:
        """Take back a stage that ended without a result; False if it is given up.

        Args:
            stage: The stage.
            node: Where it ran; empty if that is not known.
            why: What went wrong.
            own: Whether that seems to be the stage's own fault: then one other try is enough, elsewhere.
        """
        others = self._able() - {node}
        if node and (others or not own):
            self.nodes.failed(node, stage, why, is_only=not others)
        tries = self._tries.setdefault(stage, _Tries())
        if tries.reached > tries.before:
            tries.failures.clear()
        tries.before = tries.reached
        tries.failures.append((node, self.nodes.times_worked(node)))
        elsewhere = not node or not others or len(set(tries.failures)) > 1
        most = min(bool(others), self._max_failures) if own else self._max_failures
        if len(tries.failures) > most and elsewhere:
            del self._tries[stage]
            if own:
                self.nodes.forgive(stage)
            return False
        self._again.append(stage)
        return True

    def no_node_is_left(self) -> bool:
        """Whether all nodes that are there are left out; not if there are none, for then some are still to come."""
        if not self.nodes.left_out:
            return False
        workers = set(self._workers())
        return bool(workers) and workers <= self.nodes.left_out.keys()

    def _able(self) -> set[str]:
        return set(self._workers()) - self.nodes.left_out.keys()
