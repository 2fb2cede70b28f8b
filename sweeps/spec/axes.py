"""The axes of a sweep: what can be the temperature, and what the load."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

from sweeps.spec.choices import described, one_of
from trainables.data import GENERATORS, with_amount, with_dimension
from trainables.models import with_width
from trainables.training.recipe import Recipe


@dataclass(frozen=True)
class TemperatureAxis:
    """A hyperparameter of dense training that sets how noisy it is.

    Attributes:
        hot_is_low: Whether small values are the hot ones.
        what: What it is, for a person.
        rule: Which values it takes, for a person; a format of ``recipe`` and ``images``.
        allowed: Whether a value is one of them, given the dense recipe and the number of training images.
        dense: Recipe of the dense training for a value, and the epochs after which its model is taken; given the
            sweep's recipe and the number of training images.
        retrain: Recipe of retraining, the same for all values; given the sweep's own and the number of images.
        cost: What the dense training of a value costs, relative to that of others.
        is_one_training: Whether one dense training has the models of all values.
    """

    hot_is_low: bool
    what: str
    rule: str
    allowed: Callable[[float, Recipe, int], bool]
    dense: Callable[[Recipe, float, int], tuple[Recipe, int]]
    retrain: Callable[[Recipe, int], Recipe] = lambda recipe, images: recipe
    cost: Callable[[float], float] = lambda value: 1.0
    is_one_training: bool = False

    def __str__(self) -> str:
        return f"{self.what} ({'small' if self.hot_is_low else 'large'} is hot)"


def _steps(recipe: Recipe, images: int) -> int:
    """Steps of a schedule of whole batches."""
    return recipe.epochs * (images // recipe.batch_size)


def _at_fixed_steps(recipe: Recipe, value: float, images: int) -> tuple[Recipe, int]:
    """Another batch size and the same number of steps: in more epochs if it is larger."""
    batch_size, steps = int(value), _steps(recipe, images)
    epochs = math.ceil(steps / (images // batch_size))
    return replace(recipe, batch_size=batch_size, iterations=steps, epochs=epochs), epochs


def _at_fixed_epochs(recipe: Recipe, value: float, images: int) -> tuple[Recipe, int]:
    """Another batch size and the same number of epochs: in fewer steps if it is larger."""
    own = replace(recipe, batch_size=int(value))
    return replace(own, iterations=_steps(own, images)), own.epochs


TEMPERATURES = {
    # One training passes through all temperatures (Zhou et al. 2023, section 4.1).
    "epochs": TemperatureAxis(
        hot_is_low=True,
        what="of the training",
        rule="on the epochs axis a temperature is a whole number from 1 to the {recipe.epochs} --epochs",
        allowed=lambda value, recipe, images: value % 1 == 0 and 1 <= value <= recipe.epochs,
        dense=lambda recipe, value, images: (recipe, int(value)),
        cost=lambda value: value,
        is_one_training=True,
    ),
    # Fixed learning rate and number of steps, decay after fixed steps, last partial batch dropped (ibid., appendix A).
    "batch_size": TemperatureAxis(
        hot_is_low=True,
        what="in as many steps for each, or epochs with --fixed epochs",
        rule="on the batch_size axis a temperature is a whole number from 1 to the {images} training images",
        allowed=lambda value, recipe, images: value % 1 == 0 and 1 <= value <= images,
        dense=_at_fixed_steps,
        retrain=lambda recipe, images: replace(recipe, iterations=_steps(recipe, images)),
        cost=lambda value: value,
    ),
    # SAM for the dense model only, retraining without (ibid., section 5.3).
    "rho": TemperatureAxis(
        hot_is_low=False,
        what="radius of SAM",
        rule="on the rho axis a temperature is 0 (no SAM) or more",
        allowed=lambda value, recipe, images: 0 <= value < math.inf,
        dense=lambda recipe, value, images: (replace(recipe, rho=float(value)), recipe.epochs),
        cost=lambda value: 2.0 if value else 1.0,  # SAM takes two passes for a step
    ),
    # The dense model's alone; retraining keeps the sweep's.
    "lr": TemperatureAxis(
        hot_is_low=False,
        what="learning rate at the start",
        rule="on the lr axis a temperature is a positive learning rate",
        allowed=lambda value, recipe, images: 0 < value < math.inf,
        dense=lambda recipe, value, images: (replace(recipe, lr=float(value)), recipe.epochs),
    ),
}
"""Temperature axes by name."""

AT_FIXED_EPOCHS = {
    # Last partial batch dropped, too (Yang et al. 2021, arXiv 2107.11228). Retraining, which has one batch size, is
    # that of fixed steps.
    "batch_size": replace(TEMPERATURES["batch_size"], dense=_at_fixed_epochs, cost=lambda value: 1.0),
}
"""Temperature axes whose dense trainings may have a number of epochs in common, instead of a number of steps."""

FIXED = ("steps", "epochs")
"""What dense trainings of all batch sizes have in common: the first if nothing is said."""

Fixed = Annotated[str | None, one_of("--fixed", FIXED, optional=True)]

Temperature = Annotated[
    str, one_of("--temperature", TEMPERATURES), described("Temperature axis, of dense training", TEMPERATURES)
]


class Loaded(NamedTuple):
    """What a load may decide.

    Attributes:
        data: Name of the data.
        model: Name of the architecture.
        density: To which its models are pruned.
        generator: How data get another dimension, one of :data:`GENERATORS`.
    """

    data: str
    model: str
    density: float
    generator: str


@dataclass(frozen=True)
class LoadAxis:
    """What is asked of the pruned model's capacity.

    Attributes:
        what: What it is, for a person.
        values: Field of the sweep that holds its values, and name of their option.
        rule: Which values it takes, for a person.
        allowed: Whether a value is one of them.
        loaded: For a value, given the sweep's own data and model and its first density.
    """

    what: str
    values: str
    rule: str
    allowed: Callable[[float], bool]
    loaded: Callable[[Loaded, float], Loaded]

    def __str__(self) -> str:
        return f"{self.what} (--{self.values})"


LOADS = {
    "density": LoadAxis(
        what="of the weights kept",
        values="densities",
        rule="a density is a fraction kept, in (0, 1]",
        allowed=lambda value: 0 < value <= 1,
        loaded=lambda own, load: own._replace(density=load),
    ),
    "width": LoadAxis(
        what="of the model",
        values="widths",
        rule="a width is a positive factor",
        allowed=lambda value: 0 < value < math.inf,
        loaded=lambda own, load: own._replace(model=with_width(own.model, load)),
    ),
    "data_dimension": LoadAxis(
        what="of the images",
        values="data_dimensions",
        rule="a dimension is a whole number from 1 on",
        allowed=lambda value: value % 1 == 0 and value >= 1,
        loaded=lambda own, load: own._replace(data=with_dimension(own.data, own.generator, load)),
    ),
    # The first ones (Yang et al. 2021, arXiv 2107.11228); some of them are held out for validation then.
    "data_amount": LoadAxis(
        what="of the training images",
        values="data_amounts",
        rule="an amount is a whole number of training images, from 1 on",
        allowed=lambda value: value % 1 == 0 and value >= 1,
        loaded=lambda own, load: own._replace(data=with_amount(own.data, int(load))),
    ),
}
"""Load axes by name. Whatever the load, models are pruned to a density."""

Load = Annotated[str, one_of("--load", LOADS), described("Load axis", LOADS)]

DEFAULT_GENERATOR = next(iter(GENERATORS))

Generator = Annotated[str | None, one_of("--generator", GENERATORS, optional=True)]
