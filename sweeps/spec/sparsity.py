"""The study of pruning from a sparsity perspective: methods in rounds, and what each round leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from sweeps.spec.checks import option_of, require
from sweeps.spec.choices import one_of
from sweeps.spec.pruning import MOST_ROUNDS, NO_REWINDING
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study, without_options
from trainables.pruning.settings import PruningSettings
from trainables.stages import PointStage, RoundsStage, Stage

METHODS: dict[str, dict[str, str]] = {
    "sap-neuron": {"pruner": "sap", "prune_scope": "neuron"},
    "sap-layer": {"pruner": "sap", "prune_scope": "layer"},
    "sap-global": {"pruner": "sap", "prune_scope": "global"},
    "lottery-layer": {"pruner": "lottery", "prune_scope": "layer"},
    "lottery-global": {"pruner": "lottery", "prune_scope": "global"},
    "one-shot-layer": {"pruner": "one-shot", "prune_scope": "layer"},
    "one-shot-global": {"pruner": "one-shot", "prune_scope": "global"},
}
"""Pruning methods, each with the weights that are compared with each other, by their names in the study."""

RETRAINING = (
    "epochs",
    "batch_size",
    "lr",
    "optimizer",
    "betas",
    "schedule",
    "milestones",
    "warmup",
    "weight_decay",
    "label_smoothing",
    "gradient_clipping",
)
_OWN = ("sap_p", "sap_q", "sap_eta", "sap_gamma", "sap_beta")

ANY_DENSITY = 0.5
"""Rounds go on whatever the density; a rule is tried on a model with this one."""


@without_options(
    *("load", "densities", "widths", "data_dimensions", "data_amounts", "generator"),
    *("pruner", "prune_scope", "prune_to"),
    *("prune_rounds", "mask_steps", "retrain_seeds", *(f"retrain_{name}" for name in RETRAINING)),
    *("lmc_threshold", "cka_threshold", "cka_rule", "cka_margin", "path_points", "cka_images"),
)
@dataclass(frozen=True)
class Sparsity(Study):
    """Diao et al. 2023 (ICLR): what is left after each round, and what the PQ Index says of it."""

    name = "sparsity"

    methods: tuple[Annotated[str, one_of("--methods", METHODS)], ...] = (
        "sap-neuron",
        "sap-layer",
        "sap-global",
        "lottery-global",
        "one-shot-global",
    )
    """Methods that are compared: sap, lottery and one-shot, by neuron, layer or all weights together."""

    rounds: int = 30
    """Rounds of pruning and training after the dense training; published are 30 for small models, 15 for ResNet-18."""

    @property
    def pruned_how(self) -> list[str]:
        """Nothing: its methods differ."""
        return []

    def check(self) -> None:
        """Raise UsageError unless it can be run."""
        self.check_names("--methods", self.methods, METHODS)
        require(1 <= self.rounds <= MOST_ROUNDS, "--rounds", self.rounds, f"it is from 1 to {MOST_ROUNDS}")
        pruners = {METHODS[name]["pruner"] for name in self.methods}
        for option in ("prune_share", *_OWN):
            takers = {"sap"} if option in _OWN else {"lottery", "one-shot"}
            rule = f"it is of {' and '.join(sorted(takers))} alone; leave it out, or name one of them in --methods"
            is_given = getattr(self, option) is not None
            require(bool(takers & pruners) or not is_given, option_of(option), getattr(self, option), rule)
        rule = "lottery and one-shot rewind; leave it out, or name --methods of sap alone"
        is_rewound = pruners <= {"sap"} or self.rewind_epoch != NO_REWINDING
        require(is_rewound, "--rewind-epoch", self.rewind_epoch, rule)
        super().check()

    def variants(self) -> dict[str, SweepSpec]:
        """A sweep for each method."""
        return {name: self._variant(METHODS[name]) for name in self.methods}

    def _variant(self, method: dict[str, str]) -> SweepSpec:
        is_sap = method["pruner"] == "sap"
        not_taken: dict[str, Any] = dict.fromkeys(("prune_share",) if is_sap else _OWN)
        return self.plain(**not_taken, **method, load="density", densities=(ANY_DENSITY,), prune_rounds=None)

    def has_published_norms(self, method: str) -> bool:
        """Whether a method's PQ Index has the same p and q as that of dense models."""
        own, usual = self.variants()[method].pruning_settings, PruningSettings()
        return (own.sap_p, own.sap_q) == (usual.sap_p, usual.sap_q)

    def points(self) -> list[PointStage]:
        """None: rounds retrain no siblings."""
        return []

    def others(self) -> list[Stage]:
        """A run of each method on each dense model."""
        return [stage for own in self.rounds_by_variant().values() for stage in own]

    def rounds_by_variant(self) -> dict[str, list[RoundsStage]]:
        """Runs of each method, on each dense model."""
        numbers = tuple(range(1, self.rounds + 1))
        found: dict[str, list[RoundsStage]] = {}
        for name, points in self.points_by_variant().items():
            for stage in points:
                assert stage.point.pruning is not None  # methods in rounds
                found.setdefault(name, []).append(RoundsStage(stage.point.pruning, numbers, stage.label))
        return found

    def tried(self, points: Sequence[PointStage]) -> Sequence[PointStage]:
        """Points as they would be of these methods."""
        return [stage for own in self.points_by_variant().values() for stage in own]
