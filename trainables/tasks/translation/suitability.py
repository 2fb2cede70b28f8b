"""Whether a model can be trained to translate: tried before anything trains."""

import torch
from torch import Tensor, nn

from trainables.tasks.explained import explained


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
    with torch.no_grad():
        before = model.eval()(source, target)[:, : target.shape[1] // 2]
        other = target.clone()
        other[:, target.shape[1] // 2 :] = target.flip(1)[:, target.shape[1] // 2 :]
        after = model(source, other)[:, : target.shape[1] // 2]
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-4):
        raise ValueError(f"{called} sees target tokens that come later; mask them, or it is not to translate with")
