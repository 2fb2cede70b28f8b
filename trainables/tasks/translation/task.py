"""Translation: cross entropy and share of wrong tokens under teacher forcing, softmax outputs, BLEU."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from metrics.bleu import bleu
from trainables.data import SPLIT_SEED, Pairs, ParallelText, TextOutline
from trainables.data.text.pairs import joined
from trainables.data.text.vocabulary import BEGIN, END, LONGEST, PADDING, Vocabulary
from trainables.models import build_translator
from trainables.stacks import memory
from trainables.stacks.inputs import Inputs, ModelInputs
from trainables.stacks.stack import Stack
from trainables.tasks.evaluation import evaluate
from trainables.tasks.own_loss import OwnLoss
from trainables.tasks.task import Batch, Evaluation, SplitName, Task
from trainables.tasks.translation.batches import Split
from trainables.tasks.translation.decoding import NotFiniteError, greedy
from trainables.tasks.translation.suitability import check_model

MEASURED_PAIRS = 4000
"""Training errors and losses, also along the path between siblings, are of so many training pairs, always the same."""

EXAMPLE_LENGTH = 24
"""Tokens of a made-up sentence; so many of each pair that is evaluated at a time are taken to be there."""

DECODED_AT_ONCE = 256
"""Sentences that are translated together, at most."""

MOST_TIMES, MOST_MORE = 2, 10
"""A translation is cut where it has so many times the tokens of its source, and so many more."""


class Translation(Task):
    """Pairs of sentences on the device. A sample is a pair; a recipe's batch size counts padded tokens.

    Args:
        data: The pairs.
        device: As in :class:`trainables.tasks.task.Task`.
        room: Likewise.
        loss: The user's own, a pinned function's name; None for cross entropy.

    Raises:
        ValueError: If a function is not there, or has changed; one sentence for the user.
    """

    def __init__(
        self, data: ParallelText, device: torch.device, room: int = memory.ROOM_ON_CPU, loss: str | None = None
    ) -> None:
        super().__init__(device, room)
        self._data = data
        self._own_loss = None if loss is None else OwnLoss(loss)
        self._splits: dict[SplitName, Split] = {}

    def model(self, name: str) -> nn.Module:
        """As :meth:`Task.model`."""
        return build_translator(name, self._data.vocabulary.size)

    def example_inputs(self, samples: int) -> ModelInputs:
        """Tokens of shape (samples, :data:`EXAMPLE_LENGTH`) and one less, drawn from those that are pieces."""
        stream = torch.Generator().manual_seed(0)
        shapes = (samples, EXAMPLE_LENGTH), (samples, EXAMPLE_LENGTH - 1)
        source, target = (
            torch.randint(END + 1, max(self._data.vocabulary.size, END + 2), shape, generator=stream)
            for shape in shapes
        )
        source[:, -1], target[:, 0] = END, BEGIN
        return source, target

    def check_model(self, model: nn.Module, called: str, smallest_batch: int) -> None:
        """As :meth:`Task.check_model`; the user's own loss is tried, too."""
        source, target = self.example_inputs(4)
        check_model(model, called, (source, target), self._data.vocabulary.size)
        if self._own_loss is not None:
            self._own_loss.check(self._data.vocabulary.size, smallest_batch)

    def steps_per_epoch(self, batch_size: int, drop_last: bool = False) -> int:
        """As :meth:`Task.steps_per_epoch`; no batch is dropped, as none is the last."""
        return len(self.split("train").cuts(batch_size)) - 1

    def batches(self, streams: Sequence[torch.Generator], batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        """As :meth:`Task.batches`, of at most so many padded tokens; shapes differ between steps and models."""
        split = self.split("train")
        for parts in zip(*(split.shuffled(stream, batch_size) for stream in streams), strict=True):
            own = [split.padded(part) for part in parts]
            yield Batch([each.inputs for each in own], [each.next_tokens for each in own], len(parts[0]))

    def losses(self, stack: Stack, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Cross entropy, the mean over all tokens that are no padding; or the user's own loss."""
        return torch.stack(
            [
                self._mean_loss(logits, next_tokens, label_smoothing)
                for logits, next_tokens in zip(stack(batch.inputs), batch.targets, strict=True)
            ]
        )

    def loss_parts(self, model: nn.Module, samples: int, at_once: int) -> Iterator[Tensor]:
        """Cross entropy, each token the same weight; or the user's own loss, each part by its share of the tokens."""
        split = self.split("train")
        index = torch.arange(min(samples, len(split)))
        everything = int((split.lengths[: len(index), 1] - 1).sum())
        for part in index.split(at_once):
            padded = split.padded(part)
            with sdpa_kernel(SDPBackend.MATH):  # the only one that can be differentiated twice
                logits = model(*padded.inputs)
            tokens = int((padded.next_tokens != PADDING).sum())
            yield self._mean_loss(logits, padded.next_tokens) * (tokens / everything)

    def evaluation(self, stack: Stack, split: SplitName) -> Evaluation:
        """Share of tokens that are not said next though those before them are given (teacher forcing), and their loss.

        Of the training pairs the first :data:`MEASURED_PAIRS`. Padding does not count. Counted batch by batch: all
        logits would not fit into memory.
        """
        own = self.split(split)
        pairs = MEASURED_PAIRS if split == "train" else len(own)

        def counted(at_once: int) -> Tensor:
            sums = torch.zeros(3, stack.models, dtype=torch.float64, device=self.device)
            for padded in own.in_order(pairs, at_once * EXAMPLE_LENGTH):
                outputs = stack([padded.inputs] * stack.models)
                sums += torch.stack([_counts(logits, padded.next_tokens) for logits in outputs], 1)
            return sums

        wrong, losses, tokens = evaluate(stack, counted)
        return Evaluation((wrong / tokens).tolist(), (losses / tokens).tolist())

    def scores(self, stack: Stack) -> list[dict[str, Any]]:
        """BLEU of the test and the validation pairs, and how it came about; NaN for a model that diverged."""

        def scores(at_once: int) -> list[dict[str, Any]]:
            return [
                {
                    "bleu": self._bleu(model, "test", at_once),
                    "validation_bleu": self._bleu(model, "validation", at_once),
                    "bleu_signature": f"{bleu([], []).signature}|decoding:greedy",
                }
                for model in stack.module.children()
            ]

        return evaluate(stack, scores)

    def outputs(self, stack: Stack, samples: int, mixed_up: bool = False) -> Tensor:
        """Softmax outputs at the first so many positions of the training targets: shape (models, positions, tokens)."""
        if mixed_up:
            raise ValueError("sentences cannot be mixed up; take images")
        split = self.split("train")
        positions = np.cumsum(split.lengths[:, 1] - 1)
        pairs = int(np.searchsorted(positions, samples)) + 1  # or all

        def softmax(at_once: int) -> Tensor:
            rows, done = min(samples, int(positions[-1])), 0
            found = torch.empty(stack.models, rows, self._data.vocabulary.size, device=self.device)
            for part in torch.arange(min(pairs, len(split))).split(at_once):
                padded = split.padded(part)
                there = padded.next_tokens != PADDING
                for own, logits in zip(found, stack([padded.inputs] * stack.models), strict=True):
                    new = logits[there][: rows - done].softmax(-1)
                    own[done : done + len(new)] = new
                done += len(new)
            return found

        return evaluate(stack, softmax)

    def statistics_inputs(self, models: int, batch_size: int) -> Iterator[tuple[Inputs, int]]:
        """As :meth:`Task.statistics_inputs`: of the pairs whose errors are taken; for models with batch-norm."""
        split = self.split("train")
        for part in torch.arange(min(MEASURED_PAIRS, len(split))).split(batch_size):
            yield [split.padded(part).inputs] * models, len(part)

    def split(self, name: SplitName) -> Split:
        """A split on the device; training pairs in a random order that depends on their number alone."""
        if name not in self._splits:
            pairs = getattr(self._data, name)
            if name == "train":
                pairs = pairs[np.random.default_rng(SPLIT_SEED).permutation(len(pairs))]
            self._splits[name] = Split(pairs, self.device)
        return self._splits[name]

    def _bleu(self, model: nn.Module, name: SplitName, at_once: int) -> float:
        split = self.split(name)
        if not len(split):
            return math.nan
        found: dict[int, str] = {}
        for part in split.by_length(torch.arange(len(split))).split(min(at_once, DECODED_AT_ONCE)):
            most = np.minimum(MOST_TIMES * split.lengths[part.numpy(), 0] + MOST_MORE, LONGEST).tolist()
            try:
                rows = greedy(model, split.padded(part).source, max(most))
            except NotFiniteError:
                return math.nan
            rows = [row[:longest] for row, longest in zip(rows, most, strict=True)]  # whatever is beside it
            found |= dict(zip(part.tolist(), self._data.vocabulary.decode(rows), strict=True))
        return bleu([found[place] for place in range(len(split))], split.pairs.references).score

    def _mean_loss(self, logits: Tensor, next_tokens: Tensor, label_smoothing: float = 0.0) -> Tensor:
        if self._own_loss is not None:
            there = next_tokens != PADDING
            return self._own_loss(logits[there].float(), next_tokens[there])
        return F.cross_entropy(
            logits.float().flatten(0, 1),
            next_tokens.flatten(),
            ignore_index=PADDING,
            label_smoothing=label_smoothing,
        )


class _MadeUp(Vocabulary):
    """Tokens that are no text."""

    def __init__(self, size: int) -> None:
        super().__init__(b"")
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        return [" ".join(map(str, row)) for row in tokens]


def random_pairs(like: TextOutline, samples: int) -> ParallelText:
    """So many random training pairs, of lengths like another text's; as many are for testing."""
    random = np.random.default_rng(0)
    mean = like.tokens / like.train
    lengths = random.integers(max(2, round(mean / 2)), max(3, round(3 * mean / 2)), size=samples, endpoint=True)
    rows = [random.integers(END + 1, max(like.classes, END + 2), size=length).tolist() for length in lengths]
    source = joined([[*row[:-1], END] for row in rows])
    target = joined([[BEGIN, *row[1:-1], END] for row in rows])
    pairs = Pairs(source, target, ("",) * samples)
    return ParallelText(pairs, pairs[np.arange(0)], pairs, _MadeUp(like.classes))


def _counts(logits: Tensor, next_tokens: Tensor) -> Tensor:
    """Wrong tokens, their losses' sum and all tokens of a batch: float64, shape (3,); NaN if a logit is not finite."""
    there = next_tokens != PADDING
    own, expected = logits[there], next_tokens[there]
    wrong = (own.argmax(-1) != expected).double().sum()
    loss = F.cross_entropy(own, expected, reduction="none").double().sum()
    tokens = there.double().sum()
    return torch.where(own.isfinite().all(), torch.stack([wrong, loss, tokens]), math.nan)
