"""Which nodes of a cluster can work. Knows no Ray."""

from collections.abc import Hashable

FAULTS_IN_A_ROW = 5
"""A node on which so many stages failed, and none succeeded in between, is left out."""


class Nodes:
    """What is known of the nodes from the stages that ran there.

    Attributes:
        left_out: Nodes that get no more stages, by their names, with the reason.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}
        self._faults: dict[str, list[Hashable]] = {}
        self._worked: dict[str, int] = {}

    def worked(self, node: str) -> None:
        """A stage had a result there."""
        self._faults.pop(node, None)
        self._worked[node] = self._worked.get(node, 0) + 1

    def times_worked(self, node: str) -> int:
        """How many stages had results there."""
        return self._worked.get(node, 0)

    def failed(self, node: str, stage: Hashable, why: str, is_only: bool) -> None:
        """A stage failed there, by no fault of its own as far as is known; after some in a row the node is left out.

        Args:
            node: The node.
            stage: The stage. If the node is the only one, the same stage again and again tells nothing of the node.
            why: What it said.
            is_only: Whether there is no other node that could work.
        """
        faults = self._faults.setdefault(node, [])
        faults.append(stage)
        if node not in self.left_out and len(set(faults) if is_only else faults) >= FAULTS_IN_A_ROW:
            self.leave_out(node, why)

    def forgive(self, stage: Hashable) -> None:
        """A stage turned out to be at fault itself: that it failed says nothing of any node."""
        for faults in self._faults.values():
            faults[:] = [other for other in faults if other != stage]

    def leave_out(self, node: str, why: str) -> None:
        """Give this node no more stages."""
        self.left_out[node] = why
