"""Recipes from the fields of a sweep."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import Recipe

RETRAIN = "retrain_"
"""Begins the names of fields that are of retraining alone; those that are None have the value of dense training."""

NOT_TAKEN: dict[str, Any] = {"momentum": 0.0, "betas": Recipe.betas}
"""Settings of single optimizers, and what recipes with another one have for them, so that they change no key."""


def recipe_of(values: Mapping[str, Any], prefix: str) -> Recipe:
    """Recipe of a sweep's own values and, where they are given, those of the fields that begin with the prefix."""
    names = [field.name for field in fields(Recipe)]
    own = {name: values[name] for name in names if name in values}
    given = {name: values[prefix + name] for name in names if values.get(prefix + name) is not None}
    recipe = Recipe(**own | given)
    taken = OPTIMIZERS[recipe.optimizer].settings
    return replace(recipe, **{name: value for name, value in NOT_TAKEN.items() if name not in taken})
