"""Carrying out a plan with Ray Tune, on this machine or on a cluster."""

import gc
import logging
import math
import os
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from sweeps.errors import UsageError
from sweeps.heartbeat import Heartbeat
from sweeps.options import RunOptions
from sweeps.plan import Plan
from sweeps.preflight import told
from sweeps.progress import SweepProgress
from sweeps.stage_queue import StageQueue
from sweeps.store import Store
from trainables.models.sources import Source, sources

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
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.auth_token import keep_token_private
from sweeps.gauges import SweepGauges
from sweeps.plan_searcher import AtTheEnd, PlanSearcher, TrialEvents
from trainables.trainable import StageTrainable, WorkerOptions

# Tune would copy the driver's keys into the environment of trials, which Ray logs for everyone on the machine to read.
with suppress(ImportError, AttributeError):  # another Ray may not do it
    from ray.tune.execution.class_cache import ENV_VARS_TO_PROPAGATE

    ENV_VARS_TO_PROPAGATE.difference_update([name for name in ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")])

NODE_SECONDS = 60
"""A node that does not start a process in this time is left out."""

NODES_SECONDS = 3.0
"""Which nodes there are is asked so often at most."""

REMEMBERED_TASKS = 5000
"""A trial's step is a task. Ray's server would remember the latest 100,000 of them, which took 16 KB for each point."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Memory for Ray's objects on this machine: stages are small, and models travel through files."""

NOT_SHARED = "{} {}; give --out a folder that all nodes share, or object storage that all may use"


class Interrupted(Exception):  # noqa: N818  not an error: the person asked for it
    """The sweep was stopped by a signal, cleanly: what ran was saved."""


def run(
    plan: Plan,
    store: Store,
    options: RunOptions,
    progress: SweepProgress,
    heartbeat: Heartbeat,
    left_out: Mapping[str, str],
) -> None:
    """Carry out a plan on the Ray that :func:`ray_cluster` joined; results go into the store as they come.

    Args:
        plan: What to do.
        store: Where results go.
        options: How it runs.
        progress: Shows it.
        heartbeat: Whose gauges are set.
        left_out: Nodes that get no stages, by their names, with the reason, as :func:`unable_nodes` gives them.

    Raises:
        Interrupted: After SIGINT or SIGTERM. Trainings were saved, unless an epoch took longer than the ten seconds for
            which Tune waits.
        UsageError: If no node is left that can work.
    """
    gauges = SweepGauges()
    heartbeat.show = gauges.show
    resources = {"cpu": options.cpus_per_trial, "gpu": options.gpus_per_trial}
    queue = StageQueue(plan, options.max_failures, _remembered(lambda: _workers(resources)))
    for node, why in left_out.items():
        queue.nodes.leave_out(node, why)
    own = tempfile.TemporaryDirectory(prefix="three-regime-sweeps-", ignore_cleanup_errors=True)
    with progress, _stop_on_signal() as stop, own as tunes_own_state:
        how = {"store": store, "options": _worker_options(options), "sources": _sources(plan)}
        trainable = tune.with_parameters(StageTrainable, **how)
        while plan.left and not stop:
            # Tune keeps all trials of a run in memory, and looks through them again and again. Between two runs trials
            # wait for the slowest one; in so many stages that is little.
            slots = _slots(resources)
            name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:8]}"
            searcher = PlanSearcher(
                queue, store, progress, gauges, stop, max(1000, 100 * slots), slots, lambda known: _unable(store, known)
            )
            tuner = tune.Tuner(
                tune.with_resources(trainable, resources),
                tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1, reuse_actors=True),
                run_config=tune.RunConfig(
                    name=name,
                    # Nothing continues from it. At the end Tune asks its storage twice for each trial, while all wait:
                    # in object storage, half a minute for a thousand.
                    storage_path=tunes_own_state,
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # stages keep what they need
                    failure_config=tune.FailureConfig(max_failures=0),  # the queue gives stages again
                    callbacks=[TrialEvents(progress, searcher)],
                    stop=AtTheEnd(searcher),
                    verbose=0,
                ),
            )
            tuner.fit()
            gc.collect()  # what Tune keeps of a run refers to itself
        if stop:
            raise stop[0]


def _worker_options(options: RunOptions) -> WorkerOptions:
    return WorkerOptions(
        "cuda" if options.gpus_per_trial else "cpu",
        max(1, int(options.cpus_per_trial)),
        min(options.gpus_per_trial, 1.0) or 1.0,
        options.checkpoint_seconds,
        _everywhere(options.data_folder),
        options.keep,
    )


def _remembered(ask: Callable[[], set[str]]) -> Callable[[], set[str]]:
    """The same answer for some seconds: of a thousand workers that pause each one's sign asks."""
    at, answer = -math.inf, set[str]()

    def asked() -> set[str]:
        nonlocal at, answer
        if time.monotonic() - at > NODES_SECONDS:
            answer, at = ask(), time.monotonic()
        return answer

    return asked


def _workers(resources: Mapping[str, float]) -> set[str]:
    """Names of the nodes that are there and large enough for a trial."""
    return {
        node["NodeID"]
        for node in ray.nodes()
        if node["Alive"]
        and all(node["Resources"].get(kind.upper(), 0) >= need for kind, need in resources.items() if need)
    }


def _slots(resources: Mapping[str, float]) -> int:
    """For how many trials there is room now."""
    have = ray.cluster_resources()
    return int(min(have.get(kind.upper(), 0) / need for kind, need in resources.items() if need))


def _sources(plan: Plan) -> dict[str, Source]:
    """What workers need of the users' models."""
    with told():
        return sources({stage.run.model for stage in plan.left})


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


def unable_nodes(store: Store) -> dict[str, str]:
    """Ask every node of the cluster whether it sees what this process wrote (:meth:`sweeps.store.Store.shared`).

    Returns:
        Names of the nodes that do not, or lack this package, with the reason. A person was told.

    Raises:
        UsageError: If no node but this process's own does, though there are others: then it is not the nodes' fault.
    """
    unable = _unable(store, frozenset())
    others = {node for node in _nodes_with_cores() if node != ray.get_runtime_context().get_node_id()}
    if others and others <= unable.keys():
        raise UsageError(f"{next(iter(unable.values()))}; no other node can work, either.")
    return unable


def _unable(store: Store, known: Set[str]) -> dict[str, str]:
    """Nodes but those known that do not see what this process wrote, or lack this package; a person is told."""
    nodes = {name: node for name, node in _nodes_with_cores().items() if name not in known}
    asked = {
        node: ray.remote(num_cpus=0, max_retries=0)(Store.is_shared)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(store)
        for node in nodes
    }
    unable = {}
    for node, answer in asked.items():
        name = f"node {nodes[node]['NodeManagerHostname']} ({nodes[node]['NodeManagerAddress']})"
        if said := _why_unable(answer, name, store):
            unable[node] = said
            print(f"Left out: {said}.", flush=True)
    return unable


def _nodes_with_cores() -> dict[str, Any]:
    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}


def _why_unable(answer: Any, node: str, store: Store) -> str:
    """Why a node cannot work; empty if it can, or is gone."""
    try:
        shared = ray.get(answer, timeout=NODE_SECONDS)
    except ray.exceptions.RayTaskError as error:
        said = str(error.cause).strip().splitlines()[-1].rstrip(".")
        hint = "" if isinstance(error.cause, (OSError, ValueError)) else "; install three-regime-sweeps there"
        return f"{node}: {said}{hint}"
    except ray.exceptions.GetTimeoutError:
        return f"{node} does not answer in {NODE_SECONDS} s"
    except ray.exceptions.RayError:
        return ""
    return "" if shared else NOT_SHARED.format(store.folder, f"is another folder on {node}")


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
