"""What a sweep computes: its axes, seeds and recipe, as a user writes them."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import trainables.data
import trainables.models
from metrics.regimes import SimilarityRule, Thresholds
from sweeps.errors import UsageError
from trainables.recipe import Recipe
from trainables.stages import DenseRun, Label, Measurement, Point, PointStage, Pruner

HOT_IS_LOW = {"epochs": True}
"""Whether small values of a temperature axis are the hot ones."""

LOADS = ("density",)


@dataclass(frozen=True)
class SweepSpec:
    """The sweep. A field left out has the preset's value."""

    data: str
    """Data set: digits, 1,797 handwritten digits of 8x8 pixels that come with the package."""

    model: str
    """Architecture: preresnet<6n+2>, with -w<factor> for a width other than 16 channels in the first stage."""

    temperature: Literal["epochs"]
    """Temperature axis. epochs: of dense training, fewer is hotter; one training per seed passes through all."""

    temperatures: tuple[int, ...]
    """Values on the temperature axis; for epochs, whole numbers from 1 to --epochs."""

    load: Literal["density"]
    """Load axis. density: fraction of convolution weights kept."""

    densities: tuple[float, ...]
    """Values on the load axis, in (0, 1]."""

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

    pruner: Pruner
    """The weights of smallest magnitude go: the same share of every layer (uniform), or over all layers (global)."""

    validation_fraction: float
    """Share of the training images held out to give validation_error, in [0, 1); 0 leaves that NaN."""

    lmc_threshold: float
    """Regime I is where LMC lies below this, in units of error; negative."""

    cka_threshold: float
    """With --cka-rule fixed: CKA in [0, 1] from which connected siblings are in Regime II-B."""

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

    def check(self) -> None:
        """Raise UsageError unless the sweep can be run."""
        for option, names in ((self.temperature, HOT_IS_LOW), (self.load, LOADS)):
            _require(option in names, "axis", option, f"there is no such axis; the axes are {', '.join(names)}")
        for name, known in (("pruner", get_args(Pruner)), ("cka_rule", get_args(SimilarityRule))):
            rule = f"it is one of {', '.join(known)}"
            _require(getattr(self, name) in known, _option(name), getattr(self, name), rule)
        for name in ("epochs", "batch_size", "retrain_epochs", "retrain_batch_size"):
            value = getattr(self, name)
            _require(value is None or value >= 1, _option(name), value, "it is a whole number from 1")
        for name in ("temperatures", "densities", "dense_seeds", "retrain_seeds"):
            _check_list(name, getattr(self, name))
        for density in self.densities:
            _require(0 < density <= 1, "--densities", density, "a density is a fraction kept, in (0, 1]")
        for epoch in self.temperatures:
            rule = f"a temperature on the epochs axis is from 1 to the {self.epochs} --epochs of dense training"
            _require(1 <= epoch <= self.epochs, "--temperatures", epoch, rule)
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
        check_thresholds(self.thresholds)
        try:
            trainables.models.check_name(self.model)
            trainables.data.load(self.data, self.validation_fraction)
        except ValueError as error:
            raise UsageError(f"{error}.") from None

    @property
    def thresholds(self) -> Thresholds:
        """Boundaries of the regimes; they decide no result, only how results are read."""
        return Thresholds(self.lmc_threshold, self.cka_threshold, self.cka_margin, self.cka_rule)

    def dense_run(self, seed: int) -> DenseRun:
        """Dense training of one seed, the same for all its temperatures."""
        recipe = Recipe(self.epochs, self.batch_size, self.lr, self.momentum, self.weight_decay)
        return DenseRun(self.data, self.validation_fraction, self.model, recipe, seed)

    def points(self) -> list[PointStage]:
        """All points of the grid, with all their siblings."""
        retrain = Recipe(
            self.retrain_epochs or self.epochs,
            self.retrain_batch_size or self.batch_size,
            self.retrain_lr or self.lr,
            self.momentum,
            self.weight_decay,
        )
        return [
            PointStage(
                Point(run, epoch, density, self.pruner, retrain, Measurement()),
                self.retrain_seeds,
                Label(self.temperature, epoch, self.load, density),
            )
            for run in map(self.dense_run, self.dense_seeds)
            for epoch in self.temperatures
            for density in self.densities
        ]

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


def _check_list(name: str, values: Sequence[float]) -> None:
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
