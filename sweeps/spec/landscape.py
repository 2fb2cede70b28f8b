"""The study of the landscape of dense models: five phases, by what their trainings have in common."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from metrics.five_phases import PhaseThresholds
from sweeps.spec.axes import LOADS
from sweeps.spec.checks import MOST, check_phase_thresholds, option_of, require, words
from sweeps.spec.fields import SweepFields
from sweeps.spec.pruning import PruningFields
from sweeps.spec.recipes import RETRAIN
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study, without_options
from trainables.data import is_text, training_samples
from trainables.stages import (
    ConnectionStage,
    CurvatureSettings,
    CurvatureStage,
    DenseRun,
    MeasurementSettings,
    PointStage,
    Stage,
)
from trainables.training.recipe import Recipe

WHOLE = "magnitude-uniform"
"""Nothing is pruned; a sweep has to have some rule."""

CURVE_SHARE, CURVE_LR = 0.5, 0.1
"""Of epochs and of the learning rate of the dense training: as published, 50 of 100 and 0.01 of 0.1."""

FEW_STEPS = 1500
"""A curve that took fewer may have a barrier since its search was short: between models of 1,350 images of
Fashion-MNIST ``mc`` rose from -0.13 with 220 steps to -0.045 with 1,000, and to -0.010 with 1,720 at twice the
rate."""

_OF_PRUNING = sorted({each.name for each in fields(PruningFields)} - {each.name for each in fields(SweepFields)})
_OF_RETRAINING = sorted(each.name for each in fields(SweepFields) if each.name.startswith(RETRAIN))


@without_options("densities", "pruner", *_OF_PRUNING, *_OF_RETRAINING, "lmc_threshold", "cka_rule", "cka_margin")
@dataclass(frozen=True)
class Landscape(Study):
    """Yang et al. 2021 (arXiv 2107.11228): dense models of several seeds at every temperature and load."""

    name = "landscape"
    of_reading: ClassVar[tuple[str, ...]] = ("loss_threshold", "mc_threshold", "cka_threshold")

    cka_threshold: float
    """From this similarity of dense models on, on mixed-up images and in [0, 1], they are alike (Phase IV-B)."""

    curve_epochs: int | None = None
    """Epochs in which the curve between two dense models is trained; half of --epochs if not given."""

    curve_lr: float | None = None
    """Learning rate of curves at its highest; a tenth of --lr if not given."""

    curve_batch_size: int = 128
    """Images in a step of a curve's training."""

    hessian_images: int = 200
    """Training images, of every class as many, whose mean loss the Hessian is of."""

    hessian_products: int = 30
    """Products with the Hessian from which its trace is estimated; more make its standard error smaller."""

    loss_threshold: float = PhaseThresholds.loss
    """Up to this training loss, in nats, dense models fit their data."""

    mc_threshold: float = PhaseThresholds.mc
    """From this mode connectivity on, in units of error and negative, there is no barrier between dense models."""

    @property
    def phase_thresholds(self) -> PhaseThresholds:
        """Borders of the phases; they decide no result, only how results are read."""
        return PhaseThresholds(self.loss_threshold, self.mc_threshold, self.cka_threshold)

    @property
    def pruned_how(self) -> list[str]:
        """Nothing is pruned."""
        return []

    @property
    def curvature(self) -> CurvatureSettings:
        """How the Hessian is measured; decides no training."""
        return CurvatureSettings(self.hessian_images, self.hessian_products)

    @property
    def connection_settings(self) -> MeasurementSettings:
        """How pairs of dense models are measured; decides no training."""
        return self.measurement

    def check(self) -> None:
        """Raise UsageError unless it can be run."""
        axes = ", ".join(name for name in LOADS if name != "density")
        require(
            self.load != "density", "--load", self.load, f"dense models have all their weights; it is one of {axes}"
        )
        rule = "sentences cannot be mixed up, as similarity needs it; take images"
        require(not is_text(self.data), "--data", self.data, rule)
        rule = "curves connect dense models in pairs, so give at least two"
        require(len(self.dense_seeds) >= 2, "--dense-seeds", words(self.dense_seeds), rule)
        for name, least in (
            ("curve_epochs", 1),
            ("curve_batch_size", 1),
            ("hessian_images", 1),
            ("hessian_products", 6),
        ):
            value, rule = getattr(self, name), f"it is a whole number from {least} to {MOST}"
            require(value is None or least <= value <= MOST, option_of(name), value, rule)
        is_rate = self.curve_lr is None or 0 < self.curve_lr < math.inf
        require(is_rate, "--curve-lr", self.curve_lr, "it is a positive number")
        check_phase_thresholds(self.phase_thresholds)
        super().check()
        images = training_samples(self.data, self.validation_fraction)
        is_there = self.hessian_images <= max(images, CurvatureSettings.images)  # the default is of any data
        rule = f"there are {images} training images; take as many or fewer"
        require(is_there, "--hessian-images", self.hessian_images, rule)

    def variants(self) -> dict[str, SweepSpec]:
        """One sweep, of which nothing is pruned."""
        return {"": self.plain(densities=(1.0,), pruner=WHOLE)}

    def points(self) -> list[PointStage]:
        """None: nothing is retrained."""
        return []

    def tried(self, points: Sequence[PointStage]) -> Sequence[PointStage]:
        """Points as they would be without pruning, and with curves in place of retraining."""
        own = super().points()
        return [replace(each, point=replace(each.point, retrain=self.curve_recipe(each.run))) for each in own]

    def others(self) -> list[Stage]:
        """The connections of all dense models, and their curvature."""
        return [*self.connections(), *self.curvatures()]

    def curvatures(self) -> list[CurvatureStage]:
        """A stage for each dense training."""
        epochs: dict[DenseRun, set[int]] = {}
        for stage in super().points():
            epochs.setdefault(stage.run, set()).add(stage.point.epoch)
        return [CurvatureStage(run, tuple(sorted(own)), self.curvature) for run, own in epochs.items()]

    def connections(self) -> list[ConnectionStage]:
        """A stage for each temperature and load, by temperature, then load."""
        cells: dict[tuple[float, float], list[PointStage]] = {}
        for stage in super().points():
            cells.setdefault((stage.label.temperature, stage.label.load), []).append(stage)
        return [
            ConnectionStage.of(
                [stage.run for stage in own],
                own[0].point.epoch,
                self.curve_recipe(own[0].run),
                self.connection_settings,
                own[0].label,
            )
            for own in cells.values()
        ]

    def curve_steps(self, run: DenseRun) -> int:
        """Steps of the training of a curve between dense models of a training."""
        return self.steps_of(run, self.curve_recipe(run))

    @staticmethod
    def steps_of(run: DenseRun, recipe: Recipe) -> int:
        """Steps of a recipe that counts in epochs, on the data of a training."""
        return recipe.epochs * math.ceil(training_samples(run.data, run.validation_fraction) / recipe.batch_size)

    def curve_recipe(self, run: DenseRun) -> Recipe:
        """How curves between dense models of a training are trained: the same for all temperatures.

        As published (Yang et al. 2021, and their code): half of the epochs, a tenth of the learning rate, constant to
        the half, then linear to 1 % at 90 %.
        """
        own = self.dense_recipe
        return replace(
            own,
            epochs=self.curve_epochs or max(1, round(CURVE_SHARE * own.epochs)),
            lr=self.curve_lr or CURVE_LR * own.lr,
            batch_size=min(self.curve_batch_size, training_samples(run.data, run.validation_fraction)),
            schedule="constant-linear",
            warmup=0.0,
            milestones=Recipe.milestones,
            rho=0.0,
        )
