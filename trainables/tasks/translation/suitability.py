"""Whether a model can be trained to translate: tried before anything trains."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.text.vocabulary import PADDING
from trainables.tasks.explained import explained

PADDED = 3
"""Tokens of padding that a source is tried with; how many is not to matter."""

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Logits that differ by no more are the same but for rounding."""


def check_model(model: nn.Module, called: str, inputs: tuple[Tensor, Tensor], vocabulary: int) -> None:
    """Raise ValueError, in one sentence for the user, unless a model suits its data.

    Args:
        model: On the CPU; left in evaluation mode.
        called: How the sentence calls it.
        inputs: Made-up tokens of sources and targets, shape (pairs, length) each, no two lengths the same.
        vocabulary: Number of tokens.
    """
    source, target = inputs
    cannot = f"{called} cannot be trained on tokens of sentences (source and target) of a vocabulary of {vocabulary}"
    for training in (True, False):
        logits = explained(lambda training=training: model.train(training)(source, target), cannot)  # type: ignore[misc]
        found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"type {type(logits).__name__}"
        expected = (*target.shape, vocabulary)
        if found != f"shape {expected}":
            said = f"its output has {found} instead of shape {expected}, a logit for each token that may come next"
            raise ValueError(f"{called}: {said}")
    explained(lambda: model.train()(source, target).sum().backward(), cannot)
    half = target.shape[1] // 2
    with torch.no_grad():
        logits = model.eval()(source, target)
        other = target.clone()
        other[:, half:] = target.flip(1)[:, half:]
        after = model(source, other)
        padded = explained(lambda: model(functional.pad(source, (0, PADDED), value=PADDING), target), cannot)
    if not _alike(logits[:, :half], after[:, :half]):
        raise ValueError(f"{called} sees target tokens that come later; mask them, or it is not to translate with")
    if not _alike(logits, padded):
        said = f"gives other logits where padding, token {PADDING}, follows a source"
        raise ValueError(f"{called} {said}; mask it, or results depend on which sentences are in a batch together")


def _alike(some: Tensor, others: Tensor) -> bool:
    return torch.allclose(some, others, RELATIVE, ABSOLUTE)
