"""Recipes from the fields of a sweep."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import Recipe
from trainables.training.schedules import WITH_MILESTONES

RETRAIN = "retrain_"
"""Begins the names of fields that are of retraining alone; those that are None have the value of dense training."""


class OfSome(NamedTuple):
    """A setting that not every recipe uses.

    Attributes:
        part: Field of the recipe that decides it.
        takers: Values of that field with which it is used.
        otherwise: What recipes have for it that do not use it, so that it changes no key.
    """

    part: str
    takers: tuple[str, ...]
    otherwise: Any


def _of_optimizers(setting: str, otherwise: Any) -> OfSome:
    takers = tuple(name for name, kind in OPTIMIZERS.items() if setting in kind.settings)
    return OfSome("optimizer", takers, otherwise)


OF_SOME = {
    "momentum": _of_optimizers("momentum", 0.0),
    "betas": _of_optimizers("betas", Recipe.betas),
    "milestones": OfSome("schedule", WITH_MILESTONES, Recipe.milestones),
}
"""Settings of single optimizers or schedules, by the field of a recipe."""


def recipe_of(values: Mapping[str, Any], prefix: str) -> Recipe:
    """Recipe of a sweep's own values and, where they are given, those of the fields that begin with the prefix."""
    names = [field.name for field in fields(Recipe)]
    own = {name: values[name] for name in names if name in values}
    given = {name: values[prefix + name] for name in names if values.get(prefix + name) is not None}
    recipe = Recipe(**own | given)
    unused = {name: own.otherwise for name, own in OF_SOME.items() if getattr(recipe, own.part) not in own.takers}
    return replace(recipe, **unused)
