"""Removing whole filters: at once, or in rounds after a little training each."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from trainables.methods.method import Method, Work, on_cpu
from trainables.pruning.channels import ChannelGroup, filters, highest_channels, left, without_channels
from trainables.pruning.context import Pruned, PruningContext, State
from trainables.pruning.filter_scores import FILTER_SCORES, Products, products_of
from trainables.pruning.filters import EXAMPLES, channel_groups, pruned_filters
from trainables.pruning.remains import remains, sizes
from trainables.pruning.schedules import telescoping_share
from trainables.training.progress import Progress

ROUNDING = 1e-9
"""By which shares of the schedule may be off."""


class Filters(Method):
    """Remove the filters that score lowest of the whole model (Lubana and Dick 2021, arXiv 2009.11839, section 5).

    With one round that is done at once. With more, every round first trains the model for some epochs, at the beginning
    of the schedule and with a new optimizer, and removes a share of the remaining filters: that of
    :func:`trainables.pruning.schedules.telescoping_share`. Theirs begin with the initial weights; here with those of
    the dense model, which may have been trained for an epoch. Densities are shares of the filters.
    """

    @classmethod
    def check(cls, pruner: str, context: PruningContext, densities: Sequence[float]) -> None:
        """Remove filters from a model that was not trained, by scores of which none are gradients."""
        model = context.model_at(context.epoch)
        nothing = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
        inputs = context.example_inputs(EXAMPLES)
        groups = channel_groups(model, inputs)
        scores = FILTER_SCORES[pruner](model, groups, Products(*[lambda: nothing] * 4))
        for density in densities:
            pruned_filters(model, groups, highest_channels(scores, density), inputs)

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._scores: list[Tensor] | None = None
        self._become(on_cpu(work.context.state))
        self._is_trained = work.recipe is None
        self._kept = [torch.ones(group.channels, dtype=torch.bool) for group in self._all_groups]

    def until(self, density: float) -> Iterator[Progress]:
        """Train and remove round by round, until the next removal would pass this share of the filters."""
        self.take_up(density)
        while not self.diverged:
            if not self._is_trained:
                yield from self._train()
            after = self._share_after(max(1, self.done))
            if self.work.recipe is None or self.diverged or after <= density + ROUNDING:
                return
            self._remove(after)

    def through(self, rounds: int) -> Iterator[Progress]:
        """Train, and remove before every training but the first, until so many are done."""
        while self.done < rounds and not self.diverged:
            if self._is_trained:
                self._remove(self._share_after(self.done))
            yield from self._train()

    def pruned(self, density: float) -> Pruned:
        """A smaller model, of which nothing is masked."""
        return Pruned({}, self._without(self._highest(density)))

    def before(self) -> State:
        """With the filters that it still has, as trained so far."""
        return self._state

    def is_past(self, density: float) -> bool:
        """Whether a round removed as many, or more."""
        return self._share_after(self.done - 1) <= density + ROUNDING

    def state_dict(self) -> dict[str, Any]:
        """The smaller model that there is, and which filters it has."""
        own = {"model": self._state, "kept": [each.clone() for each in self._kept], "is_trained": self._is_trained}
        return super().state_dict() | own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self._become(state["model"])
        self._kept, self._is_trained = [each.clone() for each in state["kept"]], state["is_trained"]

    @cached_property
    def _all_groups(self) -> list[ChannelGroup]:
        """Of the model with all its filters."""
        context = self.work.context
        return channel_groups(context.model_at(context.epoch).cpu(), context.example_inputs(EXAMPLES))

    def _share_after(self, rounds: int) -> float:
        """Share of the filters that is left after so many rounds."""
        share, number = 1.0, self.work.settings.rounds
        for each in range(1, rounds + 1):
            share *= 1 - telescoping_share(1 - self.work.context.density, each, number)
        return share

    def _become(self, state: State) -> None:
        """Be another model, of which no scores are known."""
        self._state, self._scores = state, None

    def _highest(self, share: float) -> list[Tensor]:
        """Of the filters that are left which are kept, if this share of all stays."""
        groups = left(self._all_groups, self._kept)
        if self._scores is None:
            model = self.work.context.model_of(self._state)
            self._scores = FILTER_SCORES[self.work.pruner](
                model, groups, products_of(self.work.context, model, self._initial)
            )
        return highest_channels(self._scores, share * filters(self._all_groups) / filters(groups))

    def _remove(self, share: float) -> None:
        """Become the smaller model that has this share of all filters, and is not trained yet."""
        kept = self._highest(share)
        self._become(self._without(kept))
        for all_of_group, own in zip(self._kept, kept, strict=True):
            all_of_group[all_of_group.nonzero().flatten()] = own
        self._is_trained = False

    def _without(self, kept: Sequence[Tensor]) -> State:
        model, inputs = self.work.context.model_of(self._state).cpu(), self.work.context.example_inputs(EXAMPLES)
        return on_cpu(pruned_filters(model, left(self._all_groups, self._kept), kept, inputs))

    def _initial(self) -> State:
        """Initial weights of the filters that there still are."""
        return without_channels(self.work.context.state_at(0), self._all_groups, self._kept)

    def _train(self) -> Iterator[Progress]:
        """Train for a round."""
        work, number = self.work, len(self.rounds) + 1
        stack = work.stack(self._state)
        attempt = work.training(stack, {}, str(number))
        yield from self.trained(attempt, work.epochs, len(self.rounds))
        started = time.perf_counter()
        self.note_divergence(attempt.training, f"of round {number} of pruning")
        self._become(on_cpu(stack.states()[0]))
        self._is_trained = True
        rest = remains(self._state, {}, sizes(work.context.weights))
        row = {"round": number, **rest.columns(), **work.errors(stack)}
        self.round_is_done(row, attempt, time.perf_counter() - started)
