"""The diagnosis of one training: a landscape of one temperature and one load, and its pruned siblings."""

from dataclasses import dataclass, replace

from metrics.regimes import Thresholds
from sweeps.spec.axes import LOADS
from sweeps.spec.checks import require, words
from sweeps.spec.landscape import Landscape
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import without_options
from trainables.data import training_samples
from trainables.stages import DenseRun, MeasurementSettings, PointStage
from trainables.training.recipe import Recipe

SIBLINGS = "siblings"
"""Variant of the points that --density adds."""

PAIRS = MeasurementSettings(path_points=5, cka_images=768)
"""How pairs of dense models are measured, as Yang et al. 2021 do, so that the thresholds of phases hold of them."""

_AXES = ("temperature", "temperatures", "fixed", "load", "generator", *(axis.values for axis in LOADS.values()))


@without_options(*_AXES, "path_points", "cka_images")
@dataclass(frozen=True)
class Diagnosis(Landscape):
    """Yang et al. 2021 (arXiv 2107.11228): the phase of one training, of dense models of two or more seeds.

    Its dense models and curves are those of a landscape and of grids on the epochs axis, after all --epochs.
    """

    name = "diagnose"
    of_siblings = ("lmc_threshold", "sibling_cka_threshold")
    of_reading = (*Landscape.of_reading, *of_siblings)
    has_picture = False

    lmc_threshold: float
    """With --density: siblings are in Regime I where their LMC lies below this, in units of error, negative."""

    density: float | None = None
    """Prune the models to this fraction of their weights, in (0, 1], too, and say of which regime their siblings are;
    their retraining has the same recipe. If not given nothing is pruned."""

    sibling_cka_threshold: float = 0.98
    """With --density: CKA in [0, 1] from which connected siblings are in Regime II-B."""

    checkpoints: tuple[str, ...] | None = None
    """Two or more trained models of yours, of the same recipe and different seeds, in place of training: files of
    torch.save with the weights of --model. Give the --lr, --batch-size, --epochs, --weight-decay and so on that trained
    them: what trains the curve between them and, with --density, siblings is made of these, and advice starts there."""

    @property
    def connection_settings(self) -> MeasurementSettings:
        """As published; siblings are measured as those of grids are."""
        return PAIRS

    @property
    def sibling_thresholds(self) -> Thresholds:
        """Borders of the regimes of siblings."""
        return Thresholds(self.lmc_threshold, self.sibling_cka_threshold)

    def check(self) -> None:
        """Raise UsageError unless it can be run."""
        if self.checkpoints is not None:
            rule = "curves connect models in pairs, so give at least two files"
            require(len(self.checkpoints) >= 2, "--checkpoints", words(self.checkpoints), rule)
        rule = "a density is a fraction kept, in (0, 1]"
        require(self.density is None or 0 < self.density <= 1, "--density", self.density, rule)
        share = self.sibling_cka_threshold
        require(0 <= share <= 1, "--sibling-cka-threshold", share, "it is in [0, 1]")
        rule = "it is a negative number near 0, in units of error"
        require(-1 <= self.lmc_threshold < 0, "--lmc-threshold", self.lmc_threshold, rule)
        super().check()
        self._pruned.check()
        images = training_samples(self.data, self.validation_fraction)
        rule = f"there are {images} training images; take as many or fewer"
        require(self.batch_size <= images, "--batch-size", self.batch_size, rule)

    def variants(self) -> dict[str, SweepSpec]:
        """One sweep of one cell, of which nothing is pruned."""
        found = super().variants()
        return {name: self._of_this_training(replace(own, load="width", widths=(1.0,))) for name, own in found.items()}

    @property
    def _pruned(self) -> SweepSpec:
        """The same training as a grid of one point, of its siblings."""
        densities = (1.0 if self.density is None else self.density,)
        own = self.plain(load="density", widths=(), densities=densities, cka_threshold=self.sibling_cka_threshold)
        return self._of_this_training(own)

    def _of_this_training(self, sweep: SweepSpec) -> SweepSpec:
        seeds = self.dense_seeds if self.checkpoints is None else tuple(range(1, len(self.checkpoints) + 1))
        return replace(sweep, temperature="epochs", temperatures=(self.epochs,), dense_seeds=seeds)

    def points_by_variant(self) -> dict[str, list[PointStage]]:
        """As of all studies; with checkpoints these are the dense models."""
        return {name: self._begun(stages) for name, stages in super().points_by_variant().items()}

    def points(self) -> list[PointStage]:
        """Siblings of every dense model, if there is a density."""
        if self.density is None:
            return []
        return self._begun([stage.of_variant(SIBLINGS) for stage in self._pruned.points()])

    def _begun(self, points: list[PointStage]) -> list[PointStage]:
        """The same points of the checkpoints, whose seeds are their numbers."""
        if self.checkpoints is None:
            return points
        return [replace(stage, point=replace(stage.point, dense=self._run(stage.run), epoch=0)) for stage in points]

    def _run(self, run: DenseRun) -> DenseRun:
        """Nothing is trained, so nothing of a recipe is in its key."""
        assert self.checkpoints is not None  # this is only called with them
        checkpoint = self.checkpoints[run.seed - 1].rpartition("#")[2]
        return replace(run, recipe=Recipe(epochs=0), checkpoint=checkpoint)
