"""What a plan will cost on this machine, measured before it is carried out."""

from collections.abc import Collection, Mapping, Sequence

from sweeps.running.options import RunOptions, machine_cores
from sweeps.spec.errors import UsageError
from trainables.stages import DenseStage, PointStage, Stage


def estimate(stages: Sequence[Stage], stored: Mapping[str, Collection[int]], options: RunOptions) -> str:
    """Measure some steps, and say what these stages will cost.

    Args:
        stages: To be carried out.
        stored: Retrain seeds whose results are stored, by key of the point: their siblings are kept with ``--keep
            siblings``, and need no training.
        options: How they are carried out.

    Raises:
        UsageError: If trials want a GPU and this machine has none.
    """
    import torch

    from trainables.cost import StageCosts, kept_bytes, training_bytes

    gpus, cores = options.gpus_per_trial, options.cpus_per_trial
    if gpus and not torch.cuda.is_available():
        raise UsageError(f"--gpus-per-trial {gpus:g}: this machine has no GPU to measure a step on.")
    torch.set_num_threads(max(1, int(cores)))
    costs = StageCosts(torch.device("cuda" if gpus else "cpu"))
    kept = {stage: _kept(stage, stored) if options.keep == "siblings" else 0 for stage in stages}
    seconds = {stage: costs.seconds(stage, already) for stage, already in kept.items()}
    dense = sum(taken for stage, taken in seconds.items() if isinstance(stage, DenseStage))
    everything = sum(seconds.values())
    each, unit = (gpus, "GPU") if gpus else (cores, "core")
    at_once = machine_cores() / cores if not gpus else min(machine_cores() / cores, torch.cuda.device_count() / gpus)
    at_once = max(1, int(at_once))
    disk = kept_bytes(kept, options.keep)
    while_running = at_once * max(map(training_bytes, stages), default=0)
    return (
        f"estimate: {_number(each * everything / 3600)} {unit} hours, {_number(each * dense / 3600)} of them for dense "
        f"models; {_duration(everything / at_once)} on this machine with {at_once} trials at once and nothing else "
        f"running (from steps measured just now); {_size(disk)} of disk for models, with --keep {options.keep}, and "
        f"{_size(while_running)} for checkpoints while it runs"
    )


def _kept(stage: Stage, stored: Mapping[str, Collection[int]]) -> int:
    return len(set(stage.seeds) & set(stored.get(stage.point.key, ()))) if isinstance(stage, PointStage) else 0


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
