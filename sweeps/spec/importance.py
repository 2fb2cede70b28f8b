"""The study of importance measures: whole filters, pruned early in training by each of them."""

from dataclasses import dataclass
from typing import Annotated

from sweeps.spec.checks import require
from sweeps.spec.choices import one_of
from sweeps.spec.pruning import MOST_ROUNDS
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study, without_options
from trainables.pruning import RULES, Method
from trainables.stages import DenseRun, FilterScoresStage, Stage

MEASURES = tuple(name for name, rule in RULES.items() if isinstance(rule, Method) and rule.is_of_filters)


@without_options(
    *("load", "widths", "data_dimensions", "data_amounts", "generator"),
    *("pruner", "prune_scope", "prune_share", "prune_rounds"),
    *("rewind_epoch", "mask_steps", "sap_p", "sap_q", "sap_eta", "sap_gamma", "sap_beta"),
)
@dataclass(frozen=True)
class Importance(Study):
    """Lubana and Dick 2021 (ICLR): which filters matter, by measures of loss, gradient and magnitude."""

    name = "importance"

    measures: tuple[Annotated[str, one_of("--measures", MEASURES)], ...] = MEASURES
    """Measures that are compared, rules of --pruner in grid.py."""

    rounds: tuple[int, ...] = (1, 5)
    """Numbers of rounds in which filters go, early in training, after an epoch each; 1 is all at once."""

    @property
    def pruned_how(self) -> list[str]:
        """Nothing: its measures differ."""
        return []

    def check(self) -> None:
        """Raise UsageError unless it can be run."""
        self.check_names("--measures", self.measures, MEASURES)
        self.check_names("--rounds", self.rounds)
        for number in self.rounds:
            require(1 <= number <= MOST_ROUNDS, "--rounds", number, f"it is from 1 to {MOST_ROUNDS}")
        for option in ("prune_epochs", "prune_to"):
            rule = "it is of filters that go in rounds; leave it out, or give --rounds 2 or more, too"
            value = getattr(self, option)
            require(value is None or max(self.rounds) > 1, f"--{option.replace('_', '-')}", value, rule)
        super().check()

    def variants(self) -> dict[str, SweepSpec]:
        """A sweep for each measure and number of rounds."""
        return {
            name: self.plain(pruner=measure, load="density", prune_rounds=number, **self._rounds_alone(number))
            for name, (measure, number) in self.compared().items()
        }

    def compared(self) -> dict[str, tuple[str, int]]:
        """Measure and number of rounds of each of its sweeps."""
        return {
            f"{measure}, {number} round{'s' * (number > 1)}": (measure, number)
            for number in self.rounds
            for measure in self.measures
        }

    def _rounds_alone(self, number: int) -> dict[str, None]:
        """What filters that go at once do not take."""
        return dict.fromkeys(("prune_epochs", "prune_to")) if number == 1 else {}

    def others(self) -> list[Stage]:
        """Scores by all measures of the dense models."""
        epochs: dict[DenseRun, set[int]] = {}
        for stage in self.points():
            epochs.setdefault(stage.run, set()).add(stage.point.epoch)
        return [FilterScoresStage(run, tuple(sorted(own))) for run, own in epochs.items()]
