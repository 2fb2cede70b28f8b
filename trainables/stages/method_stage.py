"""What stages that run a pruning method have in common. Imports no torch."""

import json
from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from trainables.functions import OwnFunction
from trainables.stages.dense import DenseStage
from trainables.stages.dense_run import DenseRun
from trainables.stages.pruning_run import PruningRun
from trainables.stages.stage import Row, Stage
from trainables.training.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from trainables.methods.method import Method
    from trainables.pruning.context import State
    from trainables.stages.cost import StageCosts
    from trainables.tasks.task import Task


@dataclass(frozen=True)
class MethodStage(Stage):
    """Run a method on a dense model."""

    pruning: PruningRun

    def __str__(self) -> str:
        run = self.pruning
        return f"{run.pruner.partition('#')[0]} of {DenseStage(self.run, (run.epoch,))}, after {run.epoch} epochs"

    @property
    def run(self) -> DenseRun:  # type: ignore[override]  # derived
        """Training of the dense model."""
        return self.pruning.dense

    @property
    def key(self) -> str:
        """That of the run."""
        return self.pruning.key

    @property
    def needs(self) -> tuple[Stage, ...]:
        """The dense model, and those of other epochs that the method takes."""
        return (DenseStage(self.run, self.pruning.dense_epochs),)

    @property
    def functions(self) -> tuple[OwnFunction, ...]:
        """Those of the run."""
        return self.pruning.functions

    def common_columns(self) -> Row:
        """What decides the run."""
        run = self.pruning
        return run.dense.columns() | {
            "pruning": run.key,
            "epoch": run.epoch,
            "pruner": run.pruner,
            "configuration": json.dumps(asdict(run), sort_keys=True),
        }

    @property
    @abstractmethod
    def trainings(self) -> int:
        """How many it takes about."""

    @property
    @abstractmethod
    def tried_densities(self) -> tuple[float, ...]:
        """Densities that the method comes to, descending, as far as they are known; the last is the lowest."""

    @property
    def end(self) -> float:
        """Density that the method ends with, in (0, 1]."""
        return self.pruning.end or self.tried_densities[-1]

    def check(self, task: "Task") -> None:
        """Try what can be known without training, on a model with random weights.

        Args:
            task: On random data that look like the real ones.

        Raises:
            ValueError: If the method cannot do what is asked of it; one sentence for the user.
        """
        import torch

        from trainables.stages.pruning_context import DenseModelContext

        run = self.pruning
        with torch.random.fork_rng(devices=[]):
            state = task.model(run.dense.model).state_dict()

        def state_at(epoch: int) -> "State":
            if epoch not in run.dense_epochs:
                said = f"asks for the dense model after {epoch} epochs, of which that after {run.epoch} is kept alone"
                raise ValueError(f"{run.pruner.partition('#')[0]} {said}")
            return state

        context = DenseModelContext(run.dense, run.epoch, self.end, task, state_at)
        kind: type[Method] = run.method.function  # type: ignore[assignment]  # methods are classes
        kind.check(run.pruner, context, self.tried_densities)

    @property
    def work(self) -> float:
        """Epochs of its trainings."""
        return self.pruning.epochs * self.trainings

    def training_seconds(self, costs: "StageCosts", density: float) -> float:
        """Estimate of the time of its trainings, as if all were of this density, and of the errors after each."""
        recipe, sizes = self.pruning.recipe, costs.sizes(self.run)
        if recipe is None or not self.trainings:
            return 0.0
        training = costs.training(self.run, recipe, self.pruning.epochs, 1, density)
        errors = (sizes.train + sizes.validation + sizes.test) * costs.evaluation(self.run, 1, density)
        return self.trainings * (training + errors)

    @property
    def running_bytes(self) -> int:
        """Weights, and what the optimizer keeps of them."""
        from trainables.stages.cost import model_bytes

        size, recipe = model_bytes(self.run.model, self.run.data), self.pruning.recipe
        moments = 0 if recipe is None else OPTIMIZERS[recipe.optimizer].moments
        return size.everything + moments * size.parameters
