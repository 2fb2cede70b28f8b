"""Images mixed up in pairs, which no training has seen: there, models that fit their data may still differ."""

import torch
from torch import Tensor

from trainables.tasks.image_classification.batches import Split
from trainables.tasks.random_numbers import random_stream

BATCH = 128
"""Images that have one share in common, and their partners among them (Yang et al. 2021, arXiv 2107.11228)."""

ALPHA = 16.0
"""Of the share, Beta(16, 16): half and half, with a standard deviation of 0.09 (ibid.)."""


def mixed(split: Split, images: int) -> Tensor:
    """The first so many images of a split, each mixed with another one, always the same.

    Within each batch of :data:`BATCH` image i becomes s x_i + (1 - s) x_j, with one share s ~ Beta(16, 16) for the
    batch and a random permutation for the partners (mixup; Zhang et al. 2018, arXiv 1710.09412, section 2).

    Returns:
        Normalised, float32, shape (images, channels, h, w).
    """
    parts = []
    for number, batch in enumerate(split.batches(BATCH, images)):
        stream = random_stream("mixed up", number)
        # A Beta variable is a ratio of Gamma variables; with whole alpha these are sums of exponentials.
        first, second = -torch.rand(2, int(ALPHA), generator=stream, dtype=torch.float64).log().sum(1)
        share = float(first / (first + second))
        partners = torch.randperm(len(batch), generator=stream).to(batch.device)
        parts.append(share * batch + (1 - share) * batch[partners])
    return torch.cat(parts)
