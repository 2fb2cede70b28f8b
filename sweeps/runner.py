"""Carrying out a plan with Ray Tune, on this machine or on a cluster."""

import gc
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from sweeps.errors import UsageError
from sweeps.heartbeat import Heartbeat
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
    TUNE_MAX_PENDING_TRIALS_PG=os.environ.get("TUNE_MAX_PENDING_TRIALS_PG", "32"),  # for which a cluster grows
    TUNE_GLOBAL_CHECKPOINT_S="3600",  # Tune's own state is not needed: the store says what is missing
)

import ray
from ray import tune
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.auth_token import keep_token_private
from sweeps.gauges import SweepGauges
from trainables.trainable import StageTrainable

# Tune would copy the driver's keys into the environment of trials, which Ray logs for everyone on the machine to read.
with suppress(ImportError, AttributeError):  # another Ray may not do it
    from ray.tune.execution.class_cache import ENV_VARS_TO_PROPAGATE

    ENV_VARS_TO_PROPAGATE.difference_update([name for name in ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")])

NODE_SECONDS = 60
"""A node that does not start a process in this time ends the sweep before it begins."""

REMEMBERED_TASKS = 5000
"""A trial's step is a task. Ray's server would remember the latest 100,000 of them, which took 16 KB for each point."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Memory for Ray's objects on this machine: stages are small, and models travel through files."""

NOT_SHARED = "{} {}; give --out a folder that all nodes share, or object storage that all may use."

DEATH = re.compile(
    r"^(?:[\w.]+(?:Error|Exception)\b.*|(?:The actor (?:is dead|died) because|Task was killed) [^.\n]*)", re.MULTILINE
)
"""Where a traceback, or Ray, says what a trial died of."""

NO_RESULT = "the trial ended without a result: its worker or node died, or its results could not be written"


class Interrupted(Exception):  # noqa: N818  not an error: the person asked for it
    """The sweep was stopped by a signal, cleanly: what ran was saved."""


def run(plan: Plan, store: Store, options: RunOptions, progress: SweepProgress, heartbeat: Heartbeat) -> None:
    """Carry out a plan on the Ray that :func:`ray_cluster` joined; results go into the store as they come.

    Raises:
        Interrupted: After SIGINT or SIGTERM. Trainings were saved, unless an epoch took longer than the ten seconds for
            which Tune waits.
    """
    gauges = SweepGauges()
    heartbeat.show = gauges.show
    own = tempfile.TemporaryDirectory(prefix="three-regime-sweeps-", ignore_cleanup_errors=True)
    with progress, _stop_on_signal() as stop, own as tunes_own_state:
        trainable = tune.with_parameters(
            StageTrainable,
            store=store,
            device="cuda" if options.gpus_per_trial else "cpu",
            checkpoint_seconds=options.checkpoint_seconds,
            data_folder=_everywhere(options.data_folder),
        )
        resources = {"cpu": options.cpus_per_trial, "gpu": options.gpus_per_trial}
        while plan.left and not stop:
            name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:8]}"
            searcher = _PlanSearcher(plan, store, progress, gauges, stop, _stages_at_a_time(resources))
            tuner = tune.Tuner(
                tune.with_resources(trainable, resources),
                tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1, reuse_actors=True),
                run_config=tune.RunConfig(
                    name=name,
                    # Nothing continues from it. At the end Tune asks its storage twice for each trial, while all wait:
                    # in object storage, half a minute for a thousand.
                    storage_path=tunes_own_state,
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # stages keep what they need
                    failure_config=tune.FailureConfig(max_failures=options.max_failures),
                    callbacks=[_TrialEvents(progress, searcher)],
                    verbose=0,
                ),
            )
            tuner.fit()
            gc.collect()  # what Tune keeps of a run refers to itself
        if stop:
            raise stop[0]


def _stages_at_a_time(resources: Mapping[str, float]) -> int:
    """How many stages one run of Tune carries out.

    Tune keeps all trials of a run in memory, and looks through them again and again. Between two runs trials wait for
    the slowest one; in so many stages that is little.
    """
    have = ray.cluster_resources()
    slots = min(have.get(kind.upper(), 0) / need for kind, need in resources.items() if need)
    return max(1000, 100 * int(slots))


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


def check_nodes(store: Store) -> None:
    """Ask every node of the cluster whether it sees what this process wrote (:meth:`sweeps.store.Store.shared`).

    Raises:
        UsageError: If one does not, or lacks this package.
    """
    asked = {
        ray.remote(num_cpus=0, max_retries=0)(Store.is_shared)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(store): node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"]
    }
    for answer, node in asked.items():
        try:
            shared = ray.get(answer, timeout=NODE_SECONDS)
        except ray.exceptions.RayTaskError as error:
            said = str(error.cause).strip().splitlines()[-1]
            hint = "" if isinstance(error.cause, (OSError, ValueError)) else "; install three-regime-sweeps there"
            raise UsageError(f"node {node}: {said}{hint}.") from None
        except ray.exceptions.GetTimeoutError:
            raise UsageError(f"node {node} does not answer in {NODE_SECONDS} s; remove it, and try again.") from None
        except ray.exceptions.RayError:
            continue  # it is gone
        if not shared:
            raise UsageError(NOT_SHARED.format(store.folder, f"is another folder on node {node}"))


def _join(options: RunOptions) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    keep_token_private(make=options.address is None)  # a cluster has its own, which another one would only hide
    if options.address is None:
        if options.metrics_port is not None:
            _check_port(options.metrics_port)
            settings["_metrics_export_port"] = options.metrics_port
        own = ray.init(
            address="local",
            include_dashboard=options.dashboard,
            object_store_memory=OBJECT_STORE_BYTES,
            _system_config={"task_events_max_num_task_in_gcs": REMEMBERED_TASKS},
            **settings,
        )
        if options.dashboard:
            print(f"Dashboard: http://{own.dashboard_url} (it asks for Ray's token)", flush=True)
        return
    _check_address(options.address)
    try:
        ray.init(address=options.address, **settings)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        said = str(error).strip().splitlines()[0].rstrip(".")
        raise UsageError(f"--address {options.address}: there is no Ray cluster to join ({said}).") from None


class _TrialEvents(tune.Callback):
    """What a search algorithm is not told: which stages began, and why trials died."""

    def __init__(self, progress: SweepProgress, searcher: "_PlanSearcher") -> None:
        self._progress, self._searcher = progress, searcher

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._progress.running(trial.config["stage"], 0.0)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._searcher.died(trial.trial_id, _why_it_died(trial))

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as the searcher's


def _why_it_died(trial: Any) -> str:
    """The last that a trial, or Ray, had to say of its last attempt."""
    try:
        attempts = Path(trial.error_file).read_text()
    except (OSError, TypeError):
        return NO_RESULT
    told = DEATH.findall(attempts.rpartition("Failure # ")[2])
    return f"the trial died: {told[-1]}" if told else NO_RESULT


class _PlanSearcher(Searcher):
    """A plan as what Tune calls a search algorithm: asked for trials, told their results."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        progress: SweepProgress,
        gauges: SweepGauges,
        stop: list[Exception],
        stages_to_give: int,
    ) -> None:
        super().__init__()
        self._plan, self._store, self._progress, self._gauges = plan, store, progress, gauges
        self._stop, self._stages_to_give = stop, stages_to_give
        self._stages: dict[str, Stage] = {}

    def suggest(self, trial_id: str) -> Any:
        """Give a stage as a trial's configuration; None for later; FINISHED."""
        if self._stop or not self._stages_to_give:
            return Searcher.FINISHED
        stage = self._plan.ask()
        if stage is None:
            return None if self._plan.left else Searcher.FINISHED
        self._stages_to_give -= 1
        self._stages[trial_id] = stage
        return {"stage": stage}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take progress."""
        if result.get("outcome") == "running":
            stage = self._stages[trial_id]
            self._gauges.reported(stage, result)
            self._progress.running(stage, result["epochs"] / result["of"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take an outcome. A trial that died is told to :meth:`died` right after this."""
        if not error:
            self._ended(trial_id, result, NO_RESULT)

    def died(self, trial_id: str, why: str) -> None:
        """Take a trial that died as often as it may."""
        self._ended(trial_id, None, why)

    def _ended(self, trial_id: str, result: dict[str, Any] | None, otherwise: str) -> None:
        """Take a result, once; without one the trial could not store its failure itself, for that other reason."""
        stage = self._stages.pop(trial_id, None)
        if stage is None:
            return
        try:
            self._take(stage, result, otherwise)
        except (OSError, ValueError, UsageError) as reason:  # from here Tune would repeat the trial
            self._end(reason)

    def _take(self, stage: Stage, result: dict[str, Any] | None, otherwise: str) -> None:
        if result and result.get("outcome") == "unshared":
            raise UsageError(NOT_SHARED.format(self._store.folder, result["message"]))
        self._gauges.reported(stage, result or {})
        outcome: Outcome = "failed"
        message = otherwise
        if not result or result.get("outcome") not in ("ok", "diverged", "failed"):
            self._record_failure(stage, message)
        else:
            outcome, message = result["outcome"], result["message"]
        self._progress.ended(stage, outcome)
        for point in self._plan.tell(stage, outcome):
            self._record_failure(point, f"{stage}: {message}")
            self._progress.ended(point, "failed")

    def _end(self, error: Exception) -> None:
        """Stop Tune, for this reason."""
        if not self._stop:
            self._stop.append(error)
            os.kill(os.getpid(), signal.SIGUSR1)

    def _record_failure(self, stage: Stage, message: str) -> None:
        """Store a failure; if even that fails, say so and go on: the point stays missing."""
        try:
            self._store.record_failure(stage, message, "")
        except (OSError, UsageError) as error:
            print(f"{stage} failed ({message}), which cannot be stored: {error}", file=sys.stderr)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its settings for a way to continue that is not ours, and a live bar has no pickle."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a sweep is continued from its store."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, likewise."""


def _check_port(port: int) -> None:
    """Fail at once where Ray would wait for half a minute."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"--metrics-port {port} cannot be used ({error.strerror}); give another one.") from None


def _check_address(address: str) -> None:
    """Fail at once where Ray would try for a minute, and for Ray Client, through which Tune cannot ask a plan."""
    if "://" in address:
        said = "a sweep joins no Ray from outside; run it on a machine of the cluster, or with ray job submit"
        raise UsageError(f"--address {address}: {said}.")
    if address == "auto":
        if "://" in (named := os.environ.get("RAY_ADDRESS", "")):
            raise UsageError(f"--address auto: it would be RAY_ADDRESS={named}, which no sweep can join; unset it.")
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise UsageError(f"--address {address}: nothing answers there ({error}); write auto, or host:port.") from None


@contextmanager
def _stop_on_signal() -> Iterator[list[Exception]]:
    """Let the first SIGINT or SIGTERM stop Tune cleanly; what is yielded then holds an Interrupted."""
    reasons: list[Exception] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if reasons:
            raise KeyboardInterrupt
        reasons.append(Interrupted())
        os.kill(os.getpid(), signal.SIGUSR1)  # Tune's own way to be stopped

    def too_early(number: int, frame: FrameType | None) -> None:
        raise Interrupted  # Tune has not taken over SIGUSR1 yet: nothing runs

    handlers = {signal.SIGUSR1: too_early, signal.SIGINT: stop, signal.SIGTERM: stop}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield reasons
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
