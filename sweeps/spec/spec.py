"""What a sweep computes: its axes, seeds and recipe, as a user writes them."""

import json
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Annotated, Any

import tyro

from metrics.regimes import SimilarityRule, Thresholds
from sweeps.spec.axes import LOADS, TEMPERATURES, Load, Temperature
from sweeps.spec.checks import (
    check_augmentation,
    check_batches,
    check_list,
    check_loads,
    check_loss,
    check_pruner,
    check_temperatures,
    check_thresholds,
    check_values,
    check_warmup,
    option_of,
    require,
    words,
)
from sweeps.spec.choices import described, one_of, true_or_false
from sweeps.spec.errors import UsageError
from sweeps.spec.kinds import LmcThreshold, check_kinds
from sweeps.spec.recipes import RETRAIN, recipe_of
from trainables.data import PUBLISHED, augmentation_of, own_crop_padding, short_name, training_images
from trainables.models import EXAMPLES, check_name
from trainables.pruning import RULES
from trainables.stages import DenseRun, Label, MeasurementSettings, Point, PointStage
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import PrecisionOption, Recipe
from trainables.training.schedules import SCHEDULES


@dataclass(frozen=True)
class SweepSpec:
    """The sweep. A field left out has the preset's value."""

    data: Annotated[
        str,
        tyro.conf.arg(
            help=f"Data set: {', '.join(PUBLISHED)}; or a file path.npz, a folder with train/<class>/<image> and "
            "test/<class>/<image>, or package.module:function."
        ),
    ]

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
    """Epochs of the whole schedule of dense training."""

    batch_size: int
    """Images in a training step."""

    lr: float
    """Learning rate, at its highest."""

    momentum: float
    """Momentum of SGD, in [0, 1); adamw does not use it."""

    weight_decay: float
    """Weight decay of all parameters: with sgd an L2 penalty, with adamw decoupled."""

    pruner: Annotated[str, one_of("--pruner", RULES), described("Weights to keep", RULES)]

    validation_fraction: float
    """Share of the training images held out to give validation_error, in [0, 1); 0 leaves that NaN."""

    lmc_threshold: LmcThreshold
    """Regime I is where LMC lies below this, in units of error: a negative number, or auto, which the cells decide."""

    cka_threshold: float
    """With --cka-rule fixed: CKA in [0, 1] from which connected siblings are in Regime II-B."""

    widths: tuple[float, ...] = ()
    """With --load width: factors on the model's channels."""

    optimizer: Annotated[str, one_of("--optimizer", OPTIMIZERS)] = "sgd"
    """What takes the steps; adamw has torch's betas, 0.9 and 0.999."""

    schedule: Annotated[str, one_of("--schedule", SCHEDULES)] = "step"
    """Of the learning rate; step takes it down to a tenth at 50 % and again at 75 %, cosine ends at 0."""

    warmup: float = 0.0
    """Share of the schedule, in [0, 1), in which the learning rate rises from 0, the same amount in each step."""

    label_smoothing: float = 0.0
    """Share of each target, in [0, 1), that is spread over all classes; the losses shown are then of these targets."""

    gradient_clipping: float = 0.0
    """Largest L2 norm of a model's gradients; larger ones are scaled down to it. 0 for no limit."""

    rho: float = 0.0
    """Radius of sharpness-aware minimization (SAM) in dense training, on all axes but rho; 0 is none of it."""

    precision: PrecisionOption = "float32"
    """Of the passes of training (float32 convolutions on a GPU use TensorFloat-32); measuring is in float32. auto is
    what the latest sweep in --out has or, in a new one, bfloat16 where that is clearly faster on this machine."""

    image_size: int | None = None
    """Bring images of a folder or a function to so many pixels, square: the shorter side is resized to it, and the
    middle of the longer one cut out; as they are if not given."""

    augmentation: str = "published"
    """Of training images: published, which for your own data is none; none; crop-flip; or package.module:function."""

    crop_padding: int | None = None
    """Pixels of random shift in augmentation; if not given those published for the data set, or 0."""

    flip: Annotated[bool | None, true_or_false()] = None
    """Mirror images at random in augmentation; if not given as published for the data set, or not."""

    loss: str | None = None
    """What training and retraining minimize, package.module:function; cross entropy if not given."""

    cka_rule: SimilarityRule = "fixed"
    """Compare CKA with --cka-threshold everywhere (fixed), or with the best CKA of the same load (relative)."""

    cka_margin: float = 0.01
    """With --cka-rule relative: Regime II-B reaches so far below the best CKA of the same load, in [0, 1]."""

    retrain_epochs: int | None = None
    """Epochs of retraining; as many as --epochs if not given."""

    retrain_batch_size: int | None = None
    """Images in a step of retraining; as many as --batch-size if not given."""

    retrain_lr: float | None = None
    """Learning rate of retraining at its highest; as --lr if not given."""

    retrain_optimizer: Annotated[str | None, one_of("--retrain-optimizer", OPTIMIZERS, optional=True)] = None
    """Optimizer of retraining; as --optimizer if not given."""

    retrain_schedule: Annotated[str | None, one_of("--retrain-schedule", SCHEDULES, optional=True)] = None
    """Schedule of retraining; as --schedule if not given."""

    retrain_warmup: float | None = None
    """Warm-up of retraining; as --warmup if not given."""

    retrain_weight_decay: float | None = None
    """Weight decay of retraining; as --weight-decay if not given."""

    retrain_label_smoothing: float | None = None
    """Label smoothing of retraining; as --label-smoothing if not given."""

    retrain_gradient_clipping: float | None = None
    """Gradient clipping of retraining; as --gradient-clipping if not given, 0 for no limit."""

    path_points: int = 11
    """Positions on the line between siblings at which LMC takes the error, ends included; another number, or other
    --cka-images, measures those that are kept again, without training."""

    cka_images: int = 6400
    """CKA compares the outputs for so many training images, or for all if there are fewer."""

    def check(self) -> None:
        """Raise UsageError unless the sweep can be run."""
        check_values(asdict(self), RETRAIN)
        for name in ("temperatures", "densities", "dense_seeds", "retrain_seeds", self.load_values):
            check_list(name, getattr(self, name))
        check_loads(self.load, {axis.values: getattr(self, axis.values) for axis in LOADS.values()})
        for name in ("dense_seeds", "retrain_seeds"):
            for seed in getattr(self, name):
                require(0 <= seed < 2**32, option_of(name), seed, "a seed is from 0 to 4294967295")
        rule = "siblings are compared in pairs, so give at least two"
        require(len(self.retrain_seeds) >= 2, "--retrain-seeds", words(self.retrain_seeds), rule)
        check_warmup(self.dense_recipe, "--warmup")
        check_warmup(self.retrain_recipe, "--retrain-warmup")
        rule = "on the rho axis the --temperatures are SAM's radius"
        require(self.temperature != "rho" or self.rho == 0, "--rho", self.rho, rule)
        check_thresholds(self.thresholds)
        try:
            for load in self.loads:
                check_name(LOADS[self.load].model_and_density(self.model, self.densities[0], load)[0])
            images = training_images(self.data, self.validation_fraction)
        except ValueError as error:
            raise UsageError(f"{error}.") from None
        check_temperatures(self.temperature, self.temperatures, self.dense_recipe, images)
        padding = own_crop_padding(self.data)
        check_augmentation(self.augmentation, self.crop_padding, self.flip, padding)
        check_loss(self.loss, {name: getattr(self, name) for name in ("label_smoothing", "retrain_label_smoothing")})
        check_pruner(self.pruner, self.temperature, self.temperatures, self.dense_recipe, images)
        if self.temperature == "batch_size":  # all in whole batches
            check_batches({name: getattr(self, name) for name in ("batch_size", "retrain_batch_size")}, images)

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
        names = [short_name(name) for name in (self.data, self.model)]
        fixed = [] if self.load == "density" else [f"density {self.densities[0]:g}"]
        return ", ".join([*names, self.pruner, *fixed])

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
        axis, images = TEMPERATURES[self.temperature], training_images(self.data, self.validation_fraction)
        own, retrain = self.dense_recipe, axis.retrain(self.retrain_recipe, images)
        augmentation = augmentation_of(self.augmentation, self.crop_padding, self.flip)
        points: list[PointStage] = []
        runs: dict[DenseRun, DenseRun] = {}
        for seed, temperature, load in product(self.dense_seeds, self.temperatures, self.loads):
            recipe, epoch = axis.dense(own, temperature, images)
            model, density = LOADS[self.load].model_and_density(self.model, self.densities[0], load)
            run = DenseRun(self.data, self.validation_fraction, model, recipe, seed, augmentation, loss=self.loss)
            run = runs.setdefault(run, run)  # one object, which finds its key once
            point = Point(run, epoch, density, self.pruner, retrain)
            points.append(PointStage(point, self.retrain_seeds, Label(self.temperature, temperature, self.load, load)))
        return points

    def to_json(self) -> str:
        """Text that :meth:`from_json` reads."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> "SweepSpec":
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
