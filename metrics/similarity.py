"""Centred kernel alignment (CKA): do two models give similar outputs?"""

import torch
from torch import Tensor

CONSTANT = 1e-6
"""Outputs whose spread is below this share of their size are constant up to the rounding of float32."""


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear, biased CKA of two models' outputs on the same images.

    With the columns centred, ||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F) (Kornblith et al. 2019, arXiv 1905.00414,
    section 2.1), computed from products of size classes x classes. Zhou et al. 2023 take X and Y to be the softmax
    outputs on about 6,400 training images.

    Args:
        first: Shape (images, classes), any floating point type; computed in float64.
        second: Shape (images, classes), in the same order of images.

    Returns:
        In [0, 1]; 1 for outputs equal up to rotation, scale and shift. NaN, that is undefined, if a model's output
        is constant over the images or not finite.

    Raises:
        ValueError: If the two do not cover the same number of images.
    """
    if len(first) != len(second):
        raise ValueError(f"CKA compares outputs on the same images, but got {len(first)} and {len(second)} of them")
    x, y = first.double(), second.double()
    x_centred, y_centred = x - x.mean(0), y - y.mean(0)
    if x_centred.norm() <= CONSTANT * x.norm() or y_centred.norm() <= CONSTANT * y.norm():
        return torch.nan
    cross = (x_centred.T @ y_centred).norm() ** 2
    return float(cross / ((x_centred.T @ x_centred).norm() * (y_centred.T @ y_centred).norm()))
