"""What a sweep computes: its axes, seeds and recipe, as a user writes them."""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Annotated, Any, get_args

import tyro

from metrics.regimes import SimilarityRule, Thresholds
from sweeps.spec.axes import LOADS, TEMPERATURES, Load, Temperature
from sweeps.spec.choices import check_choice, described, one_of
from sweeps.spec.errors import UsageError
from trainables.data import PUBLISHED, training_images
from trainables.models import EXAMPLES, check_name
from trainables.pruning import RULES
from trainables.stages import DenseRun, Label, Measurement, Point, PointStage
from trainables.training.recipe import Precision, Recipe

MOST = 10_000_000
"""Of epochs and images in a batch; beyond are typing errors."""


@dataclass(frozen=True)
class SweepSpec:
    """The sweep. A field left out has the preset's value."""

    data: Annotated[str, tyro.conf.arg(help=f"Data set: {', '.join(PUBLISHED)} or a file path.npz; see the README.")]

    model: Annotated[
        str,
        tyro.conf.arg(help=f"Architecture: one like {EXAMPLES}, -w0.5 for half the width; or package.module:function."),
    ]

    temperature: Temperature

    temperatures: tuple[int | float, ...]
    """Values on the temperature axis, in its own unit."""

    load: Load

    densities: Annotated[tuple[float, ...], tyro.conf.arg(aliases=["--density"])]
    """Fractions of the prunable weights to keep, in (0, 1]; just one with --load width."""

    dense_seeds: tuple[int, ...]
    """Seeds of the dense models, each a training of its own."""

    retrain_seeds: tuple[int, ...]
    """Seeds of the siblings retrained from each pruned model, at least two; all their pairs are compared."""

    epochs: int
    """Epochs of the whole schedule of dense training; the learning rate drops to a tenth at 50 % and at 75 %."""

    batch_size: int
    """Images in a training step."""

    lr: float
    """Learning rate at the start."""

    momentum: float
    """Momentum of SGD, in [0, 1)."""

    weight_decay: float
    """L2 penalty on all parameters."""

    pruner: Annotated[str, one_of("--pruner", RULES), described("Weights to keep", RULES)]

    validation_fraction: float
    """Share of the training images held out to give validation_error, in [0, 1); 0 leaves that NaN."""

    lmc_threshold: float
    """Regime I is where LMC lies below this, in units of error; negative."""

    cka_threshold: float
    """With --cka-rule fixed: CKA in [0, 1] from which connected siblings are in Regime II-B."""

    widths: tuple[float, ...] = ()
    """With --load width: factors on the model's channels."""

    rho: float = 0.0
    """Radius of sharpness-aware minimization (SAM) in dense training, on all axes but rho; 0 is plain SGD."""

    precision: Precision = "float32"
    """Of the passes of training (float32 convolutions on a GPU use TensorFloat-32); measuring is in float32."""

    crop_padding: int | None = None
    """Pixels of random shift in augmentation; as published for the data set if not given, 0 for a file."""

    flip: bool | None = None
    """Mirror images at random in augmentation; as published for the data set if not given, not for a file."""

    cka_rule: SimilarityRule = "fixed"
    """Compare CKA with --cka-threshold everywhere (fixed), or with the best CKA of the same load (relative)."""

    cka_margin: float = 0.01
    """With --cka-rule relative: Regime II-B reaches so far below the best CKA of the same load, in [0, 1]."""

    retrain_epochs: int | None = None
    """Epochs of retraining; as many as --epochs if not given."""

    retrain_batch_size: int | None = None
    """Images in a step of retraining; as many as --batch-size if not given."""

    retrain_lr: float | None = None
    """Learning rate of retraining at the start; as --lr if not given."""

    path_points: int = 11
    """Positions on the line between two siblings at which LMC takes the error, both ends among them."""

    cka_images: int = 6400
    """CKA compares the outputs for so many training images, or for all if there are fewer."""

    def check(self) -> None:
        """Raise UsageError unless the sweep can be run."""
        choices: dict[str, Collection[str]] = {"temperature": TEMPERATURES, "load": LOADS, "pruner": RULES}
        choices |= {"cka_rule": get_args(SimilarityRule), "precision": get_args(Precision)}
        for name, names in choices.items():
            check_choice(_option(name), getattr(self, name), names)
        for name in ("epochs", "batch_size", "retrain_epochs", "retrain_batch_size"):
            value = getattr(self, name)
            rule = f"it is a whole number from 1 to {MOST}"
            _require(value is None or 1 <= value <= MOST, _option(name), value, rule)
        for name in ("temperatures", "densities", "dense_seeds", "retrain_seeds", self.load_values):
            check_list(name, getattr(self, name))
        self._check_loads()
        for name in ("dense_seeds", "retrain_seeds"):
            for seed in getattr(self, name):
                _require(0 <= seed < 2**32, _option(name), seed, "a seed is from 0 to 4294967295")
        rule = "siblings are compared in pairs, so give at least two"
        _require(len(self.retrain_seeds) >= 2, "--retrain-seeds", _words(self.retrain_seeds), rule)
        for name in ("lr", "retrain_lr"):
            value = getattr(self, name)
            _require(value is None or 0 < value < math.inf, _option(name), value, "it is a positive number")
        _require(0 <= self.momentum < 1, "--momentum", self.momentum, "it is in [0, 1)")
        _require(0 <= self.weight_decay < math.inf, "--weight-decay", self.weight_decay, "it is 0 or more")
        _require(
            0 <= self.validation_fraction < 1, "--validation-fraction", self.validation_fraction, "it is in [0, 1)"
        )
        _require(0 <= self.rho < math.inf, "--rho", self.rho, "it is 0 or more")
        rule = "on the rho axis the --temperatures are SAM's radius"
        _require(self.temperature != "rho" or self.rho == 0, "--rho", self.rho, rule)
        padding = self.crop_padding
        _require(padding is None or 0 <= padding <= 64, "--crop-padding", padding, "it is from 0 to 64 pixels")
        _require(
            2 <= self.path_points <= 1001, "--path-points", self.path_points, "it is from 2 to 1001, ends included"
        )
        _require(
            2 <= self.cka_images <= MOST, "--cka-images", self.cka_images, f"it is a whole number from 2 to {MOST}"
        )
        check_thresholds(self.thresholds)
        try:
            for load in self.loads:
                check_name(self._model_and_density(load)[0])
            images = training_images(self.data, self.validation_fraction)
        except ValueError as error:
            raise UsageError(f"{error}.") from None
        self._check_temperatures(images)

    def _check_loads(self) -> None:
        for name, axis in LOADS.items():
            values = getattr(self, axis.values)
            rule = f"they are the load only with --load {name}"
            _require(name in (self.load, "density") or not values, _option(axis.values), _words(values), rule)
            for value in values:
                _require(axis.allowed(value), _option(axis.values), value, axis.rule)
        rule = f"with --load {self.load} all models are pruned to the same density, so give one"
        _require(self.load == "density" or len(self.densities) == 1, "--densities", _words(self.densities), rule)

    def _check_temperatures(self, images: int) -> None:
        axis = TEMPERATURES[self.temperature]
        rule = axis.rule.format(recipe=self.dense_recipe, images=images)
        for value in self.temperatures:
            _require(axis.allowed(value, self.dense_recipe, images), "--temperatures", value, rule)
        if self.temperature == "batch_size":  # all in whole batches
            for name in ("batch_size", "retrain_batch_size"):
                value = getattr(self, name)
                rule = f"on the batch_size axis all batches are whole, and there are {images} training images"
                _require(value is None or value <= images, _option(name), value, rule)

    @property
    def thresholds(self) -> Thresholds:
        """Boundaries of the regimes; they decide no result, only how results are read."""
        return Thresholds(self.lmc_threshold, self.cka_threshold, self.cka_margin, self.cka_rule)

    @property
    def measurement(self) -> Measurement:
        """How siblings are compared; decides no training."""
        return Measurement(self.path_points, cka_images=self.cka_images)

    @property
    def loads(self) -> tuple[float, ...]:
        """Values on the load axis."""
        values: tuple[float, ...] = getattr(self, self.load_values)
        return values

    @property
    def load_values(self) -> str:
        """Name of the field that holds the values on the load axis."""
        return LOADS[self.load].values

    @property
    def hot_is_low(self) -> bool:
        """Whether small temperatures are the hot ones."""
        return TEMPERATURES[self.temperature].hot_is_low

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
        names = [name.partition("#")[0].rpartition("/")[2] for name in (self.data, self.model)]
        fixed = [] if self.load == "density" else [f"density {self.densities[0]:g}"]
        return ", ".join([*names, self.pruner, *fixed])

    @property
    def dense_recipe(self) -> Recipe:
        """Recipe of the dense models but for the temperature."""
        return Recipe(
            self.epochs,
            self.batch_size,
            self.lr,
            self.momentum,
            self.weight_decay,
            rho=self.rho,
            precision=self.precision,
        )

    def points(self) -> list[PointStage]:
        """All points of the grid, with all their siblings: by dense seed, then temperature, then load."""
        axis, images = TEMPERATURES[self.temperature], training_images(self.data, self.validation_fraction)
        own = replace(
            self.dense_recipe,
            epochs=self.retrain_epochs or self.epochs,
            batch_size=self.retrain_batch_size or self.batch_size,
            lr=self.retrain_lr or self.lr,
            rho=0.0,
        )
        retrain = axis.retrain(own, images)
        points = []
        for seed, temperature, load in product(self.dense_seeds, self.temperatures, self.loads):
            recipe, epoch = axis.dense(self.dense_recipe, temperature, images)
            model, density = self._model_and_density(load)
            run = DenseRun(self.data, self.validation_fraction, model, recipe, seed, self.crop_padding, self.flip)
            point = Point(run, epoch, density, self.pruner, retrain)
            points.append(PointStage(point, self.retrain_seeds, Label(self.temperature, temperature, self.load, load)))
        return points

    def _model_and_density(self, load: float) -> tuple[str, float]:
        return LOADS[self.load].model_and_density(self.model, self.densities[0], load)

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> "SweepSpec":
        """Read what :meth:`to_json` wrote.

        Raises:
            TypeError: If fields are missing or unknown.
            ValueError: If it is not JSON.
        """
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise TypeError(f"it holds {type(fields).__name__} instead of named fields")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**values)


def check_thresholds(thresholds: Thresholds) -> None:
    """Raise UsageError unless the boundaries of the regimes make sense."""
    rule = "it is a negative number near 0, in units of error"
    _require(-1 <= thresholds.lmc < 0, "--lmc-threshold", thresholds.lmc, rule)
    _require(0 <= thresholds.cka <= 1, "--cka-threshold", thresholds.cka, "it is in [0, 1]")
    _require(0 <= thresholds.margin <= 1, "--cka-margin", thresholds.margin, "it is in [0, 1]")


def check_list(name: str, values: Sequence[float]) -> None:
    """Raise UsageError unless there is a value, and none twice."""
    _require(len(values) > 0, _option(name), "(nothing)", "give at least one value")
    repeated = [value for index, value in enumerate(values) if value in values[:index]]
    _require(not repeated, _option(name), _words(repeated), "each value is given once")


def _require(holds: bool, option: str, value: object, rule: str) -> None:
    if not holds:
        raise UsageError(f"{option} {value}: {rule}.")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _words(values: Sequence[object]) -> str:
    return " ".join(map(str, values))
