"""What values options may have, in the sentences that commands say of others."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, get_args

from metrics.five_phases import PhaseThresholds
from metrics.regimes import AUTO, SimilarityRule, Thresholds
from sweeps.spec.axes import FIXED, LOADS, TEMPERATURES
from sweeps.spec.choices import choice_rule
from sweeps.spec.errors import UsageError
from trainables.data import AUGMENTATIONS, GENERATORS
from trainables.functions import is_function
from trainables.pruning import RULES as PRUNING_RULES
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import PrecisionOption, Recipe
from trainables.training.schedules import SCHEDULES, learning_rate

MOST = 10_000_000
"""Of epochs and images in a batch; beyond are typing errors."""

Rule = tuple[Callable[[Any], bool], str]

_COUNT: Rule = (lambda value: 1 <= value <= MOST, f"it is a whole number from 1 to {MOST}")
_SHARE: Rule = (lambda value: 0 <= value < 1, "it is in [0, 1)")
_AMOUNT: Rule = (lambda value: 0 <= value < math.inf, "it is 0 or more")


def _name_of(names: Collection[str]) -> Rule:
    return lambda value: value in names, choice_rule(names)


RULES: dict[str, Rule] = {
    "temperature": _name_of(TEMPERATURES),
    "fixed": _name_of(FIXED),
    "load": _name_of(LOADS),
    "generator": _name_of(GENERATORS),
    "pruner": (
        lambda value: value in PRUNING_RULES or is_function(value),
        f"{choice_rule(PRUNING_RULES)}, or package.module:function for your own",
    ),
    "cka_rule": _name_of(get_args(SimilarityRule)),
    "precision": _name_of(get_args(PrecisionOption)),
    "optimizer": _name_of(OPTIMIZERS),
    "schedule": _name_of(SCHEDULES),
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "lr": (lambda value: 0 < value < math.inf, "it is a positive number"),
    "momentum": _SHARE,
    "betas": (lambda value: len(value) == 2 and all(0 <= beta < 1 for beta in value), "they are two, both in [0, 1)"),
    "milestones": (
        lambda value: value and all(0 < each < 1 for each in value) and [*value] == sorted(set(value)),
        "they are shares of the schedule between 0 and 1, each larger than the one before; give at least one",
    ),
    "weight_decay": _AMOUNT,
    "warmup": _SHARE,
    "label_smoothing": _SHARE,
    "gradient_clipping": _AMOUNT,
    "rho": _AMOUNT,
    "validation_fraction": _SHARE,
    "path_points": (lambda value: 2 <= value <= 1001, "it is from 2 to 1001, ends included"),
    "cka_images": (lambda value: 2 <= value <= MOST, f"it is a whole number from 2 to {MOST}"),
    "image_size": (lambda value: 1 <= value <= 4096, "it is from 1 to 4096 pixels"),
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
        said = words(value) if isinstance(value, tuple) else value
        require(value is None or holds(value), option_of(name), said, rule)


def check_warmup(recipe: Recipe, option: str) -> None:
    """Raise UsageError, naming the option that sets it, if a recipe's schedule needs another warm-up."""
    try:
        learning_rate(recipe, 0)
    except ValueError as error:
        raise UsageError(f"{option} {recipe.warmup}: {error}.") from None


def check_augmentation(name: str, crop_padding: int | None, flip: bool | None, own_crop_padding: int) -> None:
    """Raise UsageError unless there is such an augmentation and the options that change it do not contradict it.

    Args:
        name: Of it.
        crop_padding: As it was given; None if it was not.
        flip: Likewise.
        own_crop_padding: That of the data.
    """
    rule = f"it is one of {', '.join(AUGMENTATIONS)}, or package.module:function for your own"
    require(name in AUGMENTATIONS or is_function(name), "--augmentation", name, rule)
    for option, value in (("--crop-padding", crop_padding), ("--flip", flip)):
        require(name != "none" or not value, option, value, "--augmentation none has no shift and no mirroring")
    if name == "crop-flip":
        require(flip is not False, "--flip", flip, "--augmentation crop-flip mirrors; leave one of the two out")
        rule = "for these data no shift is published; give --crop-padding, the CIFARs have 4 for images of 32 pixels"
        require(crop_padding is not None or own_crop_padding > 0, "--augmentation", name, rule)
        require(crop_padding != 0, "--crop-padding", crop_padding, "--augmentation crop-flip shifts; give more than 0")


def check_for_text(temperature: str, load: str, augmentation: str, crop_padding: int | None, flip: bool | None) -> None:
    """Raise UsageError for what there is of images alone."""
    rule = "a dimension is of images, and the data are sentences; take another load"
    require(load != "data_dimension", "--load", load, rule)
    rule = "how many pairs are taken, -first12000 in the name of the text says; take another load"
    require(load != "data_amount", "--load", load, rule)
    axes = ", ".join(name for name in TEMPERATURES if name != "batch_size")
    rule = f"its steps are counted in images of a batch; of sentences it is one of {axes}"
    require(temperature != "batch_size", "--temperature", temperature, rule)
    own = {"--augmentation": augmentation != "published", "--crop-padding": bool(crop_padding), "--flip": bool(flip)}
    values = augmentation, crop_padding, flip
    for (option, is_given), value in zip(own.items(), values, strict=True):
        require(not is_given, option, value, "sentences are not augmented; leave it out")


def check_loss(loss: str | None, smoothing: Mapping[str, float | None]) -> None:
    """Raise UsageError unless there is such a loss, and with one of the user's own no label smoothing, by fields."""
    if loss is not None:
        rule = "it is package.module:function; leave it out for cross entropy"
        require(is_function(loss), "--loss", loss, rule)
        for name, share in smoothing.items():
            rule = "it is of cross entropy alone; give 0, and smooth the labels in --loss"
            require(not share, option_of(name), share, rule)


def check_thresholds(thresholds: Thresholds) -> None:
    """Raise UsageError unless the boundaries of the regimes make sense."""
    rule = "it is a negative number near 0, in units of error, or auto"
    require(thresholds.lmc == AUTO or -1 <= thresholds.lmc < 0, "--lmc-threshold", thresholds.lmc, rule)
    require(0 <= thresholds.cka <= 1, "--cka-threshold", thresholds.cka, "it is in [0, 1]")
    require(0 <= thresholds.margin <= 1, "--cka-margin", thresholds.margin, "it is in [0, 1]")


def check_phase_thresholds(thresholds: PhaseThresholds) -> None:
    """Raise UsageError unless the borders of the phases of dense models make sense."""
    rule = "it is a loss in nats, above 0"
    require(0 < thresholds.loss < math.inf, "--loss-threshold", thresholds.loss, rule)
    rule = "it is a negative number near 0, in units of error, from -1 on"
    require(-1 <= thresholds.mc < 0, "--mc-threshold", thresholds.mc, rule)
    require(0 <= thresholds.cka <= 1, "--cka-threshold", thresholds.cka, "it is in [0, 1]")


def check_rule_values(given: Collection[str], rule: str, values: Mapping[str, float]) -> None:
    """Raise UsageError if a boundary of CKA was given that the rule in force does not use.

    Args:
        given: Fields that were given.
        rule: For CKA.
        values: Of the fields of boundaries.
    """
    for name, own in (("cka_threshold", "fixed"), ("cka_margin", "relative")):
        said = f"it counts with --cka-rule {own}, and the rule is {rule}; give that rule, or leave it out"
        require(name not in given or rule == own, option_of(name), values.get(name), said)


def check_list(name: str, values: Sequence[float]) -> None:
    """Raise UsageError unless there is a value, and none twice."""
    require(len(values) > 0, option_of(name), words(values), "give at least one value")
    repeated = [value for index, value in enumerate(values) if value in values[:index]]
    require(not repeated, option_of(name), words(repeated), "each value is given once")


def check_loads(load: str, values: Mapping[str, Sequence[float]]) -> None:
    """Raise UsageError unless a load axis has values that it can have, and the others none; density has one at least.

    Args:
        load: Name of the axis.
        values: Of all load axes, by the names of their fields.
    """
    for name, axis in LOADS.items():
        own = values[axis.values]
        rule = f"they are the load only with --load {name}"
        require(name in (load, "density") or not own, option_of(axis.values), words(own), rule)
        for value in own:
            require(axis.allowed(value), option_of(axis.values), value, axis.rule)
    densities = values[LOADS["density"].values]
    rule = f"with --load {load} all models are pruned to the same density, so give one"
    require(load == "density" or len(densities) == 1, "--densities", words(densities), rule)


def check_temperatures(axis: str, temperatures: Sequence[float], recipe: Recipe, images: int) -> None:
    """Raise UsageError unless an axis can have these values, given the dense recipe and the number of images."""
    rule = TEMPERATURES[axis].rule.format(recipe=recipe, images=images)
    for value in temperatures:
        require(TEMPERATURES[axis].allowed(value, recipe, images), "--temperatures", value, rule)


def check_batches(sizes: Mapping[str, int | None], images: int) -> None:
    """Raise UsageError unless there are as many images as in a batch, for fields by name; None has no size."""
    rule = f"on the batch_size axis all batches are whole, and there are {images} training images"
    for name, size in sizes.items():
        require(size is None or size <= images, option_of(name), size, rule)


def require(holds: bool, option: str, value: object, rule: str) -> None:
    """Raise UsageError with the value and the rule unless it holds."""
    if not holds:
        raise UsageError(f"{option} {value}: {rule}.")


def option_of(name: str) -> str:
    """Option that sets a field."""
    return "--" + name.replace("_", "-")


def words(values: Sequence[object]) -> str:
    """Values as one types them."""
    return " ".join(map(str, values)) or "(nothing)"
