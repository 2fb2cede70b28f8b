"""Pruning in rounds as work of its own: so many rounds of a method, whatever densities they come to."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from trainables.stages.method_stage import MethodStage
from trainables.stages.siblings import Keep
from trainables.stages.stage import Execution, Label, Row, Rows

if TYPE_CHECKING:
    from trainables.methods.method import Method
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine

ROUNDS = "rounds"
"""The table: a row for each round that a method trained."""


@dataclass(frozen=True)
class RoundsStage(MethodStage):
    """Run a method through its rounds, up to the last of these (ascending, from 1).

    Round k trains the model that was pruned k times; of filters, that lost some k - 1 times. The dense model is none.
    A method that can prune no more goes on training with the same masks.

    Raises:
        ValueError: If the method has not so many rounds; one sentence for the user.
    """

    rounds: tuple[int, ...]
    label: Label | None = None

    kind = "rounds"

    def __post_init__(self) -> None:
        run, last = self.pruning, max(self.rounds, default=0)
        if last > run.most_rounds:
            has = f"ends after {run.most_rounds}" if run.most_rounds else "does not train in rounds"
            raise ValueError(f"round {last} of {run.pruner.partition('#')[0]} is wanted, which {has}")
        if min(self.rounds, default=1) < 1:
            raise ValueError(f"round {min(self.rounds)} is wanted; rounds count from 1, and the dense model is none")

    @property
    def parts(self) -> tuple[int, ...]:  # type: ignore[override]  # derived
        """The numbers of the rounds."""
        return self.rounds

    def with_parts(self, parts: Collection[int]) -> Self:
        """The same run, with these rounds."""
        return type(self)(self.pruning, tuple(sorted(parts)), self.label)

    @property
    def completes_point(self) -> bool:
        """Whether it has a place in a sweep, where it is what people count."""
        return self.label is not None

    def passes_through(self, part: int) -> bool:
        """Whether it comes by this round."""
        return part < self.rounds[-1]

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """One row for each round."""
        return (ROUNDS,)

    def part_columns(self, part: int) -> Row:
        """Run and round; its density is known when it was trained."""
        return {"pruning": self.pruning.key, "round": part, "density": math.nan}

    def failed_rows(self, message: str) -> Rows:
        """Rows that say of every round why there is no result."""
        return {ROUNDS: [row | _NOTHING for row in super().failed_rows(message)[ROUNDS]]}

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Run and round."""
        return ["pruning", "round"]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[int]]:
        """A row is a round."""
        return row["pruning"], [row["round"]]

    def execute(self, machine: "Machine") -> Execution:
        """Run the method from wherever it is kept, be it on its way to densities; it is kept after every round."""
        from trainables.stages.at_work import begun, take_up_density

        rows: list[Row] = []
        method = begun(self.pruning, machine, self.end, self.trainings, counts_rounds=True)
        take_up_density(method, self.pruning)
        method.take_up()
        for number in self.rounds:
            yield from method.through(number)
            rows.append(self._row(number, method))
            if number != self.rounds[-1]:
                yield replace(method.told, rows={ROUNDS: rows[-1:]})
        return {ROUNDS: rows}

    def _row(self, number: int, method: "Method") -> Row:
        if number <= method.done:
            return round_row(self.key, method.rounds[number - 1])
        lost = {"status": "diverged", "message": method.diverged, "seconds": 0.0}
        return self.part_columns(number) | _NOTHING | lost

    @property
    def trainings(self) -> int:
        """One for each round."""
        return self.rounds[-1]

    @property
    def tried_densities(self) -> tuple[float, ...]:
        """The one that filters end with."""
        return (self.pruning.end or 1.0,)

    def seconds(self, costs: "StageCosts") -> float:
        """Trainings, as if all were of the density that the lottery comes to in the round in the middle."""
        density = (
            1.0 if self.pruning.method.is_of_filters else (1 - self.pruning.settings.share) ** (self.trainings / 2)
        )
        return self.training_seconds(costs, density)

    def kept_bytes(self, keep: Keep) -> int:
        """What the method goes on from: weights, and a bit for each that can be pruned."""
        from trainables.stages.cost import model_bytes

        size = model_bytes(self.run.model, self.run.data)
        return size.everything + size.prunable // 32


_NOTHING: Row = {
    **dict.fromkeys(("pq_index", "train_error", "validation_error", "test_error"), math.nan),
    "density_by_layer": {},
    "pq_index_by_layer": {},
}
"""Columns of a round that was not trained."""


def round_row(key: str, done: Row) -> Row:
    """Row of a round that a method did.

    Args:
        key: Of its run.
        done: What the method noted of it.
    """
    return {"pruning": key, "status": "ok", "message": ""} | done
