"""Scores of single weights by the gradient of the training loss: those that score highest are kept.

The published rules rank all layers together (:func:`~trainables.pruning.ranking.highest_of_all`). Scores do not depend
on the density, so those of one model serve all of its densities. They round differently on another machine.
"""

from collections.abc import Mapping

from torch import Tensor

from trainables.pruning.context import PruningContext
from trainables.pruning.gradient_scores import first_order, fisher_information, second_order


def loss(context: PruningContext) -> dict[str, Tensor]:
    """|theta g|: how much the loss changes where a weight goes, to first order.

    That of Lubana and Dick 2021 (arXiv 2009.11839, section 3) for weights; of a model that is not trained, and up to a
    factor for all, the score of SNIP (Lee et al. 2019, arXiv 1810.02340, section 4).

    Args:
        context: Of the model that is pruned.

    Returns:
        float32 of the weights' shapes, on the CPU, at least 0, by the names of prunable weights.
    """
    products = first_order(context, context.model_at(context.epoch))
    return {name: score.abs() for name, score in _of_weights(context, products).items()}


def grasp(context: PruningContext) -> dict[str, Tensor]:
    """Theta Hg, signed: weights go first whose removal raises the norm of the gradient most.

    Wang et al. 2020 (arXiv 2002.07376, section 4) give it the other sign, and drop what is highest; they prune before
    training.

    Args:
        context: Of the model that is pruned.

    Returns:
        float32 of the weights' shapes, on the CPU, by the names of prunable weights.
    """
    return _of_weights(context, second_order(context, context.model_at(context.epoch)))


def fisher(context: PruningContext) -> dict[str, Tensor]:
    """theta^2 E[g^2]: how much the loss rises where a weight goes from a minimum, by the empirical Fisher information.

    Theis et al. 2018 (arXiv 1801.05787), up to a factor for all.

    Args:
        context: Of the model that is pruned.

    Returns:
        float32 of the weights' shapes, on the CPU, at least 0, by the names of prunable weights.
    """
    return _of_weights(context, fisher_information(context, context.model_at(context.epoch)))


def _of_weights(context: PruningContext, products: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: products[name].cpu() for name in context.weights}
