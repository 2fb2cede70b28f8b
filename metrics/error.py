"""Classification error."""

import torch
from torch import Tensor


def error(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of images whose largest logit is not their label's.

    Args:
        logits: Floating point, shape (..., images, classes); leading dimensions are models.
        labels: Integer class indices, shape (images,).

    Returns:
        Float64 of shape (...), in [0, 1]. NaN for a model with a logit that is not finite, since the position
        of the largest is then arbitrary.
    """
    wrong = (logits.argmax(-1) != labels).double().mean(-1)
    return torch.where(logits.isfinite().flatten(-2).all(-1), wrong, torch.nan)
