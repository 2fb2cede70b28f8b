"""Greedy decoding: the most probable next token, again and again, until the sentence ends."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.text.vocabulary import BEGIN, END, LONGEST, PADDING
from trainables.models.transformer import Transformer


class NotFiniteError(ValueError):
    """A model's logits are not finite: it has diverged, and says nothing."""


@torch.no_grad()
def greedy(model: nn.Module, source: Tensor, longest: int) -> list[list[int]]:
    """What a model translates sentences into, choosing the largest logit at each position.

    :data:`PADDING` and :data:`BEGIN` are never chosen. Padding after a source changes nothing but rounding. Our own
    :class:`Transformer` keeps keys and values, so that a step costs one position; any other model computes all
    positions again at each step, whose last one counts.

    Args:
        model: Called as ``model(source, target)``, which gives logits (batch, target length, vocabulary); in evaluation
            mode, on the device of ``source``.
        source: Tokens, int64, shape (batch, source length), :data:`END` at the end and :data:`PADDING` after it.
        longest: Tokens of a translation, at most; what has not ended by then is cut. Of a :class:`Transformer` up to
            :data:`LONGEST`.

    Returns:
        Tokens of each translation, without :data:`BEGIN` and :data:`END`.

    Raises:
        NotFiniteError: If a logit that a token is chosen by is not finite.
        ValueError: If ``longest`` is above what a :class:`Transformer` has positions for.
    """
    is_ours = type(model) is Transformer  # a class made from it may compute anything
    if is_ours and longest > LONGEST:
        raise ValueError(f"longest {longest}: a Transformer has positions for {LONGEST} tokens; take that or fewer")
    logits_after: _Logits = _Cached(model, source) if is_ours else _Again(model, source)  # type: ignore[arg-type]
    found: list[list[int]] = [[] for _ in source]
    rows, tokens = torch.arange(len(source), device=source.device), source.new_full((len(source), 1), BEGIN)
    for _ in range(longest if len(source) else 0):
        logits = logits_after(tokens)
        if not logits.isfinite().all():
            raise NotFiniteError("the model's logits are not finite")
        logits[:, [PADDING, BEGIN]] = -torch.inf
        tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], 1)
        going = tokens[:, -1] != END
        if not going.all():
            for row, own in zip(rows[~going].tolist(), tokens[~going, 1:-1].tolist(), strict=True):
                found[row] = own
            rows, tokens = rows[going], tokens[going]
            logits_after.keep(going)
        if len(rows) == 0:
            break
    for row, own in zip(rows.tolist(), tokens[:, 1:].tolist(), strict=True):
        found[row] = own
    return found


class _Logits(Protocol):
    """Logits of the next token of every row, given all before it."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits, shape (rows, vocabulary); tokens, shape (rows, length), are those of the last call and one more."""

    def keep(self, rows: Tensor) -> None:
        """Leave out rows that have ended; ``rows`` says which stay, bool, shape (rows,)."""


class _Again:
    """By computing all positions again."""

    def __init__(self, model: nn.Module, source: Tensor) -> None:
        self._model, self._source = model, source

    def __call__(self, tokens: Tensor) -> Tensor:
        last: Tensor = self._model(self._source, tokens)[:, -1].clone()
        return last

    def keep(self, rows: Tensor) -> None:
        self._source = self._source[rows]


class _Cached:
    """By the last position alone, as torch's layers (norm_first) compute it in evaluation mode.

    Of the positions before it, keys and values of self-attention are kept, and of the source those of attention to it.
    """

    def __init__(self, model: Transformer, source: Tensor) -> None:
        self._model = model
        self._decoder: Any = model.decoder  # of layers and a norm
        memory, padding = model.encode(source)
        self._is_word = ~padding[:, None, None]  # for every head and query
        self._memory = [_projected(layer.multihead_attn, memory)[1:] for layer in self._decoder.layers]
        self._past = [kept[:, :, :, :0] for kept in self._memory]

    def __call__(self, tokens: Tensor) -> Tensor:
        features = self._model.embedded(self._model.target, tokens[:, -1:], first=tokens.shape[1] - 1)
        for index, layer in enumerate(self._decoder.layers):
            own = _projected(layer.self_attn, layer.norm1(features))
            self._past[index] = torch.cat([self._past[index], own[1:]], 3)
            features = features + _attended(layer.self_attn, own[0], self._past[index])
            own = _projected(layer.multihead_attn, layer.norm2(features))
            features = features + _attended(layer.multihead_attn, own[0], self._memory[index], self._is_word)
            features = features + layer.linear2(layer.activation(layer.linear1(layer.norm3(features))))
        last: Tensor = self._model.output(self._decoder.norm(features))[:, 0]
        return last

    def keep(self, rows: Tensor) -> None:
        self._is_word = self._is_word[rows]
        self._memory = [kept[:, rows] for kept in self._memory]
        self._past = [kept[:, rows] for kept in self._past]


def _projected(attention: nn.MultiheadAttention, features: Tensor) -> Tensor:
    """Queries, keys and values of features, shape (3, rows, heads, length, width of a head)."""
    own = functional.linear(features, attention.in_proj_weight, attention.in_proj_bias)
    heads = own.unflatten(-1, (3, attention.num_heads, attention.head_dim))
    return heads.permute(2, 0, 3, 1, 4)


def _attended(attention: nn.MultiheadAttention, query: Tensor, kept: Tensor, mask: Tensor | None = None) -> Tensor:
    """What attention to keys and values, in this order, gives one position of every row: shape (rows, 1, width)."""
    keys, values = kept
    heads = functional.scaled_dot_product_attention(query, keys, values, mask)
    attended: Tensor = attention.out_proj(heads.transpose(1, 2).flatten(2))
    return attended
