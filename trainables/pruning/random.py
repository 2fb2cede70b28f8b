"""Pruning without looking at the weights: what a rule that does look is compared with."""

import torch

from trainables.pruning.context import Pruned, PruningContext
from trainables.pruning.ranking import highest_of_each


def per_layer(context: PruningContext) -> Pruned:
    """Keep a uniformly random set of each layer's weights.

    Zhou et al. 2023 prune by magnitude alone, so all of this is our interpretation. It is per layer, with the counts of
    ``magnitude-uniform``, so that the two differ only in which weights of a layer are kept. The dense seed alone draws:
    models of other temperatures have the same mask, so that chance adds no difference between them, and a larger
    density keeps all that a smaller one does, as with magnitudes.
    """
    ranks = {
        name: torch.randperm(weight.numel(), generator=context.random_stream("random", name)).view_as(weight)
        for name, weight in context.weights.items()
    }
    return Pruned(highest_of_each(ranks, context.density), context.state)
