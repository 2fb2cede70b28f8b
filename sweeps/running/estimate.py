"""What a plan will cost on this machine, measured before it is carried out."""

from collections.abc import Sequence

from sweeps.running.options import RunOptions, machine_cores
from sweeps.spec.errors import UsageError
from trainables.stages import KINDS, DenseStage, PruningStage, RoundsStage, Stage


def estimate(stages: Sequence[Stage], options: RunOptions) -> str:
    """Measure some steps, and say what these stages will cost.

    Args:
        stages: To be carried out.
        options: How they are carried out.

    Raises:
        UsageError: If trials want a GPU and this machine has none.
    """
    import torch

    from trainables.stages.cost import StageCosts

    gpus, cores = options.gpus_per_trial, options.cpus_per_trial
    if gpus and not torch.cuda.is_available():
        raise UsageError(f"--gpus-per-trial {gpus:g}: this machine has no GPU to measure a step on.")
    torch.set_num_threads(options.threads)
    costs = StageCosts(torch.device("cuda" if gpus else "cpu"), options.compile == "auto")
    seconds = dict.fromkeys(KINDS, 0.0)
    for stage in stages:
        seconds[stage.kind] += stage.seconds(costs)
    everything, dense = sum(seconds.values()), seconds[DenseStage.kind]
    pruning = seconds[PruningStage.kind] + seconds[RoundsStage.kind]
    each, unit = (gpus, "GPU") if gpus else (cores, "core")
    at_once = machine_cores() / cores if not gpus else min(machine_cores() / cores, torch.cuda.device_count() / gpus)
    at_once = max(1, int(at_once))
    pruned = f" and {_number(each * pruning / 3600)} for methods that prune them" if pruning else ""
    disk = sum(stage.kept_bytes(options.keep) for stage in stages)
    while_running = at_once * max((stage.running_bytes for stage in stages), default=0)
    hours = f"{_number(each * everything / 3600)} {unit} hours, {_number(each * dense / 3600)} of them for dense models"
    where = f"on this machine with {at_once} trials at once and nothing else running (from steps measured just now)"
    return (
        f"estimate: {hours}{pruned}; {_duration(everything / at_once)} {where}; "
        f"{_size(disk)} of disk for models, with --keep {options.keep}, and {_size(while_running)} for checkpoints "
        "while it runs"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{_number(seconds / 3600)} hours"


def _size(count: float) -> str:
    """Bytes for a person."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{_number(count)} {unit}"
        count /= 1000
    return f"{_number(count)} TB"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"
