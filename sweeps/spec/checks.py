"""What values options may have, in the sentences that commands say of others."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tyro

from metrics.regimes import Thresholds
from sweeps.spec.errors import UsageError
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import Recipe
from trainables.training.schedules import SCHEDULES, learning_rate

MOST = 10_000_000
"""Of epochs and images in a batch; beyond are typing errors."""

Rule = tuple[Callable[[Any], bool], str]

_COUNT: Rule = (lambda value: 1 <= value <= MOST, f"it is a whole number from 1 to {MOST}")
_SHARE: Rule = (lambda value: 0 <= value < 1, "it is in [0, 1)")
_AMOUNT: Rule = (lambda value: 0 <= value < math.inf, "it is 0 or more")


def _name_of(registry: Mapping[str, object]) -> Rule:
    return lambda value: value in registry, f"it is one of {', '.join(registry)}"


RULES: dict[str, Rule] = {
    "optimizer": _name_of(OPTIMIZERS),
    "schedule": _name_of(SCHEDULES),
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "lr": (lambda value: 0 < value < math.inf, "it is a positive number"),
    "momentum": _SHARE,
    "weight_decay": _AMOUNT,
    "warmup": _SHARE,
    "label_smoothing": _SHARE,
    "gradient_clipping": _AMOUNT,
    "rho": _AMOUNT,
    "validation_fraction": _SHARE,
    "crop_padding": (lambda value: 0 <= value <= 64, "it is from 0 to 64 pixels"),
}
"""Which values a field of a sweep may have, and in words."""


def check_values(values: Mapping[str, Any], prefix: str) -> None:
    """Raise UsageError unless each of these fields, if it is not None, may have its value.

    Args:
        values: By the fields' names.
        prefix: Begins names of fields to which the same rule applies as without it.
    """
    for name, value in values.items():
        holds, rule = RULES.get(name.removeprefix(prefix), (lambda value: True, ""))
        require(value is None or holds(value), option_of(name), value, rule)


def check_warmup(recipe: Recipe, option: str) -> None:
    """Raise UsageError, naming the option that sets it, if a recipe's schedule needs another warm-up."""
    try:
        learning_rate(recipe, 0)
    except ValueError as error:
        raise UsageError(f"{option} {recipe.warmup}: {error}.") from None


def check_thresholds(thresholds: Thresholds) -> None:
    """Raise UsageError unless the boundaries of the regimes make sense."""
    rule = "it is a negative number near 0, in units of error"
    require(-1 <= thresholds.lmc < 0, "--lmc-threshold", thresholds.lmc, rule)
    require(0 <= thresholds.cka <= 1, "--cka-threshold", thresholds.cka, "it is in [0, 1]")
    require(0 <= thresholds.margin <= 1, "--cka-margin", thresholds.margin, "it is in [0, 1]")


def check_list(name: str, values: Sequence[float]) -> None:
    """Raise UsageError unless there is a value, and none twice."""
    require(len(values) > 0, option_of(name), "(nothing)", "give at least one value")
    repeated = [value for index, value in enumerate(values) if value in values[:index]]
    require(not repeated, option_of(name), words(repeated), "each value is given once")


def check_load(load: str, widths: Sequence[float], densities: Sequence[float]) -> None:
    """Raise UsageError unless there are widths and one density with ``width`` as the load, and no widths otherwise."""
    if load == "width":
        check_list("widths", widths)
        for width in widths:
            require(0 < width < math.inf, "--widths", width, "a width is a positive factor")
        rule = "with --load width all models are pruned to the same density, so give one"
        require(len(densities) == 1, "--densities", words(densities), rule)
    else:
        require(not widths, "--widths", words(widths), "they are the load only with --load width")


def require(holds: bool, option: str, value: object, rule: str) -> None:
    """Raise UsageError with the value and the rule unless it holds."""
    if not holds:
        raise UsageError(f"{option} {value}: {rule}.")


def one_of(names: Iterable[str]) -> Any:
    """Have help show a text option as one of these; which it is, a check says."""
    return tyro.conf.arg(metavar="{" + ",".join(names) + "}")


def option_of(name: str) -> str:
    """Option that sets a field."""
    return "--" + name.replace("_", "-")


def words(values: Sequence[object]) -> str:
    """Values as one types them."""
    return " ".join(map(str, values))
