"""Centred kernel alignment (CKA): do two models give similar outputs?"""

import torch
from torch import Tensor

CONSTANT = 1e-6
"""Outputs whose spread is below this share of their size are constant up to the rounding of float32."""


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear, biased CKA of two models' outputs on the same rows: images, or the places of next tokens.

    With the columns centred, ||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F) (Kornblith et al. 2019, arXiv 1905.00414,
    section 2.1), from products of size features x features. Where there are fewer rows than features, of either model,
    it is the same number from the Gram matrices K = XX' and L = YY', of size rows x rows: <K, L> / (||K||_F ||L||_F)
    (ibid.). Zhou et al. 2023 take X and Y to be the softmax outputs on about 6,400 training images.

    Memory beside the outputs, for 6,400 rows of 8,000 features: 16 bytes for each number of one model's outputs at a
    time, that is 819,200,000, and a Gram matrix of each model, of 327,680,000; at most 1,146,880,000 bytes at once.

    Args:
        first: Shape (rows, features), any floating point type; computed in float64.
        second: Shape (rows, features), in the same order of rows; perhaps with another number of features.

    Returns:
        In [0, 1]; 1 for outputs equal up to rotation, scale and shift. NaN, that is undefined, if a model's output
        is constant over the rows or not finite.

    Raises:
        ValueError: If the two do not cover the same number of rows.
    """
    if len(first) != len(second):
        raise ValueError(f"CKA compares outputs on the same rows, but got {len(first)} and {len(second)} of them")
    if len(first) < max(first.shape[1], second.shape[1]):
        k, l = _gram(first), _gram(second)  # noqa: E741  as they are called
        return float(torch.dot(k.flatten(), l.flatten()) / (k.norm() * l.norm()))
    x, y = _centred(first), _centred(second)
    cross = (x.T @ y).norm() ** 2
    return float(cross / ((x.T @ x).norm() * (y.T @ y).norm()))


def _gram(outputs: Tensor) -> Tensor:
    """Products of all rows with all, centred: float64, shape (rows, rows)."""
    x = _centred(outputs)
    return x @ x.T


def _centred(outputs: Tensor) -> Tensor:
    """Outputs in float64 without the mean of each column; NaN if they are constant."""
    x = outputs.double()
    centred = x - x.mean(0)
    return centred if centred.norm() > CONSTANT * x.norm() else torch.full_like(centred, torch.nan)
