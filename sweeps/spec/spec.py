"""What a sweep computes: its axes, seeds and recipe."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Self

from metrics.regimes import Thresholds
from sweeps.spec.axes import AT_FIXED_EPOCHS, DEFAULT_GENERATOR, LOADS, TEMPERATURES, Loaded, TemperatureAxis
from sweeps.spec.checks import (
    check_augmentation,
    check_batches,
    check_for_text,
    check_list,
    check_loads,
    check_loss,
    check_temperatures,
    check_thresholds,
    check_values,
    check_warmup,
    option_of,
    require,
    words,
)
from sweeps.spec.errors import UsageError
from sweeps.spec.kinds import check_kinds
from sweeps.spec.pruning import PruningFields
from sweeps.spec.recipes import RETRAIN, recipe_of
from trainables.data import augmentation_of, is_text, own_crop_padding, short_name, training_samples
from trainables.models import check_name
from trainables.pruning import Method, rule_of
from trainables.stages import DenseRun, Label, MeasurementSettings, Point, PointStage, Stage
from trainables.training.recipe import Recipe


@dataclass(frozen=True)
class SweepSpec(PruningFields):
    """The sweep. A field left out has the preset's value."""

    def check(self) -> None:
        """Raise UsageError unless the sweep can be run."""
        check_values(asdict(self), RETRAIN)
        for name in ("temperatures", "densities", "dense_seeds", "retrain_seeds", self.load_values):
            check_list(name, getattr(self, name))
        check_loads(self.load, {axis.values: getattr(self, axis.values) for axis in LOADS.values()})
        rule = "it is of --load data_dimension; leave it out"
        require(self.generator is None or self.load == "data_dimension", "--generator", self.generator, rule)
        for name in ("dense_seeds", "retrain_seeds"):
            for seed in getattr(self, name):
                require(0 <= seed < 2**32, option_of(name), seed, "a seed is from 0 to 4294967295")
        rule = "siblings are compared in pairs, so give at least two"
        require(len(self.retrain_seeds) >= 2, "--retrain-seeds", words(self.retrain_seeds), rule)
        check_warmup(self.dense_recipe, "--warmup")
        check_warmup(self.retrain_recipe, "--retrain-warmup")
        rule = f"it is of --temperature {' or '.join(AT_FIXED_EPOCHS)}; leave it out"
        require(self.fixed is None or self.temperature in AT_FIXED_EPOCHS, "--fixed", self.fixed, rule)
        rule = "on the rho axis the --temperatures are SAM's radius"
        require(self.temperature != "rho" or self.rho == 0, "--rho", self.rho, rule)
        check_thresholds(self.thresholds)
        if is_text(self.data):
            check_for_text(self.temperature, self.load, self.augmentation, self.crop_padding, self.flip)
        try:
            for load in self.loads:
                data, model, *_ = self.loaded(load)
                check_name(model, is_text(data))
            sizes = set(self._images.values())
        except ValueError as error:
            raise UsageError(f"{error}.") from None
        images = min(sizes)
        check_temperatures(self.temperature, self.temperatures, self.dense_recipe, images)
        padding = own_crop_padding(self.loaded(self.loads[0]).data)
        check_augmentation(self.augmentation, self.crop_padding, self.flip, padding)
        check_loss(self.loss, {name: getattr(self, name) for name in ("label_smoothing", "retrain_label_smoothing")})
        if self.temperature == "batch_size":  # all in whole batches
            check_batches({name: getattr(self, name) for name in ("batch_size", "retrain_batch_size")}, images)
        taken = {
            value: min(self.axis.dense(self.dense_recipe, value, each)[1] for each in sizes)
            for value in self.temperatures
        }
        self.check_pruning(taken)

    @property
    def thresholds(self) -> Thresholds:
        """Boundaries of the regimes; they decide no result, only how results are read."""
        return Thresholds(self.lmc_threshold, self.cka_threshold, self.cka_margin, self.cka_rule)

    @property
    def measurement(self) -> MeasurementSettings:
        """How siblings are compared; decides no training."""
        return MeasurementSettings(self.path_points, cka_images=self.cka_images)

    @property
    def loads(self) -> tuple[float, ...]:
        """Values on the load axis."""
        values: tuple[float, ...] = getattr(self, self.load_values)
        return values

    @property
    def load_values(self) -> str:
        """Name of the field that holds the values on the load axis."""
        return LOADS[self.load].values

    def loaded(self, load: float) -> Loaded:
        """Data and model of a load, and to what density it is pruned."""
        own = Loaded(self.data, self.model, self.densities[0], self.generator or DEFAULT_GENERATOR)
        return LOADS[self.load].loaded(own, load)

    @property
    def data_names(self) -> set[str]:
        """The data of all its loads."""
        return {self.loaded(load).data for load in self.loads}

    @property
    def _images(self) -> dict[float, int]:
        """Number of training images of each load."""
        return {load: training_samples(self.loaded(load).data, self.validation_fraction) for load in self.loads}

    @property
    def load_name(self) -> str:
        """What the load is, for a person: density, or the share of filters with rules that remove these."""
        rule = rule_of(self.pruner)
        return "filters" if self.load == "density" and isinstance(rule, Method) and rule.is_of_filters else self.load

    @property
    def axis(self) -> TemperatureAxis:
        """The temperature axis."""
        is_of_epochs = self.fixed == "epochs" and self.temperature in AT_FIXED_EPOCHS
        return (AT_FIXED_EPOCHS if is_of_epochs else TEMPERATURES)[self.temperature]

    @property
    def hot_is_low(self) -> bool:
        """Whether small temperatures are the hot ones."""
        return self.axis.hot_is_low

    @property
    def hot_to_cold(self) -> list[float]:
        """Temperatures, the hottest first."""
        return sorted(self.temperatures, reverse=not self.hot_is_low)

    @property
    def default_temperature(self) -> float:
        """The one nearest to the recipe's own; of two as near the hotter."""
        own = getattr(self, self.temperature)  # the recipe's field has the axis's name
        return min(self.hot_to_cold, key=lambda temperature: abs(temperature - own))

    @property
    def title(self) -> str:
        """Data, model and pruning in a few words; of what is pinned its name alone."""
        made = f" ({self.generator or DEFAULT_GENERATOR})" if self.load == "data_dimension" else ""
        names = [short_name(self.data) + made, short_name(self.model)]
        return ", ".join([*names, *self.pruned_how])

    @property
    def pruned_how(self) -> list[str]:
        """The pruning in a title."""
        return [short_name(self.pruner), *([] if self.load == "density" else [f"density {self.densities[0]:g}"])]

    @property
    def dense_recipe(self) -> Recipe:
        """Recipe of the dense models but for the temperature."""
        return recipe_of(asdict(self), "")

    @property
    def retrain_recipe(self) -> Recipe:
        """Recipe of retraining but for what the temperature axis says of it; never with SAM."""
        return replace(recipe_of(asdict(self), RETRAIN), rho=0.0)

    def points(self) -> list[PointStage]:
        """All points of the grid, with all their siblings: by dense seed, then temperature, then load."""
        axis, own = self.axis, self.dense_recipe
        loaded = {load: self.loaded(load) for load in self.loads}
        sizes = self._images
        retrain = {load: axis.retrain(self.retrain_recipe, images) for load, images in sizes.items()}
        augmentation = augmentation_of(self.augmentation, self.crop_padding, self.flip)
        points: list[PointStage] = []
        runs: dict[DenseRun, DenseRun] = {}
        for seed, temperature, load in product(self.dense_seeds, self.temperatures, self.loads):
            recipe, epoch = axis.dense(own, temperature, sizes[load])
            data, model, density, _ = loaded[load]
            run = DenseRun(data, self.validation_fraction, model, recipe, seed, augmentation, loss=self.loss)
            run = runs.setdefault(run, run)  # one object, which finds its key once
            pruning = self.pruning(run, epoch, retrain[load], sizes[load])
            point = Point(run, epoch, density, self.pruner, retrain[load], pruning)
            label = Label(self.temperature, temperature, self.load_name, load)
            points.append(PointStage(point, self.retrain_seeds, label))
        return points

    def others(self) -> list[Stage]:
        """What is wanted beside points: of a grid nothing."""
        return []

    def tried(self, points: Sequence[PointStage]) -> Sequence[PointStage]:
        """Points whose models, data and rules are tried before anything trains, given those to be carried out."""
        return points

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            TypeError: If fields are missing, unknown or of another type.
            ValueError: If it is not JSON.
        """
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise TypeError(f"it holds {type(fields).__name__} instead of named fields")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        check_kinds(cls, values)
        return cls(**values)
