"""What a pruning method is given, and what it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainables.execution.chooser import Chooser
from trainables.pruning.context import Pruned, PruningContext, State, masked
from trainables.pruning.settings import PruningSettings
from trainables.stacks.stack import Stack
from trainables.storage import artifacts
from trainables.storage.folder import Folder
from trainables.tasks.task import SplitName, Task
from trainables.training.masks import Masks
from trainables.training.progress import Progress
from trainables.training.recipe import Recipe
from trainables.training.resumable import ResumableTraining
from trainables.training.training import Training

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

NOT_FINITE = "loss or weights not finite in epoch {} {}"

Round = dict[str, Any]
"""A row of the table of rounds: its number, density, errors, PQ Index and seconds."""


@dataclass(frozen=True)
class Work:
    """All that a method may use.

    Attributes:
        pruner: Name of the rule.
        settings: How it prunes.
        context: The dense model. Its density is the one that the method ends with.
        task: What models are trained for.
        model: Name of the architecture.
        data: Name of the data.
        seed: Of the dense model.
        recipe: How models are trained; None where none are.
        epochs: Of each training.
        folder: Where half-done trainings are kept.
        file: Path that the names of their files begin with.
        kept: Files in which a method in rounds may be kept after a round: first that in which this one is.
        checkpoint_seconds: As in :class:`trainables.training.resumable.ResumableTraining`.
        chooser: Says how trainings are computed.
        trainings: How many it will take about.
    """

    pruner: str
    settings: PruningSettings
    context: PruningContext
    task: Task
    model: str
    data: str
    seed: int
    recipe: Recipe | None
    epochs: int
    folder: Folder
    file: str
    kept: tuple[str, ...]
    checkpoint_seconds: float
    chooser: Chooser
    trainings: int = 1

    def stack(self, state: State, masks: Mapping[str, Tensor] | None = None) -> Stack:
        """A stack of one model, with these weights.

        Args:
            state: State dictionary of the plain model, which may be smaller than the architecture.
            masks: Weights that will not be zero, by parameter name; all of those without a mask.
        """
        is_float32 = self.recipe is None or self.recipe.precision == "float32"
        stack = self.task.stack(self.model, 1, masks or {} if is_float32 else None, state)
        stack.load([state])
        return stack

    def training(self, stack: Stack, masks: Mapping[str, Tensor] | Masks, stream: str) -> ResumableTraining:
        """A training of this stack, which is kept in a file of its own while it runs.

        Args:
            stack: Of one model.
            masks: As of :class:`trainables.training.training.Training`.
            stream: Names its random numbers and its file.
        """
        assert self.recipe is not None
        training = Training(stack, self.recipe, self.task, [(f"prune-{stream}", self.seed)], masks)
        fixed = {} if isinstance(masks, Masks) else masks
        self.chooser.settle(training, self.model, self.data, fixed)
        return ResumableTraining(training, self.folder, f"{self.file}-{stream}.pt", self.checkpoint_seconds)

    def errors(self, stack: Stack) -> dict[str, float]:
        """Errors of the first model of a stack on every split."""
        return {f"{split}_error": self.task.errors(stack, split)[0] for split in SPLITS}


class Method(ABC):
    """A method at work on one dense model. It is asked for pruned models of several densities, from high to low.

    What it does depends in no way on which densities it is asked for: it goes as far as all lower ones need it, and
    what is pruned to a density is a copy.

    Args:
        work: What it may use.

    Attributes:
        rounds: What was done so far.
        seconds: That it took.
        diverged: Why there are no pruned models, a sentence; empty if there are.
        told: How far all of it is, as it was told last.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.rounds: list[Round] = []
        self.seconds = 0.0
        self.diverged = ""
        self.told = Progress(0, max(1, work.trainings * work.epochs))
        self._samples = 0

    @classmethod  # noqa: B027  most have nothing to check
    def check(cls, pruner: str, context: PruningContext, densities: Sequence[float]) -> None:
        """Try what can be known before anything trains.

        Args:
            pruner: Name of the rule.
            context: A model with random weights.
            densities: That will be wanted.

        Raises:
            ValueError: If it cannot do what is asked of it; one sentence for the user.
        """

    @abstractmethod
    def until(self, density: float) -> Iterator[Progress]:
        """Go on until the next thing to do would pass this density.

        Raises:
            ValueError: If it cannot come so far; one sentence for the user.
        """

    def through(self, rounds: int) -> Iterator[Progress]:
        """Go on until so many rounds are done, if it is in rounds; where nothing can be pruned, with the same masks."""
        raise NotImplementedError

    @abstractmethod
    def pruned(self, density: float) -> Pruned:
        """Prune what there is now to a density."""

    def before(self) -> State:
        """What there is now, the model that :meth:`pruned` prunes: as it computes, with zeros for what is gone.

        The dense model, unless there is another; it may be smaller.
        """
        return self.work.context.state

    def after(self, pruned: Pruned) -> State:
        """The same without what was pruned, and not rewound.

        Args:
            pruned: What :meth:`pruned` gave of it.
        """
        return masked(pruned.state, pruned.masks)

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs to go on from here."""
        return {"rounds": [dict(row) for row in self.rounds], "seconds": self.seconds, "diverged": self.diverged}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` gave."""
        self.rounds = [dict(row) for row in state["rounds"]]
        self.seconds, self.diverged = state["seconds"], state["diverged"]

    @property
    def done(self) -> int:
        """How far it has come, in rounds."""
        return len(self.rounds)

    def take_up(self, density: float | None = None) -> None:
        """Go on from what was kept of it before, where that has come further, but not past this density, if any."""
        for file in self.work.kept:
            state = artifacts.load(self.work.folder, file)
            if state is not None and len(state["rounds"]) > self.done:
                here = self.state_dict()
                self.load_state_dict(state)
                if density is not None and self.is_past(density):
                    self.load_state_dict(here)

    def is_past(self, density: float) -> bool:
        """Whether what there is now was pruned too far for this density."""
        raise NotImplementedError

    def trained(self, attempt: ResumableTraining, until: int, before: int = 0) -> Iterator[Progress]:
        """Train until so many epochs are done, and tell how far all of the method is.

        Args:
            attempt: The training.
            until: Its epochs.
            before: Trainings that are done already.
        """
        for progress in attempt.run(until=until, evaluate_from=self.work.epochs):
            epochs = before * self.work.epochs + progress.epochs
            of = max(epochs, self.work.trainings * self.work.epochs)
            self.told = Progress(epochs, of, self._samples + progress.samples)
            yield self.told

    def round_is_done(self, row: Round, attempt: ResumableTraining, seconds: float) -> None:
        """Note a training that was a round, and keep all for a later attempt.

        Args:
            row: Of the round; if it diverged, that is said in it.
            attempt: The training; its own file goes.
            seconds: That its evaluation took.
        """
        self._samples += attempt.training.samples
        outcome = {"status": "diverged", "message": self.diverged} if self.diverged else {}
        self.rounds.append(row | outcome | {"seconds": attempt.seconds + seconds})
        self.seconds += attempt.seconds + seconds
        artifacts.save(self.work.folder, self.work.kept[0], self.state_dict())
        attempt.finished()

    def note_divergence(self, training: Training, when: str) -> None:
        """Note it if a training diverged, and in which part of the method that was."""
        if training.diverged[0]:
            self.diverged = NOT_FINITE.format(training.diverged[0], when)


def on_cpu(state: State) -> dict[str, Tensor]:
    """A copy of a state dictionary, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}


def all_kept(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks that keep all of these weights."""
    return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
