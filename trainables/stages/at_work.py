"""A pruning method at work for a stage: where it begins, and where it was kept."""

from trainables.methods.method import Method, Work
from trainables.stages.dense import dense_model, diverged_epoch
from trainables.stages.dense_run import NOT_FINITE
from trainables.stages.machine import Machine, task_of
from trainables.stages.pruning_context import dense_context
from trainables.stages.pruning_run import PruningRun, pruned_density, pruned_file, rounds_file
from trainables.storage import artifacts


def begun(run: PruningRun, machine: Machine, end: float, trainings: int, counts_rounds: bool) -> Method:
    """A method at its beginning.

    Args:
        run: What it does.
        machine: Where it works.
        end: Density that it ends with, in (0, 1].
        trainings: How many it will take about.
        counts_rounds: Whether it is asked for a number of rounds instead of for densities. Then it is kept after each
            round in a file that stays, so that there can be more of them later; otherwise in one that goes in the end.
    """
    file = f"training/pruning-{run.key}"
    of_densities, of_rounds = f"{file}.pt", rounds_file(run)
    work = Work(
        run.pruner,
        run.settings,
        dense_context(run.dense, run.epoch, end, machine),
        task_of(run.dense, machine),
        run.dense.model,
        run.dense.data,
        run.dense.seed,
        run.recipe,
        run.epochs,
        machine.folder,
        file,
        (of_rounds, of_densities) if counts_rounds else (of_densities, of_rounds),
        machine.checkpoint_seconds,
        machine.chooser,
        trainings,
    )
    method: Method = run.method.function(work)
    if diverged := diverged_epoch(dense_model(run.dense, run.epoch, machine.folder)):
        method.diverged = NOT_FINITE.format(diverged, "dense training")
    return method


def take_up_density(method: Method, run: PruningRun, above: float = 0.0) -> None:
    """Have a method at its beginning go on from the lowest density that is kept above this one, if there is one."""
    folder = method.work.folder
    higher = [each for each in map(pruned_density, folder.names(f"pruning/{run.key}", ".pt")) if each > above]
    kept = artifacts.load(folder, pruned_file(run, min(higher))) if higher else None
    if kept is not None and not method.diverged:
        method.load_state_dict(kept["state"])
