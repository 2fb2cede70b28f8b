"""The user's own loss: a function of the logits and labels of a batch."""

import torch
from torch import Tensor

from trainables.functions import pinned, place
from trainables.tasks.explained import explained
from trainables.tasks.random_numbers import random_stream

PURPOSE = "loss"
"""What such a function is for, in sentences."""


class OwnLoss:
    """A function ``package.module:function(logits, labels)`` that returns losses; called for each model by itself.

    Args:
        name: Of the function, pinned.

    Raises:
        ValueError: If there is no such function, or it has changed; one sentence for the user.
    """

    def __init__(self, name: str) -> None:
        self._function, self._called = pinned(name, PURPOSE), f"{PURPOSE} {place(name)}"

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch: a float32 scalar, with a graph for gradients. Not under autocast, whatever is around.

        Args:
            logits: Of one model: float32, shape (batch, classes).
            labels: int64, shape (batch,), in [0, classes).

        Raises:
            ValueError: If the function returns neither a loss for each image, shape (batch,), nor their mean, a scalar;
                one sentence for the user. Whatever it raises is passed on.
        """
        with torch.autocast(logits.device.type, enabled=False):
            losses = self._function(logits, labels)
        if not isinstance(losses, Tensor) or not losses.is_floating_point() or losses.shape not in ((), labels.shape):
            is_tensor = isinstance(losses, Tensor)
            found = f"{losses.dtype} of shape {tuple(losses.shape)}" if is_tensor else type(losses).__name__
            asked = f"a loss for each of {len(labels)} labels, shape ({len(labels)},), or their mean, a scalar"
            raise ValueError(f"{self._called} returned {found} instead of {asked}")
        return losses.float().mean()

    def check(self, classes: int, smallest_batch: int) -> None:
        """Raise ValueError, in one sentence for the user, unless the function does what is asked of it.

        Args:
            classes: Their number.
            smallest_batch: Images in the smallest batch that it is given.
        """
        stream = random_stream(PURPOSE)
        cannot = f"{self._called} cannot be used with {classes} classes"
        for batch in {smallest_batch, max(4, smallest_batch)}:
            weights = torch.randn(batch, classes, generator=stream).requires_grad_()
            labels = torch.randint(classes, (batch,), generator=stream)
            kept = labels.clone()
            once, again = (
                explained(lambda: self._with_gradient(weights, labels), cannot)  # noqa: B023  # called at once
                for _ in range(2)
            )
            if not torch.cat(once).isfinite().all():
                raise ValueError(f"{self._called} or its gradient is not finite for logits of a standard normal")
            if not once[1].any():
                raise ValueError(f"{self._called} has a gradient of zero everywhere; compute it from the logits")
            if not torch.cat(once).equal(torch.cat(again)) or not labels.equal(kept):
                said = "gave another loss when it was given the same again, or changed the labels"
                raise ValueError(f"{self._called} {said}; its arguments alone may decide, and stay as they are")

    def _with_gradient(self, weights: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of logits that are these weights, shape (1,), and its gradient, flat."""
        loss = self(weights + 0, labels)  # not a leaf, as in training
        if not loss.requires_grad:
            raise ValueError("it has no gradient: compute it from the logits, with torch's operations")
        return loss.detach()[None], torch.autograd.grad(loss, weights)[0].flatten()
