"""Carrying out a plan by training, and saying what came of it."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sweeps.plans.plan import Plan
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from sweeps.running.budget import Budget, BudgetSpent
from sweeps.running.heartbeat import Heartbeat
from sweeps.running.options import RunOptions
from sweeps.running.progress import SweepProgress
from sweeps.running.ray_watch import check_room, watched
from sweeps.spec.command_line import OK, SOME_FAILED
from sweeps.spec.errors import UsageError
from trainables.data import share_vocabulary
from trainables.stages import MeasurementSettings, MeasurementStage, PointStage, Stage
from trainables.stages.measurement import measurements
from trainables.storage.folder import FullError

SHOWN_FAILURES = 10


def carry_out(
    plan: Plan,
    store: Store,
    started: Callable[[], object],
    options: RunOptions,
    progress: SweepProgress,
    budget: Budget | None = None,
    checks: Callable[[], None] = lambda: None,
) -> bool:
    """Carry out a plan on Ray; False if it was interrupted, which a person is told.

    Args:
        plan: What to do.
        store: Where results go.
        started: Called when Ray has started: a sweep that cannot start does not replace the latest one.
        options: Where and how it runs.
        progress: Shows it.
        budget: In which its trials work, if that has an end.
        checks: What is left of them, to be done while Ray starts (:func:`sweeps.running.preflight.check_before`).

    Raises:
        UsageError: If it cannot start or go on, or another sweep is at work in the store.
        BudgetSpent: If its trials have worked for so long.
    """
    if options.address is None:
        # As Ray does on macOS and Windows, and before it is imported: its own ports are on loopback alone.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with store.shared(options.alongside):  # before Ray is imported: who is refused is told at once
        from sweeps.running.cluster import Interrupted, own_processes, ray_cluster

        heartbeat = Heartbeat(progress, store)

        def died(what: str) -> None:
            _end_at_once(what, store, progress, heartbeat)

        try:
            with ray_cluster(options, checks), watched(own_processes(), died):
                from sweeps.running.node_checks import unable_nodes  # while Ray's workers import the same
                from sweeps.running.tune_run import run

                left_out = {} if options.address is None else unable_nodes(store)
                started()
                for data in {stage.run.data for stage in plan.left}:
                    share_vocabulary(data, store.artifacts, options.data_folder)
                with heartbeat:
                    run(plan, store, options, progress, heartbeat, left_out, budget or Budget())
        except Interrupted:
            print(f"Stopped. Everything finished is in {store.folder}; the same command continues.")
            return False
        except (UsageError, FullError, BudgetSpent):
            raise
        except Exception:
            check_room()  # what Ray and Tune say of that is many things
            raise
    return True


def _end_at_once(died: str, store: Store, progress: SweepProgress, heartbeat: Heartbeat) -> None:
    """End this process, before Ray does, in whose hands its main thread may be."""
    try:
        progress.close()
        said = f"Ray's {died} on this machine has died (was it killed, perhaps with all of this, or is memory short?)"
        done = f"everything finished is in {store.folder}; the same command continues"
        print(f"{Path(sys.argv[0]).name}: {said}; {done}.", file=sys.stderr, flush=True)
        nobody = os.open(os.devnull, os.O_WRONLY)  # to whom Ray may say it at length
        for output in (1, 2):
            os.dup2(nobody, output)
        heartbeat.end("stopped")
    finally:
        os._exit(SOME_FAILED)


def report_failures(
    points: Sequence[PointStage], measurement: MeasurementSettings, store: Store, beside: Sequence[Stage] = ()
) -> int:
    """Say which points, and which measurements of dense models, lack results, and why; give the exit code.

    Args:
        points: That were wanted.
        measurement: How they are measured.
        store: Where results are.
        beside: What was wanted beside points.
    """
    inventory = inventory_of(store)
    wanted: list[Stage] = [*measurements(points, measurement), *beside]
    missing = [stage for stage in wanted if not inventory.is_stored(stage)]
    if not missing:
        return OK
    failed = [stage for stage in missing if stage.completes_point]
    others = [stage for stage in missing if not stage.completes_point]
    again = "the same command tries them again"
    if failed:
        of = sum(stage.completes_point for stage in wanted)
        _say_failed(f"{len(failed)} of {of} points failed; {again}", failed, store)
    if others:
        _say_failed(f"{len(others)} measurements of dense models failed; {again}", others, store)
    return SOME_FAILED


def _say_failed(what: str, stages: Sequence[Stage], store: Store) -> None:
    """Say which stages lack results, and what is stored of the reasons."""
    measured = {
        f"{row['point']}-{row['measurement']}": row["message"]
        for table in MeasurementStage.tables()
        for row in store.rows(table, ["point", "measurement", "status", "message"])
        if row["status"] == "failed"
    }
    runs = store.rows("runs", ["point", "status", "message"])
    retrained = {row["point"]: row["message"] for row in runs if row["status"] == "failed"}
    print(f"{what}:", file=sys.stderr)
    for stage in stages[:SHOWN_FAILURES]:
        if not isinstance(stage, MeasurementStage):
            print(f"  {stage}: {store.failures(type(stage)).get(stage.key, 'not run')}", file=sys.stderr)
            continue
        why = retrained.get(stage.siblings.key) or measured.get(stage.key, "not run")
        print(f"  {stage.siblings}: {why}", file=sys.stderr)
