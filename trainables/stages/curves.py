"""Curves between dense models: training their bends, and keeping them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trainables.stages.dense_run import DenseRun
from trainables.stages.keys import configuration_key
from trainables.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.stages.machine import Machine
    from trainables.storage.folder import Folder
    from trainables.training.progress import Progress
    from trainables.training.training import Training

FOLDER = "curves"

Pair = tuple[int, int]
"""Seeds of two dense models, the lower first."""

State = Mapping[str, "Tensor"]
"""State dictionary of a plain model."""

START = "middle"
"""Where a bend begins: in the middle of the line, which finds better curves than the random start of Yang et al."""


@dataclass(frozen=True)
class Connected:
    """All that decides curves between dense models but the seeds of these.

    Attributes:
        run: The training of any of them, with seed 0 and without a checkpoint.
        epoch: Its epochs done when the models are taken.
        curve: How a bend is trained.
        checkpoints: Names of the weights that each begins with, where a user trained them.
    """

    run: DenseRun
    epoch: int
    curve: Recipe
    checkpoints: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Name of the curves."""
        return configuration_key(self)


def curve_file(key: str, pair: Pair) -> str:
    """Path of the file that holds a curve, by the key of what decides it."""
    return f"{FOLDER}/{key}/{pair[0]}-{pair[1]}.pt"


def kept_curve(key: str, pair: Pair, folder: "Folder", states: Mapping[int, State] | None = None) -> dict[str, Any]:
    """What is kept of a curve; nothing if it is not there, or is between other models.

    Its ``bend`` is a state dictionary; ``losses`` are of its training, which ``diverged`` in this epoch, or 0, and was
    in a ``stack`` with those of these pairs.

    Args:
        key: Of what decides it.
        pair: Of seeds.
        folder: Of the artifacts.
        states: State dictionaries of the dense models by seed. Those that were made again on another machine are other
            ones, and no curve of the former ends leads from one to the other.

    Raises:
        ArtifactError: If it is damaged.
    """
    from trainables.storage import artifacts
    from trainables.storage.checkpoints import content_of

    kept = artifacts.load(folder, curve_file(key, pair)) or {}
    ends = [] if states is None else [content_of(states[seed]) for seed in pair]
    return {} if ends and kept.get("ends", ends) != ends else kept


def train_curves(
    connected: Connected, pairs: Sequence[Pair], states: Mapping[int, State], machine: "Machine"
) -> Iterator["Progress"]:
    """Train the curves of these pairs as one stack, and keep each in a file; arguments as of :func:`curve_training`."""
    from trainables.storage import artifacts
    from trainables.storage.checkpoints import content_of
    from trainables.training.resumable import ResumableTraining

    run, epochs = connected.run, connected.curve.epochs
    training = curve_training(connected, pairs, states, machine)
    execution = machine.chooser.settle(training, run.model, run.data)
    names = "_".join(f"{first}-{second}" for first, second in pairs)
    name = f"training/curve-{connected.key}-{names}.pt"
    attempt = ResumableTraining(training, machine.folder, name, machine.checkpoint_seconds)
    yield from attempt.run(epochs, evaluate_from=epochs)
    for index, (pair, bend) in enumerate(zip(pairs, training.stack.states(), strict=True)):
        content = {
            "bend": bend,
            "losses": [losses[index] for losses in attempt.losses],
            "diverged": training.diverged[index],
            "seconds": attempt.seconds / len(pairs),
            "execution": execution,
            "stack": list(pairs),
            "ends": [content_of(states[seed]) for seed in pair],
        }
        artifacts.save(machine.folder, curve_file(connected.key, pair), content)
    attempt.finished()


def curve_training(
    connected: Connected, pairs: Sequence[Pair], states: Mapping[int, State], machine: "Machine"
) -> "Training":
    """Bends of these pairs, in the middle of their lines, ready to be trained.

    Args:
        connected: Says how.
        pairs: Of seeds.
        states: State dictionaries of the dense models by seed.
        machine: Where it is trained.
    """
    from metrics.connectivity import interpolate
    from trainables.stages.machine import task_of
    from trainables.training.curve import CurveWeights
    from trainables.training.training import Training

    task = task_of(connected.run, machine)
    ends = [(states[first], states[second]) for first, second in pairs]
    masks: State | None = {} if connected.curve.precision == "float32" else None
    stack = task.stack(connected.run.model, len(pairs), masks)
    stack.load([interpolate(first, second, 0.5) for first, second in ends])
    weights = CurveWeights(stack, ends, [("position", *pair) for pair in pairs], connected.curve.weight_decay)
    recipe = replace(connected.curve, weight_decay=0.0)
    return Training(stack, recipe, task, [("curve", *pair) for pair in pairs], weights)
