"""Carrying out a plan by training, and saying what came of it."""

import os
import sys
from collections.abc import Callable, Sequence

from sweeps.plans.plan import Plan
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from sweeps.running.heartbeat import Heartbeat
from sweeps.running.options import RunOptions
from sweeps.running.progress import SweepProgress
from sweeps.spec.command_line import OK, SOME_FAILED
from trainables.stages import MeasurementSettings, PointStage
from trainables.stages.groups import Siblings
from trainables.stages.measurement import measurements, settings_key

SHOWN_FAILURES = 10


def carry_out(
    plan: Plan, store: Store, started: Callable[[], object], options: RunOptions, progress: SweepProgress
) -> bool:
    """Carry out a plan on Ray; False if it was interrupted, which a person is told.

    Args:
        plan: What to do.
        store: Where results go.
        started: Called when Ray has started: a sweep that cannot start does not replace the latest one.
        options: Where and how it runs.
        progress: Shows it.

    Raises:
        UsageError: If it cannot start, or another sweep is at work in the store.
    """
    if options.address is None:
        # As Ray does on macOS and Windows, and before it is imported: its own ports are on loopback alone.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with store.shared(options.alongside):  # before Ray is imported: who is refused is told at once
        from sweeps.running.cluster import Interrupted, ray_cluster
        from sweeps.running.node_checks import unable_nodes
        from sweeps.running.tune_run import run

        try:
            with ray_cluster(options), Heartbeat(progress, store) as heartbeat:
                left_out = {} if options.address is None else unable_nodes(store)
                started()
                run(plan, store, options, progress, heartbeat, left_out)
        except Interrupted:
            print(f"Stopped. Everything finished is in {store.folder}; the same command continues.")
            return False
    return True


def report_failures(wanted: Sequence[PointStage], measurement: MeasurementSettings, store: Store) -> int:
    """Say which points lack results, and why; give the exit code."""
    inventory = inventory_of(store)
    missing = {
        stage.group.key: stage.group.stage
        for stage in measurements(wanted, measurement)
        if isinstance(stage.group, Siblings) and not inventory.is_stored(stage)
    }
    if not missing:
        return OK
    columns, own = ["point", "status", "message"], settings_key(measurement)
    pairs = [row for row in store.rows("pairs", [*columns, "measurement"]) if row["measurement"] == own]
    messages = {
        row["point"]: row["message"]
        for row in (*pairs, *store.rows("runs", columns))
        if row["status"] == "failed" and row["point"] in missing
    }
    print(f"{len(missing)} of {len(wanted)} points failed; the same command tries them again:", file=sys.stderr)
    for key, stage in list(missing.items())[:SHOWN_FAILURES]:
        print(f"  {stage}: {messages.get(key, 'not run')}", file=sys.stderr)
    return SOME_FAILED
