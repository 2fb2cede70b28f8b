"""Carrying out a plan with Ray Tune, on this machine or on a cluster. The only file here that imports Ray."""

import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sweeps.errors import UsageError
from sweeps.options import RunOptions
from sweeps.plan import Outcome, Plan
from sweeps.progress import SweepProgress
from sweeps.store import Store
from trainables.stages import Stage

# Read by Ray when it is imported.
os.environ.update(
    RAY_AIR_NEW_OUTPUT="0",  # together with verbose=0: Tune prints no boxes of its own
    RAY_CHDIR_TO_TRIAL_DIR="0",
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    RAY_USAGE_STATS_ENABLED=os.environ.get("RAY_USAGE_STATS_ENABLED", "0"),
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",  # otherwise five files for each trial
    TUNE_DISABLE_SIGINT_HANDLER="1",  # ours stops Tune through SIGUSR1, and remembers
    TUNE_GLOBAL_CHECKPOINT_S="3600",  # Tune's own state is not needed: the store says what is missing
)

import ray
from ray import tune
from ray.tune.search import Searcher

from trainables.trainable import StageTrainable

OBJECT_STORE_BYTES = 100 * 2**20
"""Memory for Ray's objects on this machine: stages are small, and models travel through files."""

NO_RESULT = "the trial ended without a result: its worker or node died, or its results could not be written"


class Interrupted(Exception):  # noqa: N818  not an error: the person asked for it
    """The sweep was stopped by a signal, cleanly: what ran was saved."""


def run(plan: Plan, store: Store, options: RunOptions, progress: SweepProgress) -> None:
    """Carry out a plan on the Ray that :func:`ray_cluster` joined; results go into the store as they come.

    Raises:
        Interrupted: After SIGINT or SIGTERM. Trainings were saved, unless an epoch took longer than the ten seconds for
            which Tune waits.
    """
    with progress, tempfile.TemporaryDirectory(prefix="three-regime-sweeps-") as scratch:
        trainable = tune.with_parameters(
            StageTrainable,
            store=store,
            device="cuda" if options.gpus_per_trial else "cpu",
            checkpoint_seconds=options.checkpoint_seconds,
            data_folder=_everywhere(options.data_folder),
        )
        resources = {"cpu": options.cpus_per_trial, "gpu": options.gpus_per_trial}
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources),
            tune_config=tune.TuneConfig(
                search_alg=_PlanSearcher(plan, store, progress), num_samples=-1, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=scratch,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # stages keep what they need
                failure_config=tune.FailureConfig(max_failures=options.max_failures),
                callbacks=[_Starts(progress)],
                verbose=0,
            ),
        )
        with _stop_on_signal():
            tuner.fit()


def _everywhere(folder: str) -> str:
    """The same folder for workers that do not start where the command was typed; the home is each one's own."""
    return folder if folder.startswith("~") else os.path.abspath(folder)


@contextmanager
def ray_cluster(options: RunOptions) -> Iterator[None]:
    """Ray for as long as it is needed: one of our own, or a cluster's.

    Raises:
        UsageError: If there is no Ray to join, or this machine lacks what a trial needs.
        Interrupted: If a signal came while Ray started.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    pressed: list[int] = []
    # An exception inside ray.init can crash the process, so Ctrl-C waits until Ray has started.
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        _join(options)
        if pressed:
            raise Interrupted
        signal.signal(signal.SIGINT, before)
        have = ray.cluster_resources()
        for option, need, kind in (
            ("--cpus-per-trial", options.cpus_per_trial, "CPU"),
            ("--gpus-per-trial", options.gpus_per_trial, "GPU"),
        ):
            if need > have.get(kind, 0):
                lack = f"{option} {need:g}: Ray has {have.get(kind, 0):g} {kind}s"
                if options.address is None:
                    raise UsageError(f"{lack} on this machine.")
                print(f"{lack} so far; waiting until the cluster has grown.", flush=True)
        yield
    except SystemExit:
        raise Interrupted from None  # Ray's own answer to SIGTERM
    finally:
        signal.signal(signal.SIGINT, before)
        ray.shutdown()


def _join(options: RunOptions) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if options.address is None:
        ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **settings)
        return
    _check_address(options.address)
    try:
        ray.init(address=options.address, **settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"--address {options.address}: there is no Ray cluster to join ({error}).") from None


class _Starts(tune.Callback):
    """Tells the progress which stages began: a search algorithm is only told their results."""

    def __init__(self, progress: SweepProgress) -> None:
        self._progress = progress

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._progress.running(trial.config["stage"], 0.0)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as the searcher's


class _PlanSearcher(Searcher):
    """A plan as what Tune calls a search algorithm: asked for trials, told their results."""

    def __init__(self, plan: Plan, store: Store, progress: SweepProgress) -> None:
        super().__init__()
        self._plan, self._store, self._progress = plan, store, progress
        self._stages: dict[str, Stage] = {}

    def suggest(self, trial_id: str) -> Any:
        """Give a stage as a trial's configuration; None for later; FINISHED."""
        stage = self._plan.ask()
        if stage is None:
            return None if self._plan.left else Searcher.FINISHED
        self._stages[trial_id] = stage
        return {"stage": stage}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take progress."""
        if result.get("outcome") == "running":
            self._progress.running(self._stages[trial_id], result["epochs"] / result["of"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take an outcome. A trial that could not store its own failure has it stored here."""
        stage = self._stages.pop(trial_id)
        outcome: Outcome = "failed"
        message = NO_RESULT
        if error or not result or result.get("outcome") not in ("ok", "diverged", "failed"):
            self._record_failure(stage, message)
        else:
            outcome, message = result["outcome"], result["message"]
        self._progress.ended(stage, outcome == "failed")
        for point in self._plan.tell(stage, outcome):
            self._record_failure(point, f"{stage}: {message}")
            self._progress.ended(point, failed=True)

    def _record_failure(self, stage: Stage, message: str) -> None:
        """Store a failure; if even that fails, say so and go on: the point stays missing."""
        try:
            self._store.record_failure(stage, message, "")
        except OSError as error:
            print(f"{stage} failed ({message}), which cannot be stored: {error}", file=sys.stderr)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its settings for a way to continue that is not ours, and a live bar has no pickle."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a sweep is continued from its store."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, likewise."""


def _check_address(address: str) -> None:
    """Fail at once where Ray would try for a minute."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise UsageError(f"--address {address}: nothing answers there ({error}); write auto, or host:port.") from None


@contextmanager
def _stop_on_signal() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM stop Tune cleanly, and then raise Interrupted."""
    interrupted = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        os.kill(os.getpid(), signal.SIGUSR1)  # Tune's own way to be stopped

    def too_early(number: int, frame: FrameType | None) -> None:
        raise Interrupted  # Tune has not taken over SIGUSR1 yet: nothing runs

    handlers = {signal.SIGUSR1: too_early, signal.SIGINT: stop, signal.SIGTERM: stop}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if interrupted:
        raise Interrupted
