"""Pruning while training: masks that keep fewer and fewer weights from step to step."""

import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from trainables.methods.method import Method, on_cpu
from trainables.pruning.context import Pruned, State, masked
from trainables.pruning.ranking import highest_of_all, highest_of_each
from trainables.pruning.remains import remains, sizes
from trainables.stacks.stack import Stack
from trainables.training.masks import FeedbackMasks, GradualMasks, MovementMasks
from trainables.training.progress import Progress
from trainables.training.resumable import ResumableTraining

ROUNDING = 1e-9
"""By which densities of the schedule may be too low."""


class Gradual(Method):
    """A training whose masks follow a schedule from density 1 to the lowest that is wanted.

    The models of higher densities are those of the last epoch before the schedule passes them, pruned to them exactly.
    """

    kind: ClassVar[type[GradualMasks]] = GradualMasks

    def until(self, density: float) -> Iterator[Progress]:
        """Train until the next epoch would end below this density; of the lowest to the end."""
        training, started, epochs = self._attempt.training, self._attempt.seconds, self.work.epochs
        above = (epoch for epoch in range(epochs + 1) if self._masks.density_after(epoch / epochs) > density - ROUNDING)
        yield from self.trained(self._attempt, max(above))
        self.seconds += self._attempt.seconds - started
        self.note_divergence(training, "of pruning while training")

    def pruned(self, density: float) -> Pruned:
        """What scores lowest now is dropped."""
        masks = self._masks.pruned_to(density)
        pruned = Pruned(masks, on_cpu(self._attempt.training.stack.states()[0]))
        self._note(pruned, density)
        return pruned

    def before(self) -> State:
        """As it is in training, under the masks that there are now."""
        return masked(on_cpu(self._attempt.training.stack.states()[0]), self._masks.kept())

    def state_dict(self) -> dict[str, Any]:
        """That of the training, too."""
        return super().state_dict() | {"attempt": self._attempt.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self._attempt.load_state_dict(state["attempt"])

    def _note(self, pruned: Pruned, density: float) -> None:
        """Add the model to the table of rounds."""
        started = time.perf_counter()
        left = remains(pruned.state, pruned.masks, sizes(pruned.masks))
        row = {"round": self._attempt.training.epoch, **left.columns()}
        row |= self.work.errors(self.work.stack(self.after(pruned)))
        before = sum(row["seconds"] for row in self.rounds)
        self.seconds += time.perf_counter() - started
        self.rounds.append(row | {"seconds": self.seconds - before})

    @cached_property
    def _stack(self) -> Stack:
        return self.work.stack(self.work.context.state)

    @cached_property
    def _masks(self) -> GradualMasks:
        work, recipe = self.work, self.work.recipe
        assert recipe is not None
        steps = recipe.iterations or work.epochs * work.task.steps_per_epoch(recipe.batch_size)
        choose = highest_of_all if work.settings.scope == "global" else highest_of_each
        return self.kind(
            self._stack, work.context.weights, work.context.density, steps, work.settings.mask_steps, choose
        )

    @cached_property
    def _attempt(self) -> ResumableTraining:
        return self.work.training(self._stack, self._masks, "moving")


class Feedback(Gradual):
    """Dynamic pruning with feedback."""

    kind = FeedbackMasks


class Movement(Gradual):
    """Movement pruning."""

    kind = MovementMasks
