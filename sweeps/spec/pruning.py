"""The options of pruning methods, and what they decide."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from sweeps.spec.checks import MOST, option_of, require
from sweeps.spec.fields import SweepFields
from sweeps.spec.kinds import Said
from trainables.pruning import Method, rule_of
from trainables.pruning.settings import PruningSettings, Scope
from trainables.stages import DenseRun, PruningRun
from trainables.training.recipe import Recipe

NO_REWINDING = "none"

MOST_ROUNDS, LEAST_SHARE = 1000, 0.01
"""Beyond are typing errors: a round takes a training."""

RewindEpoch = Annotated[int | Literal["none"] | None, Said("a whole number of epochs, or none")]


@dataclass(frozen=True)
class PruningFields(SweepFields):
    """Those of pruning methods, too. One that is left out has the default of the method."""

    prune_scope: Scope | None = None
    """With lottery, iterative, sap, one-shot, gradual, feedback and movement: weights are compared with those of the
    same layer, which is the default, with all (global) or, sap alone, with those of the same output (neuron)."""

    prune_epochs: int | None = None
    """Epochs of each training of a method: of a round of lottery, sap and one-shot as many as the dense model had, of
    iterative and all of gradual, feedback and movement as many as --retrain-epochs, of a round of filters 1. On the
    batch_size axis counted as --epochs are: all batch sizes take as many steps, or epochs with --fixed epochs."""

    prune_to: float | None = None
    """With gradual, feedback, movement and filters in rounds: density that they end with, on whose way the others are;
    the lowest of --densities if not given. Another one is another run, for all densities."""

    prune_share: float | None = None
    """With lottery, iterative and one-shot: share of the remaining weights that a round drops, in (0, 1); 0.2 if not
    given."""

    prune_rounds: int | None = None
    """With filter rules: rounds in which filters are dropped, after an epoch each; 1, at once, if not given. With sap:
    rounds after which it gives up, 30 if not given."""

    rewind_epoch: RewindEpoch = None
    """With lottery, sap and one-shot: epoch of the dense training whose weights rounds and siblings begin with; 0, the
    initial ones, if not given. With sap also none: with those that they have."""

    mask_steps: int | None = None
    """With gradual, feedback and movement: steps after which masks are chosen anew; 16 if not given."""

    sap_p: float | None = None
    """With sap: p of the PQ Index, 0 < p < q; 0.5 if not given."""

    sap_q: float | None = None
    """With sap: q of the PQ Index; 1 if not given."""

    sap_eta: float | None = None
    """With sap: mass of the dropped weights relative to the kept ones in its bound, 0 or more; 0 if not given."""

    sap_gamma: float | None = None
    """With sap: factor on the share that the bound allows to drop, above 0; 1 if not given."""

    sap_beta: float | None = None
    """With sap: largest share of the remaining weights that a round drops, in (0, 1); 0.9 if not given."""

    def check_pruning(self, taken: Mapping[float, int]) -> None:
        """Raise UsageError unless the options are ones of the rule, and have values that go together.

        Args:
            taken: Epochs of the dense models that are pruned, by temperature.
        """
        rule, settings = rule_of(self.pruner), self.pruning_settings
        for option, setting in _SETTINGS.items():
            self._check_taken(option, isinstance(rule, Method) and setting in rule.settings)
        for option in ("prune_epochs", "prune_to"):
            if isinstance(rule, Method) and rule.is_of_filters:
                said = "it is of filters that go in rounds; leave it out, or give --prune-rounds 2 or more"
                is_given = getattr(self, option) is not None
                require(settings.rounds > 1 or not is_given, option_of(option), getattr(self, option), said)
        self._check_taken("prune_epochs", isinstance(rule, Method) and bool(rule.trains))
        self._check_taken("prune_to", isinstance(rule, Method) and rule.has_end)
        for option, most in (("prune_epochs", MOST), ("prune_rounds", MOST_ROUNDS), ("mask_steps", MOST)):
            value = getattr(self, option)
            require(value is None or 1 <= value <= most, option_of(option), value, f"it is from 1 to {most}")
        for option in ("prune_share", "sap_beta"):
            value, rule_of_share = getattr(self, option), f"it is from {LEAST_SHARE:g} to below 1"
            require(value is None or LEAST_SHARE <= value < 1, option_of(option), value, rule_of_share)
        is_known = settings.scope != "neuron" or self.pruner == "sap"
        require(is_known, "--prune-scope", self.prune_scope, "it is of --pruner sap alone")
        p, q = settings.sap_p, settings.sap_q
        require(q < math.inf, "--sap-q", q, "it is a finite number above --sap-p")
        require(0 < p < q, "--sap-p", p, f"it is above 0 and below --sap-q, which is {q:g}")
        require(0 <= settings.sap_eta < math.inf, "--sap-eta", settings.sap_eta, "it is 0 or more, and finite")
        require(
            0 < settings.sap_gamma < math.inf, "--sap-gamma", settings.sap_gamma, "it is a positive number, and finite"
        )
        end, lowest = self.prune_to, min(self.densities)
        rule_of_end = f"it is above 0 and at most the lowest of --densities, which is {lowest:g}"
        require(end is None or 0 < end <= lowest, "--prune-to", end, rule_of_end)
        is_rewound = self.rewind_epoch != NO_REWINDING or self.pruner == "sap"
        rule_of_rewinding = f"{self.pruner} rewinds; --pruner iterative does not"
        require(is_rewound, "--rewind-epoch", self.rewind_epoch, rule_of_rewinding)
        require((settings.rewind_epoch or 0) >= 0, "--rewind-epoch", self.rewind_epoch, "it is 0 or more")
        for temperature, epochs in taken.items():
            latest = max(rule.epochs, default=0)
            rule_of_epochs = (
                f"it takes the model after {latest} epochs, and that of temperature {temperature:g} has {epochs}"
            )
            require(latest <= epochs, "--pruner", self.pruner, rule_of_epochs)
            to_train = f"rounds go on from there to the {epochs} epochs of temperature {temperature:g}; give less"
            require(
                not settings.rewind_epoch or settings.rewind_epoch < epochs,
                "--rewind-epoch",
                self.rewind_epoch,
                to_train,
            )
        if self.prune_epochs is not None:
            rule_of_both = "with --prune-epochs rounds have a schedule of their own; leave one of them out"
            require(not settings.rewind_epoch, "--rewind-epoch", self.rewind_epoch, rule_of_both)
            most = self.retrain_epochs or self.epochs
            rule_of_filters = f"a round is at the beginning of retraining, which has {most}"
            is_of_filters = isinstance(rule, Method) and rule.is_of_filters
            require(
                not is_of_filters or self.prune_epochs <= most, "--prune-epochs", self.prune_epochs, rule_of_filters
            )

    def _check_taken(self, option: str, is_taken: bool) -> None:
        """Raise UsageError if an option was given that the rule does not take."""
        said = f"--pruner {self.pruner} does not take it; leave it out, or name a rule that --help says it is of"
        require(is_taken or getattr(self, option) is None, option_of(option), getattr(self, option), said)

    @property
    def pruning_settings(self) -> PruningSettings:
        """Settings of the method; those that it does not take have their defaults."""
        rule = rule_of(self.pruner)
        if not isinstance(rule, Method):
            return PruningSettings()
        given = {setting: getattr(self, option) for option, setting in _SETTINGS.items()}
        given = {setting: value for setting, value in given.items() if value is not None and setting in rule.settings}
        if given.get("rewind_epoch") == NO_REWINDING:
            given["rewind_epoch"] = None
        return replace(PruningSettings(), **{"rounds": rule.rounds, **given})

    @property
    def pruning_end(self) -> float | None:
        """Density that the method ends with, if all that it does depends on that."""
        rule = rule_of(self.pruner)
        has_end = isinstance(rule, Method) and rule.has_end and _trains(rule, self.pruning_settings)
        return (self.prune_to or min(self.densities)) if has_end else None

    def pruning(self, dense: DenseRun, epoch: int, retrain: Recipe, images: int) -> PruningRun | None:
        """What prunes a dense model before its siblings are retrained, if the rule is a method.

        Args:
            dense: Its training.
            epoch: At which it is pruned.
            retrain: Recipe of retraining.
            images: That it is trained on.
        """
        rule, settings = rule_of(self.pruner), self.pruning_settings
        if not isinstance(rule, Method):
            return None
        if not _trains(rule, settings):
            return PruningRun(dense, epoch, self.pruner, settings)
        end = self.pruning_end
        if rule.is_of_filters:  # at the beginning of a training: its schedule is that of the whole
            return PruningRun(dense, epoch, self.pruner, settings, retrain, self.prune_epochs or 1, end)
        recipe, epochs = (dense.recipe, epoch) if rule.trains == "as dense" else (retrain, retrain.epochs)
        if self.prune_epochs is not None:
            whole = self.epochs if rule.trains == "as dense" else (self.retrain_epochs or self.epochs)
            recipe = _resized(recipe, self.prune_epochs, whole, images)
            epochs = recipe.epochs
        return PruningRun(dense, epoch, self.pruner, settings, recipe, epochs, end)


_SETTINGS = {
    "prune_scope": "scope",
    "prune_share": "share",
    "prune_rounds": "rounds",
    "rewind_epoch": "rewind_epoch",
    "mask_steps": "mask_steps",
    **{field.name: field.name for field in fields(PruningSettings) if field.name.startswith("sap_")},
}
"""Options, and the settings that they are of."""


def _trains(rule: Method, settings: PruningSettings) -> bool:
    """Whether a method trains: filters that go at once need no training."""
    return bool(rule.trains) and not (rule.is_of_filters and settings.rounds == 1)


def _resized(recipe: Recipe, epochs: int, whole: int, images: int) -> Recipe:
    """The same recipe in other epochs; where it counts in steps, in as much more or less of these.

    Args:
        recipe: Of a whole training.
        epochs: Instead of those of the sweep.
        whole: Those of the sweep.
        images: That it is trained on.
    """
    if recipe.iterations is None:
        return replace(recipe, epochs=epochs)
    steps = math.ceil(recipe.iterations * epochs / whole)
    return replace(recipe, iterations=steps, epochs=math.ceil(steps / (images // recipe.batch_size)))
