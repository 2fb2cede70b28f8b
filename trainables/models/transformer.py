"""Transformers that translate: torch's own layers, pre-norm (Vaswani et al. 2017; Xiong et al. 2020)."""

import math

import torch
from torch import Tensor, nn

from trainables.data.text.vocabulary import LONGEST, PADDING


class Transformer(nn.Module):
    """Encoder and decoder of as many layers each, whose output layer shares no weights with the embeddings.

    Feed-forward layers are 4 times as wide as the model, dropout is 0.1, positions are sines and cosines
    (Vaswani et al. 2017, arXiv 1706.03762, sections 3.3 to 3.5 and 5.4); layers are normalised first (Xiong et al.
    2020, arXiv 2002.04745). Weights are initialised as Glorot and Bengio 2010 have it, each layer with its own;
    embeddings from N(0, 1 / width). Source and target have embeddings of their own: our choice.

    Args:
        layers: Of the encoder, and of the decoder.
        width: Features of a token.
        heads: Of attention; they divide the width.
        vocabulary: Number of tokens.
        dropout: In [0, 1).

    Attributes:
        not_pruned: Names of modules that pruning leaves as they are (:func:`trainables.pruning.prunable.not_pruned`).
    """

    not_pruned = ("output",)

    def __init__(self, layers: int, width: int, heads: int, vocabulary: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.width = width
        self.source, self.target = (nn.Embedding(vocabulary, width, padding_idx=PADDING) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        how = {"dropout": dropout, "batch_first": True, "norm_first": True}
        encoder = nn.TransformerEncoderLayer(width, heads, 4 * width, **how)  # type: ignore[arg-type]
        decoder = nn.TransformerDecoderLayer(width, heads, 4 * width, **how)  # type: ignore[arg-type]
        self.encoder = nn.TransformerEncoder(encoder, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoder, layers, nn.LayerNorm(width))
        self.output = nn.Linear(width, vocabulary)
        for parameter in self.parameters():
            if parameter.dim() > 1:  # torch's encoder has copies of one layer
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, 0, width**-0.5)
            nn.init.zeros_(embedding.weight[PADDING])
        self.register_buffer("positions", _positions(width), persistent=False)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of each next token, given those before it (teacher forcing).

        Args:
            source: Tokens, int64, shape (batch, source length), :data:`PADDING` after the end.
            target: Tokens from the begin on, int64, shape (batch, target length), likewise.

        Returns:
            Shape (batch, target length, vocabulary).
        """
        memory, padding = self.encode(source)
        causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1], device=target.device)
        features = self.decoder(
            self.embedded(self.target, target),
            memory,
            tgt_mask=causal,
            memory_key_padding_mask=padding,
            tgt_is_causal=True,
        )
        logits: Tensor = self.output(features)
        return logits

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder attends to, shape (batch, source length, width), and where that is only padding."""
        padding = source == PADDING
        memory: Tensor = self.encoder(self.embedded(self.source, source), src_key_padding_mask=padding)
        return memory, padding

    def embedded(self, embedding: nn.Embedding, tokens: Tensor, first: int = 0) -> Tensor:
        """Embeddings of tokens whose first one has this position."""
        positions: Tensor = self.positions[first : first + tokens.shape[1]]  # type: ignore[index]
        scaled = math.sqrt(self.width) * embedding(tokens)
        features: Tensor = self.dropout(scaled + positions.to(scaled.dtype))
        return features


def _positions(width: int) -> Tensor:
    """Sines and cosines, shape (:data:`LONGEST`, width) (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(-math.log(10_000) * torch.arange(0, width, 2) / width)
    angles = torch.arange(LONGEST)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]
