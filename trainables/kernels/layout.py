"""The order (channels, height, width, batch) of images in memory; in torch's words their shape stays as it was."""

from torch import Tensor


def is_batch_innermost(x: Tensor) -> bool:
    """Whether a tensor of shape (batch, channels, h, w) lies in memory as (channels, h, w, batch)."""
    return x.dim() == 4 and x.permute(1, 2, 3, 0).is_contiguous()


def batch_innermost(x: Tensor) -> Tensor:
    """The same tensor, shape (batch, channels, h, w), in memory as (channels, h, w, batch); copied if it is not."""
    permuted = x.permute(1, 2, 3, 0)
    return x if permuted.is_contiguous() else permuted.contiguous().permute(3, 0, 1, 2)
