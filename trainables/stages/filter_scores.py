"""Scoring the filters of a dense model by all measures of importance that pruning rules rank them by."""

import json
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from trainables.pruning import RULES, Method
from trainables.stages.dense import DenseStage, dense_model, diverged_epoch
from trainables.stages.dense_run import NOT_FINITE, DenseRun
from trainables.stages.stage import Execution, Row, Stage

if TYPE_CHECKING:
    from trainables.stages.cost import StageCosts
    from trainables.stages.machine import Machine

TABLE = "filter_scores"
"""The table: a row for each dense model and measure."""

_RULES = {name: rule for name, rule in RULES.items() if isinstance(rule, Method) and rule.is_of_filters}

MEASURES = tuple(_RULES)
"""Measures of importance, by the names of the pruning rules that remove what scores lowest."""

PASSES = 7
"""Gradients of the sample in batches that all measures take together: one, and for Hessian products about six."""

WORK = 3.0
"""Of scoring a model, in epochs of training: on `digits` 2.2 seconds, where an epoch takes 0.7."""


@dataclass(frozen=True)
class FilterScoresStage(Stage):
    """Score the filters of a dense model as it was after each of these epochs (ascending).

    Its parts are epochs with a measure each, so that an epoch counts as stored once all of its measures are. Measures
    share gradients, so all of an epoch are taken together.
    """

    run: DenseRun
    epochs: tuple[int, ...]

    kind = "filter_scores"
    label = None

    def __str__(self) -> str:
        return f"scores of the filters of {DenseStage(self.run, self.epochs)}"

    @property
    def key(self) -> str:
        """That of the training."""
        return self.run.key

    @property
    def parts(self) -> tuple[tuple[int, str], ...]:  # type: ignore[override]  # derived
        """All measures of every epoch."""
        return tuple((epoch, measure) for epoch in self.epochs for measure in MEASURES)

    def with_parts(self, parts: Collection[tuple[int, str]]) -> Self:
        """The same training, with the epochs of these, each by all measures."""
        return type(self)(self.run, tuple(sorted({epoch for epoch, _ in parts})))

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The dense models, and those of other epochs that measures take."""
        others = {epoch for rule in _RULES.values() for epoch in rule.epochs}
        return (DenseStage(self.run, tuple(sorted({*self.epochs, *others}))),)

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """One row for each model and measure."""
        return (TABLE,)

    def part_columns(self, part: tuple[int, str]) -> Row:
        """Training, epoch and measure."""
        epoch, measure = part
        return {"dense": self.run.key, "epoch": epoch, "measure": measure}

    def common_columns(self) -> Row:
        """What decides the training."""
        return self.run.columns() | {"configuration": json.dumps(asdict(self.run), sort_keys=True)}

    @classmethod
    def columns_read(cls, table: str) -> Sequence[str]:
        """Training, epoch and measure."""
        return ["dense", "epoch", "measure"]

    @classmethod
    def parts_in_row(cls, table: str, row: Mapping[str, Any]) -> tuple[str, Iterable[tuple[int, str]]]:
        """A row is a measure of an epoch."""
        return row["dense"], [(row["epoch"], row["measure"])]

    def execute(self, machine: "Machine") -> Execution:
        """Score model by model; a measure that a model cannot have gives no scores, and says why."""
        from trainables.training.progress import Progress

        rows: list[Row] = []
        for done, epoch in enumerate(self.epochs, start=1):
            started = time.perf_counter()
            if diverged := diverged_epoch(dense_model(self.run, epoch, machine.folder)):
                known: Row = {"status": "diverged", "message": NOT_FINITE.format(diverged, "dense training")}
                own = [known | {"measure": measure, "scores": []} for measure in MEASURES]
            else:
                own = self._scores(epoch, machine)
            seconds = (time.perf_counter() - started) / len(own)
            own = [self.part_columns((epoch, row["measure"])) | row | {"seconds": seconds} for row in own]
            yield Progress(done, len(self.epochs), rows={TABLE: own})
            rows += own
        return {TABLE: rows}

    def _scores(self, epoch: int, machine: "Machine") -> list[Row]:
        """Of one model by each measure."""
        import torch

        from trainables.pruning.filter_scores import FILTER_SCORES, products_of
        from trainables.pruning.filters import EXAMPLES, channel_groups
        from trainables.stages.pruning_context import dense_context

        context = dense_context(self.run, epoch, 1.0, machine)
        model, initial = context.model_at(epoch), context.state_at(0)
        groups = channel_groups(model, context.example_inputs(EXAMPLES))
        products = products_of(context, model, lambda: initial)
        for product in (products.first_order, products.second_order, products.fisher_information):
            product()  # what goes wrong there is no matter of one measure
        rows: list[Row] = []
        for measure in MEASURES:
            try:
                scores, message = torch.cat(FILTER_SCORES[measure](model, groups, products)).tolist(), ""
            except ValueError as error:
                scores, message = [], str(error)
            rows.append({"measure": measure, "status": "ok", "message": message, "scores": scores})
        return rows

    @property
    def work(self) -> float:
        """Passes over the sample."""
        return WORK * len(self.epochs)

    def seconds(self, costs: "StageCosts") -> float:
        """Gradients in batches, and those of single examples, taken as half of steps with two of them."""
        from trainables.pruning.gradient_scores import EXAMPLES

        images = min(EXAMPLES, costs.sizes(self.run).train)

        def steps(batch_size: int, passes: int) -> float:
            number = math.ceil(images / batch_size) * passes
            recipe = replace(self.run.recipe, batch_size=batch_size, iterations=number, rho=0.0)
            return costs.training(self.run, recipe, 1, 1)

        return len(self.epochs) * (steps(64, PASSES) + steps(2, 1))
