"""Pruning in rounds: train, drop some of the smallest weights, and again."""

import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from metrics.sparsity import P, Q
from metrics.sparsity import density as density_of
from trainables.methods.method import Method, Work, all_kept, on_cpu
from trainables.pruning.context import Pruned, State, masked
from trainables.pruning.packing import pack_masks, unpack_masks
from trainables.pruning.ranking import highest_of_all, highest_of_each
from trainables.pruning.remains import remains, sizes
from trainables.pruning.sap import SapSettings, masks_at_density
from trainables.pruning.sap import pruned_masks as sap_masks
from trainables.training.progress import Progress

Masks = dict[str, Tensor]


class Rounds(Method):
    """Rounds that drop a share of the remaining weights, the smallest.

    The first prunes the dense model; each later one trains before. A density between those of two rounds is pruned to
    from what the later one would be pruned from.

    Attributes:
        nearly: Times a density that is wanted: no round is trained that would come so near, and so differ by the
            rounding of counts alone.
    """

    nearly: ClassVar[float] = 1.01

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._state = on_cpu(work.context.state)
        self._masks = all_kept(work.context.weights)

    def until(self, density: float) -> Iterator[Progress]:
        """Train round by round until the next would drop as much as is wanted, or more."""
        self.take_up(density)
        while not self.diverged:
            masks = self._next()
            if density_of(masks) <= self.nearly * density:
                return
            if density_of(masks) == density_of(self._masks) or len(self.rounds) == self._most_rounds:
                raise ValueError(self._stopped(density))
            yield from self._round(masks)

    def through(self, rounds: int) -> Iterator[Progress]:
        """Train round by round until so many are done.

        Masks of which no more can be dropped are trained again, as in the published code of SAP.
        """
        while self.done < rounds and not self.diverged:
            yield from self._round(self._next())

    def pruned(self, density: float) -> Pruned:
        """The smallest of the weights that are left are dropped."""
        return Pruned(self._pruned_to(density), self._start())

    def before(self) -> State:
        """As the last round left it; the dense model before the first."""
        return self._state

    def after(self, pruned: Pruned) -> State:
        """Siblings begin with other weights where these are rewound."""
        return masked(self._state, pruned.masks)

    def is_past(self, density: float) -> bool:
        """Whether the masks keep as few, or nearly, or rounds went on where :meth:`until` gives up."""
        densities = {1.0, *(row["density"] for row in self.rounds)}
        went_on = len(densities) <= self.done or self.done > (self._most_rounds or self.done)
        return went_on or density_of(self._masks) <= self.nearly * density

    def state_dict(self) -> dict[str, Any]:
        """Masks and weights of the last round."""
        return super().state_dict() | {"masks": pack_masks(self._masks), "model": self._state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        self._masks, self._state = unpack_masks(state["masks"]), state["model"]

    @property
    def _rewind_epoch(self) -> int | None:
        """Epoch of the dense training whose weights rounds and siblings begin with; None for those that they have."""
        return self.work.settings.rewind_epoch

    @property
    def _most_rounds(self) -> int | None:
        """Of training; None for as many as it takes."""
        return None

    @property
    def _weights(self) -> dict[str, Tensor]:
        return {name: self._state[name] for name in self._masks}

    @property
    def _magnitudes(self) -> dict[str, Tensor]:
        """Of the weights that are left; what was dropped is below them."""
        pairs = ((name, self._state[name], mask) for name, mask in self._masks.items())
        return {name: torch.where(mask, weight.abs(), -1.0) for name, weight, mask in pairs}

    def _start(self) -> State:
        """Weights that a round, or siblings, begin with."""
        return self._state if self._rewind_epoch is None else self.work.context.state_at(self._rewind_epoch)

    @abstractmethod
    def _next(self) -> Masks:
        """Masks of the next round."""

    @abstractmethod
    def _pruned_to(self, density: float) -> Masks:
        """Masks of a density that is not below that of the next round."""

    def _stopped(self, wanted: float) -> str:
        reached = f"{self.work.pruner} stopped at density {density_of(self._masks):.4g}"
        done = f"after {len(self.rounds)} rounds of training, and {wanted:g} is not reached"
        return f"{reached} {done}: it may with more --prune-rounds or another --sap-p, --sap-q or --sap-gamma"

    def _round(self, masks: Masks) -> Iterator[Progress]:
        """Train under these masks."""
        work, number = self.work, len(self.rounds) + 1
        stack = work.stack(self._start(), masks)
        attempt = work.training(stack, masks, str(number))
        training = attempt.training
        training.epoch = self._rewind_epoch or 0
        yield from self.trained(attempt, work.epochs, len(self.rounds))
        started = time.perf_counter()
        self.note_divergence(training, f"of round {number} of pruning")
        self._state, self._masks = on_cpu(stack.states()[0]), masks
        left = remains(self._state, masks, sizes(masks)).columns(*self._orders)
        row = {"round": number, **left, **work.errors(stack)}
        self.round_is_done(row, attempt, time.perf_counter() - started)

    @property
    def _orders(self) -> tuple[float, float]:
        """The p and q of the PQ Index that the table of rounds has."""
        return P, Q


class Lottery(Rounds):
    """The lottery-ticket procedure (Frankle and Carbin 2019, arXiv 1803.03635, strategy 1 of appendix B).

    Rounds train as the dense model was trained, from its weights at the epoch that they are rewound to, 0 as published
    or a later one (Frankle et al. 2020, arXiv 1912.05671), to the epoch at which it is pruned. Siblings begin there.
    """

    def _next(self) -> Masks:
        share = 1 - self.work.settings.share
        if self.work.settings.scope == "global":
            return highest_of_all(self._magnitudes, share * density_of(self._masks))
        layers = self._magnitudes.items()
        masks: Masks = {}
        for name, magnitudes in layers:
            kept = int(self._masks[name].count_nonzero()) / magnitudes.numel()
            masks |= highest_of_each({name: magnitudes}, share * kept)
        return masks

    def _pruned_to(self, density: float) -> Masks:
        choose = highest_of_all if self.work.settings.scope == "global" else highest_of_each
        return choose(self._magnitudes, density)


class Iterative(Lottery):
    """The same without rewinding: rounds of fine-tuning, with the recipe of retraining (Han et al. 2015)."""

    @property
    def _rewind_epoch(self) -> None:
        return None


class OneShot(Lottery):
    """Pruning at once by the magnitudes of the dense model, with the weights rewound as those of a lottery ticket.

    It prunes to a density without any training. A round trains the model that was pruned at once to what the lottery
    leaves in its round of that number, as the baseline of Diao et al. 2023 (ICLR). Their code ranks the weights of the
    first model in its list, which is the initial one, and their paper says the trained one: that is our reading.
    """

    def until(self, density: float) -> Iterator[Progress]:
        """Nothing is before it."""
        return iter(())

    @property
    def _magnitudes(self) -> dict[str, Tensor]:
        """Of the dense model, also of what was dropped: that is smaller than what was not."""
        return {name: weight.abs() for name, weight in self.work.context.weights.items()}


class Sap(Rounds):
    """Sparsity-informed adaptive pruning (Diao et al. 2023, ICLR, algorithm 1): the PQ Index says how many to drop."""

    nearly = 1.0  # what it would drop decides how many are dropped of each group, so it is never passed

    def _next(self) -> Masks:
        return sap_masks(self._weights, self._masks, self._settings)

    def _pruned_to(self, density: float) -> Masks:
        return masks_at_density(self._weights, self._masks, self._settings, density)

    @property
    def _settings(self) -> SapSettings:
        own = self.work.settings
        return SapSettings(own.scope, own.sap_p, own.sap_q, own.sap_eta, own.sap_gamma, own.sap_beta)

    @property
    def _most_rounds(self) -> int:
        return self.work.settings.rounds

    @property
    def _orders(self) -> tuple[float, float]:
        """Those of the bound."""
        return self.work.settings.sap_p, self.work.settings.sap_q
