"""All that decides what a pruning method does with a dense model. Imports no torch."""

import math
from dataclasses import dataclass
from functools import cached_property

from trainables.functions import OwnFunction, is_function
from trainables.pruning import PURPOSE, Method, rule_of
from trainables.pruning.settings import PruningSettings
from trainables.stages.dense_run import DenseRun
from trainables.stages.keys import configuration_key
from trainables.training.recipe import Recipe


@dataclass(frozen=True)
class PruningRun:
    """One run of a method, which gives pruned models of several densities.

    Attributes:
        dense: Training of the dense model.
        epoch: Its epochs done when the model is taken.
        pruner: Name of the method.
        settings: How it prunes; of what it does not take these are the defaults.
        recipe: How it trains; None if it does not.
        epochs: Of each of its trainings.
        end: Density that it ends with, in (0, 1], where what it does at first depends on that; otherwise None.
    """

    dense: DenseRun
    epoch: int
    pruner: str
    settings: PruningSettings
    recipe: Recipe | None = None
    epochs: int = 0
    end: float | None = None

    @cached_property
    def key(self) -> str:
        """Name of its results and artifacts."""
        return configuration_key(self)

    @property
    def method(self) -> Method:
        """The method."""
        method = rule_of(self.pruner)
        assert isinstance(method, Method)
        return method

    @property
    def functions(self) -> tuple[OwnFunction, ...]:
        """The user's own functions that it needs."""
        own = (OwnFunction(PURPOSE, self.pruner),) if is_function(self.pruner) else ()
        return (*self.dense.functions, *own)

    @property
    def dense_epochs(self) -> tuple[int, ...]:
        """Epochs of the dense training whose models it takes, ascending."""
        rewound = self.settings.rewind_epoch if "rewind_epoch" in self.method.settings else None
        return tuple(sorted({self.epoch, *self.method.epochs, *([] if rewound is None else [rewound])}))

    @property
    def most_rounds(self) -> float:
        """Rounds that can be wanted by their number: 0 if there are none, infinite if they need not end."""
        if self.recipe is None or not self.method.is_in_rounds:
            return 0
        return self.settings.rounds if self.method.is_of_filters else math.inf

    def trainings(self, density: float) -> int:
        """How many trainings it takes about to come to a density."""
        if self.recipe is None or self.method.is_at_once:
            return 0
        if self.method.is_of_filters:
            return self.settings.rounds
        if self.method.has_end:
            return 1
        return max(0, math.ceil(math.log(density) / math.log(1 - self.settings.share) - 1e-9) - 1)


def pruned_file(run: PruningRun, density: float) -> str:
    """Path of the file that holds what a method pruned to a density."""
    return f"pruning/{run.key}/density-{density!r}.pt"


def pruned_density(name: str) -> float:
    """Density of what such a file holds, by its name without folders and end."""
    return float(name.removeprefix("density-"))


def rounds_file(run: PruningRun) -> str:
    """Path of the file that holds a method after the rounds that were wanted by their number."""
    return f"rounds/{run.key}.pt"
