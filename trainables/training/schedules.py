"""Schedules of the learning rate by name: functions of how much of a training is done. Imports no torch."""

import math
from collections.abc import Callable

from trainables.training.recipe import Recipe

Schedule = Callable[[float, Recipe], float]
"""Factor on a recipe's learning rate, given the share of the training's steps that are done, in [``warmup``, 1)."""


def learning_rate(recipe: Recipe, done: float) -> float:
    """Learning rate of the next step.

    In the warm-up it rises in proportion to the steps done, from 0 in the first step to what the schedule begins with
    (Goyal et al. 2017, arXiv 1706.02677, section 2.2, begins above 0).

    Args:
        recipe: How a model is trained.
        done: Epochs done, in the midst of one with the share of its steps that are done; with ``iterations`` steps.

    Raises:
        ValueError: If the schedule cannot be without warm-up.
    """
    progress = done / recipe.length
    highest = recipe.lr * SCHEDULES[recipe.schedule](max(progress, recipe.warmup), recipe)
    return highest * (progress / recipe.warmup) if progress < recipe.warmup else highest


def step(progress: float, recipe: Recipe) -> float:
    """``decay`` for every milestone that is behind; each is at a whole number of epochs, or of ``iterations``."""
    milestones = (round(share * recipe.length) / recipe.length for share in recipe.milestones)
    return recipe.decay ** sum(progress >= milestone for milestone in milestones)


def constant(progress: float, recipe: Recipe) -> float:
    """1."""
    return 1.0


def constant_linear(progress: float, recipe: Recipe) -> float:
    """1 up to half of the schedule, then on a line down to 0.01 at 90 % of it, and 0.01 from there on.

    Garipov et al. 2018 (arXiv 1802.10026) train curves between models so, and Yang et al. 2021 (arXiv 2107.11228) too.
    """
    return min(1.0, max(0.01, 1 - 0.99 * (progress - 0.5) / 0.4))


def cosine(progress: float, recipe: Recipe) -> float:
    """Half a cosine from 1 at the end of warm-up to 0 after the last step (Loshchilov and Hutter 2017, 1608.03983)."""
    return (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup))) / 2


def inverse_square_root(progress: float, recipe: Recipe) -> float:
    """The root of warm-up's steps over the steps done, 1 at the end of warm-up (Vaswani et al. 2017, section 5.3)."""
    if recipe.warmup <= 0:
        raise ValueError("the inverse-square-root schedule falls from the end of its warm-up on, so give it some")
    return math.sqrt(recipe.warmup / progress)


SCHEDULES: dict[str, Schedule] = {
    "step": step,
    "constant": constant,
    "constant-linear": constant_linear,
    "cosine": cosine,
    "inverse-square-root": inverse_square_root,
}
"""Schedules by the names that recipes and commands have for them."""

WITH_MILESTONES = ("step",)
"""Those of them that a recipe's ``milestones`` are for."""
