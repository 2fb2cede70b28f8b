"""Sentences on the device, padded in batches of so many tokens."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.data import Pairs
from trainables.data.text.vocabulary import PADDING


@dataclass(frozen=True)
class PaddedPairs:
    """Pairs of sentences in a batch.

    Attributes:
        source: int64, shape (pairs, longest source), :data:`PADDING` after the end.
        target: int64, shape (pairs, longest target), with begin and end, likewise.
    """

    source: Tensor
    target: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """What a model is given: sources, and targets but for the last token (teacher forcing)."""
        return self.source, self.target[:, :-1]

    @property
    def next_tokens(self) -> Tensor:
        """What a model is to say at each position, :data:`PADDING` where nothing; shape (pairs, longest - 1)."""
        return self.target[:, 1:]


class Split:
    """Pairs of sentences on the device.

    Args:
        pairs: On the CPU.
        device: Where they are to be.
    """

    def __init__(self, pairs: Pairs, device: torch.device) -> None:
        self.pairs = pairs
        sides = pairs.source, pairs.target
        self.lengths = np.stack([side.lengths for side in sides], 1)
        self._sides = [(torch.from_numpy(side.tokens).to(device), torch.from_numpy(side.starts)) for side in sides]
        self._device = device
        self._cuts: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def padded(self, index: Tensor) -> PaddedPairs:
        """Pairs of these numbers, int64 on the CPU, shape (pairs,)."""
        return PaddedPairs(*(self._side(tokens, starts, index) for tokens, starts in self._sides))

    def by_length(self, index: Tensor) -> Tensor:
        """Numbers of pairs by the length of the target, then of the source; of equal ones as they were."""
        lengths = torch.from_numpy(self.lengths)[index]
        keys = lengths[:, 1] * (1 + self.lengths[:, 0].max(initial=0)) + lengths[:, 0]
        return index[torch.sort(keys, stable=True).indices]

    def cuts(self, tokens: int) -> list[int]:
        """Where batches begin in :meth:`by_length` of all pairs, and where the last one ends.

        A batch has as many pairs as fit: times the longest of their sentences, source or target, they are at most so
        many tokens, padding among them; or it is one pair.
        """
        if tokens not in self._cuts:
            self._cuts[tokens] = cuts(self.lengths[self.by_length(torch.arange(len(self))).numpy()].max(1), tokens)
        return self._cuts[tokens]

    def shuffled(self, stream: torch.Generator, tokens: int) -> list[Tensor]:
        """Numbers of the pairs of each batch of an epoch.

        The sizes of the batches are always the same; which of the pairs of equal lengths are in one, and the order of
        the batches, are random. (fairseq does so; sorted batches alone would leave out that order.)
        """
        order = self.by_length(torch.randperm(len(self), generator=stream))
        batches = order.tensor_split(self.cuts(tokens)[1:-1])
        return [batches[place] for place in torch.randperm(len(batches), generator=stream).tolist()]

    def in_order(self, pairs: int, tokens: int) -> Iterator[PaddedPairs]:
        """The first so many pairs, in batches as of :meth:`cuts`, by their lengths: padding is least so."""
        index = self.by_length(torch.arange(min(pairs, len(self))))
        ends = cuts(self.lengths[index.numpy()].max(1), tokens)
        for part in index.tensor_split(ends[1:-1]) if len(index) else ():
            yield self.padded(part)

    def _side(self, tokens: Tensor, starts: Tensor, index: Tensor) -> Tensor:
        first, lengths = starts[index], starts[index + 1] - starts[index]
        within = torch.arange(int(lengths.max()))
        places = (first[:, None] + within).clamp_(max=len(tokens) - 1).to(self._device)
        there = (within < lengths[:, None]).to(self._device)
        return torch.where(there, tokens[places], PADDING).long()


def cuts(longest: NDArray[np.int64], tokens: int) -> list[int]:
    """Where batches begin among pairs in this order, and where the last one ends, as of :meth:`Split.cuts`.

    Args:
        longest: Tokens of the longer sentence of each pair, shape (pairs,).
        tokens: In a batch at most.
    """
    found, most = [0], 0
    for place, length in enumerate(longest.tolist()):
        most = max(most, length)
        if place > found[-1] and most * (place + 1 - found[-1]) > tokens:
            found.append(place)
            most = length
    return [*found, len(longest)] if len(longest) else [0]
