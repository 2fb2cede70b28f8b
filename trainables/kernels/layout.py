"""The order (channels, height, width, batch) of images in memory; in torch's words their shape stays as it was."""

import torch
from torch import Tensor


def empty(batch: int, channels: int, height: int, width: int) -> Tensor:
    """Memory for float32 images in this order."""
    row = width * batch
    return torch.empty_strided((batch, channels, height, width), (1, height * row, row, batch))


def is_batch_innermost(x: Tensor) -> bool:
    """Whether a tensor of shape (batch, channels, h, w) lies in memory as (channels, h, w, batch)."""
    return x.dim() == 4 and len(x) > 1 and x.permute(1, 2, 3, 0).is_contiguous()


def batch_innermost(x: Tensor) -> Tensor:
    """The same tensor, shape (batch, channels, h, w), in memory as (channels, h, w, batch); copied if it is not.

    Raises:
        TypeError: If it is anything but float32 images, which kernels would read wrongly.
    """
    if x.dtype != torch.float32 or x.dim() != 4:
        raise TypeError(f"kernels take float32 images, not {x.dtype} of shape {tuple(x.shape)}")
    batch, _, height, width = x.shape
    row = width * batch
    if x.stride() == (1, height * row, row, batch):  # quicker to see than by permuting
        return x
    return x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)
