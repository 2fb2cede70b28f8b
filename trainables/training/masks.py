"""Which weights of a stack are kept while it trains: always the same, or fewer and fewer."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from trainables.pruning.schedules import cubic_density
from trainables.stacks.stack import Stack

Choose = Callable[[Mapping[str, Tensor], float], dict[str, Tensor]]
"""Masks that keep the highest scores of a model's weights, given these by parameter name and the density."""


class Masks:
    """Weights to keep; the others are zero from the start and after every step.

    A training calls :meth:`enter` before each forward pass, :meth:`leave` after the backward pass, and
    :meth:`after_step` after the optimizer's step.

    Args:
        stack: The models.
        masks: By parameter name of a plain model, the same for all of them.
    """

    def __init__(self, stack: Stack, masks: Mapping[str, Tensor]) -> None:
        parameters = dict(stack.module.named_parameters())
        own = stack.stack_states([masks] * stack.models)
        self._weights = [parameters[name] for name in own]
        # In memory as the weights are, which the multiplication of all at once needs.
        self._masks = [torch.empty_like(parameters[name]).copy_(mask) for name, mask in own.items()]
        self._apply()

    def enter(self) -> None:
        """Have the weights be those that a pass is to see."""

    def leave(self, lr: float) -> None:
        """Have the weights be those that the optimizer is to change, with the gradients that it is to see.

        Args:
            lr: Learning rate of the step.
        """

    def mask_gradients(self) -> None:
        """Set the gradients of weights that stay zero to zero."""
        for weight, mask in zip(self._weights, self._masks, strict=True):
            if weight.grad is not None:
                weight.grad.mul_(mask)

    def after_step(self) -> None:
        """Set weights to zero that are not kept."""
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """What changes while a training runs, for :meth:`load_state_dict`: nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""

    @torch.no_grad()
    def _apply(self) -> None:
        if self._weights:
            torch._foreach_mul_(self._weights, self._masks)  # type: ignore[arg-type]  # torch types them too narrowly


class GradualMasks(Masks):
    """Masks of one model that keep less and less of it, by the magnitude of the weights (Zhu and Gupta 2017).

    What was dropped stays dropped. The density falls as a cubic from 1 before the first step to ``final`` after the
    last (arXiv 1710.01878, equation 1).

    Args:
        stack: Of one model.
        weights: Names of the weights of a plain model that may be dropped.
        final: Density in the end, in (0, 1].
        steps: Of the training.
        every: Steps after which masks are chosen anew; they are after the last one, too.
        choose: Chooses them.
    """

    def __init__(
        self, stack: Stack, weights: Mapping[str, Tensor], final: float, steps: int, every: int, choose: Choose
    ) -> None:
        super().__init__(stack, {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()})
        self._names, self._final, self._steps, self._every, self._choose = list(weights), final, steps, every, choose
        self._done = 0

    def density_after(self, share: float) -> float:
        """Density when this share of the training is done."""
        return cubic_density(self._final, share)

    def kept(self) -> dict[str, Tensor]:
        """Masks, boolean, on the CPU, by parameter name of a plain model, that there are now."""
        pairs = zip(self._names, self._masks, strict=True)
        return {name: mask.bool().cpu().contiguous() for name, mask in pairs}

    def pruned_to(self, density: float) -> dict[str, Tensor]:
        """Masks, on the CPU, by parameter name of a plain model, that would be chosen now for a density."""
        scores = zip(self._names, self._scores(), strict=True)
        return self._choose({name: score.detach().cpu().contiguous() for name, score in scores}, density)

    def after_step(self) -> None:
        """Choose masks anew if it is time."""
        self._done += 1
        if self._done % self._every == 0 or self._done == self._steps:
            chosen = self.pruned_to(self.density_after(self._done / self._steps))
            for mask, own in zip(self._masks, chosen.values(), strict=True):
                mask.copy_(own)
        self._rest()

    def state_dict(self) -> dict[str, Any]:
        """Masks, and how many steps were taken."""
        return {"done": self._done, "masks": [mask.bool().cpu() for mask in self._masks]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self._done = state["done"]
        for mask, own in zip(self._masks, state["masks"], strict=True):
            mask.copy_(own)

    def _scores(self) -> list[Tensor]:
        """Of every weight: what is dropped is below all others."""
        pairs = zip(self._weights, self._masks, strict=True)
        return [torch.where(mask.bool(), weight.detach().abs(), -1.0) for weight, mask in pairs]

    def _rest(self) -> None:
        """Have the weights be what they are between steps."""
        self._apply()


class FeedbackMasks(GradualMasks):
    """Dynamic pruning with feedback (Lin et al. 2020, ICLR, algorithm 1): what was dropped may come back.

    Passes see the kept weights alone; the update by these gradients is that of all weights. Masks are chosen by the
    magnitudes of all, every 16 steps as published.
    """

    @torch.no_grad()
    def enter(self) -> None:
        """Set the others to zero."""
        self._all = [weight.clone() for weight in self._weights]
        self._apply()

    @torch.no_grad()
    def leave(self, lr: float) -> None:
        """Bring them back."""
        for weight, own in zip(self._weights, self._all, strict=True):
            weight.copy_(own)

    def mask_gradients(self) -> None:
        """None stays zero."""

    def _scores(self) -> list[Tensor]:
        return [weight.detach().abs() for weight in self._weights]

    def _rest(self) -> None:
        """All weights are kept."""


class MovementMasks(FeedbackMasks):
    """Movement pruning (Sanh et al. 2020, NeurIPS, sections 3 and 4): what is kept is learned.

    Every weight has a score, 0 at the start, whose gradient is that of the masked weight times the weight, also where
    the mask is 0 (straight-through); weights themselves get gradients where they are kept. Our interpretation: scores
    take plain steps with the learning rate of the training, whose scale does not matter since they are only ranked.
    Published are other optimizers for them, and masks that are chosen in every step.
    """

    def __init__(
        self, stack: Stack, weights: Mapping[str, Tensor], final: float, steps: int, every: int, choose: Choose
    ) -> None:
        super().__init__(stack, weights, final, steps, every, choose)
        self._learned = [torch.zeros_like(weight, requires_grad=False) for weight in self._weights]

    @torch.no_grad()
    def leave(self, lr: float) -> None:
        """Bring the others back, and learn from their gradients, too."""
        super().leave(lr)
        for weight, score in zip(self._weights, self._learned, strict=True):
            if weight.grad is not None:
                score.sub_(lr * weight.grad * weight)
        Masks.mask_gradients(self)

    def state_dict(self) -> dict[str, Any]:
        """Scores, too."""
        return super().state_dict() | {"scores": [score.cpu() for score in self._learned]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        for score, own in zip(self._learned, state["scores"], strict=True):
            score.copy_(own)

    def _scores(self) -> list[Tensor]:
        return self._learned
