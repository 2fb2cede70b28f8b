"""Training a quadratic Bezier curve between two models: its one bend, at a random position in each step."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trainables.stacks.stack import Stack, State
from trainables.tasks.random_numbers import random_stream
from trainables.training.masks import Masks


class CurveWeights(Masks):
    """Has a training of bends compute with the weights at a random position of each curve (Garipov et al. 2018).

    With models a and c at the ends and the bend b, weights at position t are (1 - t)^2 a + 2 t (1 - t) b + t^2 c
    (arXiv 1802.10026, equation 3), with t uniform in [0, 1] for each step. The L2 penalty is of these weights, and of
    the bend itself there is none (as their code has it). Nothing is pruned.

    Args:
        stack: The bends, a model for each curve.
        ends: State dictionaries of both ends of each curve.
        names: Of each curve's own random stream of positions.
        weight_decay: Factor of the penalty.
    """

    def __init__(
        self,
        stack: Stack,
        ends: Sequence[tuple[State, State]],
        names: Sequence[tuple[str | int, ...]],
        weight_decay: float,
    ) -> None:
        super().__init__(stack, {})
        self._names, self._weight_decay, self._done = names, weight_decay, 0
        parameters = dict(stack.module.named_parameters())
        self._bent = list(parameters.values())
        places = [
            {name: torch.full((len(t), *[1] * (t.dim() - 1)) if t.dim() else (), index) for name, t in own.items()}
            for index, (own, _) in enumerate(ends)
        ]
        owners = stack.stack_states(places)
        self._owners = [owners[name].to(stack.device) for name in parameters]
        first, last = (stack.stack_states([pair[end] for pair in ends]) for end in (0, 1))
        # In memory as the weights are.
        self._first = [torch.empty_like(weight).copy_(first[name]) for name, weight in parameters.items()]
        self._last = [torch.empty_like(weight).copy_(last[name]) for name, weight in parameters.items()]
        self._bends = [bend.detach().clone() for bend in self._bent]
        self._shares: list[Tensor] = []

    @torch.no_grad()
    def enter(self) -> None:
        """Have the weights be those at new positions, one for each curve."""
        if not self._shares:  # a second pass of the same step is at the same place
            drawn = [torch.rand((), generator=random_stream(*name, self._done)) for name in self._names]
            position = torch.stack(drawn).to(self._bent[0].device)
            at = [position[owner] for owner in self._owners]
            self._shares = [2 * t * (1 - t) for t in at]
            for weight, first, bend, last, t in zip(self._bent, self._first, self._bends, self._last, at, strict=True):
                weight.copy_((1 - t) ** 2 * first + 2 * t * (1 - t) * bend + t**2 * last)

    @torch.no_grad()
    def leave(self, lr: float) -> None:
        """Have the weights be the bends, with the gradients of loss and penalty with respect to these."""
        for weight, bend, share in zip(self._bent, self._bends, self._shares, strict=True):
            if weight.grad is not None:
                weight.grad.add_(weight, alpha=self._weight_decay).mul_(share)
            weight.copy_(bend)
        self._shares = []

    @torch.no_grad()
    def after_step(self) -> None:
        """Take the bends as the step left them."""
        for weight, bend in zip(self._bent, self._bends, strict=True):
            bend.copy_(weight)
        self._done += 1

    def state_dict(self) -> dict[str, Any]:
        """The number of steps done, which decides the next positions."""
        return {"steps": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave, with the bends that the stack has now."""
        self._done = state["steps"] - 1
        self.after_step()
