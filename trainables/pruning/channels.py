"""Channels that are removed together: what they are, how many, and a model's weights without some of them."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Kept = Sequence[Tensor]
"""Of every group a boolean tensor, shape (channels,), True where a channel is kept."""


@dataclass(frozen=True)
class Part:
    """What of one layer belongs to the channels of a group.

    Attributes:
        layer: Its name.
        dim: 0 for what it gives, rows of all its tensors; 1 for what it reads, columns of its weight.
        rows: Indices along this dimension.
        channels: The channel of the group that each of these belongs to.
        filter: The convolution or linear layer whose filters they are part of: this layer, or the one whose output it
            normalises. Empty for what reads channels, for a PReLU, and for a batch-norm of a sum or a concatenation.
    """

    layer: str
    dim: int
    rows: tuple[int, ...]
    channels: tuple[int, ...]
    filter: str = ""


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of one or several layers, the i-th of each of which can only be removed together.

    Attributes:
        channels: How many.
        parts: What belongs to them, of all layers.
    """

    channels: int
    parts: tuple[Part, ...]


def filters(groups: Sequence[ChannelGroup]) -> int:
    """How many filters a model has that can be removed.

    A channel of a group counts as one filter, of however many layers (our interpretation).
    """
    return sum(group.channels for group in groups)


def left(groups: Sequence[ChannelGroup], kept: Kept) -> list[ChannelGroup]:
    """Groups of the smaller model, whose channels are those that are kept, in their order.

    They are not found by looking at the smaller model: a depthwise convolution that is down to one channel looks like
    any other there.
    """
    gone = _removed(groups, kept)
    smaller = []
    for group, own in zip(groups, kept, strict=True):
        parts = (_left(part, own, gone.get((part.layer, part.dim), [])) for part in group.parts)
        smaller.append(ChannelGroup(int(own.sum()), tuple(parts)))
    return smaller


def highest_channels(scores: Sequence[Tensor], share: float) -> list[Tensor]:
    """Remove the round((1 - share) n) lowest of all channels together; the highest of every group stays.

    Exactly that many are removed: of equal scores those that come first go first. A share that falls on a half is
    rounded to even. That none of the groups is emptied is our interpretation.

    Args:
        scores: Of every group, shape (channels,); none is NaN.
        share: Of the channels to keep, in (0, 1].

    Returns:
        Of every group which are kept, boolean, shape (channels,).

    Raises:
        ValueError: If so few are to be kept that a group would be emptied; one sentence.
    """
    total = sum(map(len, scores))
    removed = max(0, round((1 - share) * total))
    if total - removed < len(scores):
        too_few = f"{total - removed} of the model's {total} filters would be left, a share of {share:g}"
        raise ValueError(f"{too_few}, but {len(scores)} groups of layers keep one each; keep more")
    flat = torch.cat(list(scores))
    order = flat.argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(total)
    parts = place.split([len(score) for score in scores])
    last = torch.cat([part == part.max() for part in parts])
    kept = torch.ones(total, dtype=torch.bool)
    kept[order[~last[order]][:removed]] = False
    return list(kept.split([len(score) for score in scores]))


def without_channels(state: Mapping[str, Tensor], groups: Sequence[ChannelGroup], kept: Kept) -> dict[str, Tensor]:
    """State dictionary of the plain model without the channels that are not kept.

    Args:
        state: Of the model that the groups are of.
        groups: What belongs to the channels.
        kept: Which are kept.

    Returns:
        Copies, smaller where channels are gone.
    """
    smaller = dict(state)
    for (layer, dim), rows in _removed(groups, kept).items():
        for name in _tensors(state, layer, dim):
            left = torch.ones(state[name].shape[dim], dtype=torch.bool)
            left[rows] = False
            smaller[name] = smaller[name].index_select(dim, left.nonzero().flatten().to(smaller[name].device))
    return {name: tensor.clone() for name, tensor in smaller.items()}


def unread(state: Mapping[str, Tensor], groups: Sequence[ChannelGroup], kept: Kept) -> dict[str, Tensor]:
    """State dictionary, of the same shapes, of a model that does not read the channels that are not kept.

    Whatever their values are then, its outputs are those of the model without them.
    """
    changed = {name: tensor.clone() for name, tensor in state.items()}
    for (layer, dim), rows in _removed(groups, kept).items():
        if dim == 1:
            changed[f"{layer}.weight"][:, rows] = 0
    return changed


def _removed(groups: Sequence[ChannelGroup], kept: Kept) -> dict[tuple[str, int], list[int]]:
    """Rows that go, by layer and dimension."""
    found: dict[tuple[str, int], list[int]] = {}
    for group, own in zip(groups, kept, strict=True):
        stays = own.tolist()
        for part in group.parts:
            rows = found.setdefault((part.layer, part.dim), [])
            rows += [row for row, channel in zip(part.rows, part.channels, strict=True) if not stays[channel]]
    return {place: rows for place, rows in found.items() if rows}


def _left(part: Part, kept: Tensor, gone: Sequence[int]) -> Part:
    """What is left of a part, given all rows that its layer loses."""
    before = sorted(gone)
    renumbered = (kept.cumsum(0) - 1).tolist()
    pairs = [(row, channel) for row, channel in zip(part.rows, part.channels, strict=True) if kept[channel]]
    rows = tuple(row - bisect(before, row) for row, _ in pairs)
    return replace(part, rows=rows, channels=tuple(renumbered[channel] for _, channel in pairs))


def _tensors(state: Mapping[str, Tensor], layer: str, dim: int) -> list[str]:
    """Names of a layer's tensors that have such a dimension."""
    own = ("weight",) if dim == 1 else ("weight", "bias", "running_mean", "running_var")
    return [name for each in own if (name := f"{layer}.{each}") in state]
