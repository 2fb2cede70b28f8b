"""Carrying out a plan with Ray Tune."""

import gc
import math
import os
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from types import FrameType

import ray
from ray import tune

from metrics.intrinsic_dimension import NEIGHBOURS
from sweeps.plans.plan import Plan
from sweeps.results.store import Store
from sweeps.running.budget import Budget
from sweeps.running.cluster import Interrupted
from sweeps.running.gauges import SweepGauges
from sweeps.running.heartbeat import Heartbeat
from sweeps.running.node_checks import unable_among
from sweeps.running.options import RunOptions
from sweeps.running.plan_searcher import AtTheEnd, PlanSearcher
from sweeps.running.preflight import as_usage_errors
from sweeps.running.progress import SweepProgress
from sweeps.running.stage_queue import StageQueue
from sweeps.running.trial_events import TrialEvents
from trainables.functions.sources import Source, sources
from trainables.trainable import StageTrainable, WorkerOptions

# Tune would keep what a later run could go on with of every trial, and write it at the end, while all workers wait.
with suppress(ImportError):
    from ray.tune.execution.tune_controller import TuneController

    TuneController._mark_trial_to_checkpoint = lambda controller, trial: None  # type: ignore[method-assign, assignment]

NODES_SECONDS = 3.0
"""Which nodes there are is asked so often at most."""


def run(
    plan: Plan,
    store: Store,
    options: RunOptions,
    progress: SweepProgress,
    heartbeat: Heartbeat,
    left_out: Mapping[str, str],
    budget: Budget,
) -> None:
    """Carry out a plan on the Ray that :func:`~sweeps.running.cluster.ray_cluster` joined; results go into the store.

    Args:
        plan: What to do.
        store: Where results go.
        options: How it runs.
        progress: Shows it.
        heartbeat: Whose gauges are set.
        left_out: Nodes that get no stages, by their names, with the reason (:mod:`sweeps.running.node_checks`).
        budget: In which trials work.

    Raises:
        Interrupted: After SIGINT or SIGTERM. Trainings were saved, unless an epoch took longer than the ten seconds for
            which Tune waits.
        BudgetSpent: When trials have worked for so long, likewise.
        UsageError: If no node is left that can work.
    """
    _copy_no_environment(is_own=options.address is None)
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
        while not plan.is_done and not stop:
            # Tune keeps all trials of a run in memory, and looks through them again and again. Between two runs trials
            # wait for the slowest one; in so many stages that is little.
            slots = _slots(resources)
            name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:8]}"
            most, unable = max(1000, 100 * slots), partial(unable_among, store)
            searcher = PlanSearcher(queue, store, progress, gauges, stop, most, slots, budget, unable)
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
                    callbacks=[TrialEvents(progress, searcher.died)],
                    stop=AtTheEnd(searcher),
                    verbose=0,
                ),
            )
            tuner.fit()
            gc.collect()  # what Tune keeps of a run refers to itself
        if stop:
            raise stop[0]


def _copy_no_environment(is_own: bool) -> None:
    """Keep Tune from giving workers a copy of some of this process's environment.

    Keys are no part of it: Ray logs it for everyone on the machine to read. Nothing is, of a Ray of one's own, whose
    processes inherit it all: for an environment of their own Ray starts new workers, each of them as two processes one
    after the other, and those that it started with itself wait for nothing.
    """
    with suppress(ImportError, AttributeError):  # another Ray may not do it
        from ray.tune.execution.class_cache import DEFAULT_ENV_VARS, ENV_VARS_TO_PROPAGATE

        ENV_VARS_TO_PROPAGATE.difference_update([name for name in ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")])
        if is_own:
            ENV_VARS_TO_PROPAGATE.clear()
            DEFAULT_ENV_VARS.clear()


def _worker_options(options: RunOptions) -> WorkerOptions:
    return WorkerOptions(
        "cuda" if options.gpus_per_trial else "cpu",
        options.threads,
        min(options.gpus_per_trial, 1.0) or 1.0,
        options.checkpoint_seconds,
        _everywhere(options.data_folder),
        options.keep,
        options.compile,
        options.dimension_neighbours or NEIGHBOURS,
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
    """What workers need of the users' functions."""
    with as_usage_errors():
        return sources({function for stage in plan.left for function in stage.functions})


def _everywhere(folder: str) -> str:
    """The same folder for workers that do not start where the command was typed; the home is each one's own."""
    return folder if folder.startswith("~") else os.path.abspath(folder)


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
