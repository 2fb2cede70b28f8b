"""How and where a sweep runs. Imports no Ray."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, TypeVar

from sweeps.results.own_files import check_free
from sweeps.results.store import Store
from sweeps.spec.checks import check_rule_values, option_of, words
from sweeps.spec.choices import described
from sweeps.spec.command_line import check_axes, parse, preset_of
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import DEFAULT_PRESET, PRESET_HELP, PRESETS
from sweeps.spec.recipes import OF_SOME, RETRAIN
from sweeps.spec.spec import SweepSpec
from sweeps.spec.typed import typed
from trainables.data import CACHE
from trainables.execution.option import Compile
from trainables.stages import Keep, PointStage

if TYPE_CHECKING:
    from sweeps.results.recorded import Recorded


def machine_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class RunOptions:
    """Where and how it runs.

    Results are stored under the same key whatever these are. Values are the same to the last bit only on the same kind
    of CPU, with the same --cpus-per-trial and --compile and with all --retrain-seeds asked for from the start: other
    threads, devices, code and stacks of siblings round differently, and training amplifies that.
    """

    address: str | None = None
    """Ray to join: host:port, or auto for whatever Ray runs on this machine. Left out: a Ray of its own."""

    dashboard: bool = False
    """Show Ray's dashboard of a Ray of its own, on loopback; after .venv/bin/pip install --editable '.[cluster]'."""

    metrics_port: int | None = None
    """Port on loopback for Prometheus to read a Ray of its own; after .venv/bin/pip install --editable '.[cluster]'."""

    cpus_per_trial: float = 1
    """Cores of each trial; as many trials run at once as there are cores for."""

    gpus_per_trial: float = 0
    """GPUs of each trial; 0.25 lets four trials share one, 0 trains on the CPU."""

    max_failures: int = 2
    """How often a stage that ended in an error, or whose worker died, is started again without getting further."""

    data_folder: str = os.environ.get("THREE_REGIME_SWEEPS_DATA", CACHE)
    """Folder of torchvision's data sets, fetched on first use, of images that were decoded (decoded/, which may be
    deleted), and of vocabularies that were learned; THREE_REGIME_SWEEPS_DATA sets the default."""

    checkpoint_seconds: float = 30
    """A training is saved at the first epoch that ends after so many seconds, large models more rarely."""

    keep: Keep = "siblings"
    """Retrained models to keep once they are measured: all siblings, the best of each point by error, or nothing."""

    compile: Compile = "auto"
    """Where code of our own is used. auto: kernels in C, which leave out pruned weights, for pruned and small models on
    one core of a CPU, and torch.compile in long trainings that it makes faster; on: torch.compile wherever it works;
    off: torch's own layers alone."""

    dimension_neighbours: int | None = None
    """Neighbours of a training image, 3 or more, from which the tables' data_dimension is estimated; 20 if not given.
    Results that are stored keep what they have."""

    alongside: bool = False
    """Go on although another sweep is at work in --out: both may compute the same points, and replace each other's."""

    @property
    def used_up(self) -> tuple[str, ...]:
        """Kinds of stages whose artifacts are removed once they were used (:class:`sweeps.plans.plan.StagePlan`)."""
        return () if self.keep == "siblings" else (PointStage.kind,)

    @property
    def threads(self) -> int:
        """Of the processor's, in each trial."""
        return max(1, int(self.cpus_per_trial))

    def check(self) -> None:
        """Raise UsageError for values that can never work."""
        cores = machine_cores()
        if not 0.01 <= self.cpus_per_trial < math.inf:
            raise UsageError(f"--cpus-per-trial {self.cpus_per_trial:g}: a trial needs at least 0.01 of a core.")
        if self.address is None and self.cpus_per_trial > cores:
            raise UsageError(f"--cpus-per-trial {self.cpus_per_trial:g}: this machine has {cores} cores.")
        if self.gpus_per_trial != 0 and not 0.01 <= self.gpus_per_trial < math.inf:
            raise UsageError(f"--gpus-per-trial {self.gpus_per_trial:g}: it is 0, or at least 0.01.")
        for option, value in (("--dashboard", self.dashboard), ("--metrics-port", self.metrics_port)):
            if value and self.address is not None:
                raise UsageError(f"{option}: the Ray at --address {self.address} has its own; leave it out.")
            if value and find_spec("aiohttp_cors") is None:
                raise UsageError(
                    f"{option} needs more of Ray: .venv/bin/pip install --editable '.[cluster]' in the clone."
                )
        if self.metrics_port is not None and not 1024 <= self.metrics_port < 2**16:
            raise UsageError(f"--metrics-port {self.metrics_port}: it is between 1024 and 65535.")
        check_free(f"--data-folder {self.data_folder}", os.path.expanduser(self.data_folder))
        if self.max_failures < 0:
            raise UsageError(f"--max-failures {self.max_failures}: it is 0 or more.")
        if self.dimension_neighbours is not None and self.dimension_neighbours < 3:
            raise UsageError(f"--dimension-neighbours {self.dimension_neighbours}: it is a whole number from 3 on.")
        if not self.checkpoint_seconds > 0:
            raise UsageError(f"--checkpoint-seconds {self.checkpoint_seconds:g}: it is a positive number.")


@dataclass(frozen=True)
class SweepOptions:
    """What all commands that train have in common."""

    spec: SweepSpec

    run: RunOptions

    preset: Annotated[str, described("Sweep to start from", PRESET_HELP)] = DEFAULT_PRESET

    out: str | None = None
    """Where results go: a folder, or object storage, s3://bucket/path; results/<preset> if not given."""

    storage_endpoint: str | None = None
    """Server of s3://..., if it is not Amazon's own, as http://host:port."""

    @property
    def store(self) -> Store:
        """Where results go.

        Raises:
            UsageError: If that is no place for them.
        """
        return Store(f"results/{self.preset}" if self.out is None else self.out, self.storage_endpoint)


C = TypeVar("C", bound=SweepOptions)


def read_options(
    command: type[C],
    arguments: Sequence[str],
    past: "Recorded | None" = None,
    presets: Mapping[str, SweepSpec] = PRESETS,
    **defaults: object,
) -> C:
    """Read the options of a command that trains; what is not given is the preset's, or that of what is replayed.

    Args:
        command: Dataclass of its options.
        arguments: As typed.
        past: What is replayed, if anything.
        presets: Sweeps to start from; the first if none is named.
        defaults: Fields of the sweep that are the command's own.

    Raises:
        UsageError: For a preset that there is not, another axis without its values, and an option without effect.
    """
    preset = preset_of(arguments, presets)
    start = replace(presets[preset] if past is None else past.spec, **defaults)  # type: ignore[arg-type]
    load = typed(command, arguments).get("load", [start.load])[0]
    if "density" not in (load, start.load) and load != start.load:  # values of a load that is not the sweep's any more
        start = replace(start, **{start.load_values: ()})  # type: ignore[arg-type]
    options = parse(command, arguments, command(start, RunOptions(), preset))
    check_axes(options.spec, start, arguments)
    _check_used(options.spec, typed(command, arguments), past is not None)
    return options


def _check_used(spec: SweepSpec, given: Mapping[str, Sequence[str]], is_replay: bool) -> None:
    """Raise UsageError for an option that was given, and that another one leaves without effect."""
    for setting, (part, takers, _) in OF_SOME.items():
        dense, retrain = (getattr(recipe, part) for recipe in (spec.dense_recipe, spec.retrain_recipe))
        own = RETRAIN + setting
        both = {dense} if getattr(spec, own, None) is not None else {dense, retrain}
        for name, users in ((setting, both), (own, {retrain})):
            if name in given and users.isdisjoint(takers):
                said = f"{part} {' and '.join(sorted(users))} does not use it; leave it out"
                raise UsageError(f"{option_of(name)} {words(given[name])}: {said}.")
    if is_replay:
        check_rule_values(given, spec.cka_rule, asdict(spec))
        for name in given.keys() & {"preset", "out", *(field.name for field in fields(RunOptions))}:
            said = "with --replay nothing is trained or stored; leave one of them out"
            raise UsageError(f"{' '.join([option_of(name), *given[name]])}: {said}.")
