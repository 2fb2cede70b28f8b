"""Cross entropy of trained models."""

import torch
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of the softmax of logits, without label smoothing.

    Args:
        logits: Floating point, shape (..., images, classes); leading dimensions are models. One model after the other
            is computed in float64, so that a loss of finite float32 logits is finite, and memory is taken for one.
        labels: Integer class indices, shape (images,).

    Returns:
        Float64 of shape (...), in nats, at least 0. NaN for a model with a logit that is not finite, as of
        :func:`metrics.error.error`, and where there are no images.
    """
    if logits.dim() > 2:
        return torch.stack([cross_entropy(own, labels) for own in logits])
    mean = -logits.double().log_softmax(-1).gather(-1, labels[:, None]).mean()
    return torch.where(logits.isfinite().all(), mean, torch.nan)
