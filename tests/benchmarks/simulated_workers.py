"""What a driver can do for many workers: ``python tests/benchmarks/simulated_workers.py [--workers 50 200 1000] ...``.

Prints, asserts nothing. Points that compute nothing go through plan, searcher, Ray Tune, trials and store as those of a
sweep do, only that many trials share two processes (``simulated_actors.py``). ``--seconds`` is how long each stage
takes, in which its worker sleeps and reports as a real one does; 0 shows what can be sustained. Each turn is a process
of its own. Rates are from when every worker has had a point, or half of the points are done, to the last point. CPU
time is that of the driver's main thread, which nobody can help: all else that there is to do others do on other cores.
"""

import argparse
import json
import logging
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import ray
from many_points import NoOp, grid_of, megabytes, rows_of
from ray.tune.execution.tune_controller import TuneController
from simulated_actors import Host, simulate
from spent_time import SpentTime

from sweeps.plans.grid_plan import GridPlan
from sweeps.plans.plan import StagePlan
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from sweeps.running import cluster
from sweeps.running import tune_run as runner
from sweeps.running.budget import Budget
from sweeps.running.gauges import SweepGauges
from sweeps.running.heartbeat import Heartbeat
from sweeps.running.options import RunOptions
from sweeps.running.plan_searcher import AtTheEnd, PlanSearcher
from sweeps.running.progress import SweepProgress
from sweeps.running.trial_events import TrialEvents
from trainables.stages import DenseStage, Rows, Stage
from trainables.stages.dense import dense_file

HOSTS = 2

SUBJECTS: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("Tune: waiting", ray, ("wait", "get")),
    ("Tune: new trials", TuneController, ("_maybe_update_trial_queue",)),
    ("Tune: to workers", TuneController, ("_maybe_add_actors",)),
    ("Tune: results", TuneController, ("_on_training_result",)),
    ("searcher", PlanSearcher, ("suggest", "on_trial_result", "on_trial_complete")),
    ("searcher", AtTheEnd, ("__call__",)),
    ("searcher", TrialEvents, ("on_trial_start", "on_trial_result", "on_trial_complete")),
    ("plan", StagePlan, ("ask", "tell", "take", "follow_up", "left")),
    ("progress", SweepProgress, ("running", "ended", "waits")),
    ("progress", SweepGauges, ("reported",)),
    ("beside it: heartbeat", Heartbeat, ("_note",)),
    ("beside it: heartbeat", SweepGauges, ("show",)),
    ("beside it: merging", Store, ("merge",)),
)
"""Whose CPU time is told: a name, a class or module, and methods. The main thread's rest is Tune's, too."""


def simulated(seconds: float, stores: bool) -> type[NoOp]:
    """Class of trials whose stages take so long, and store their rows or do not."""

    class Simulated(NoOp):
        def nap(self) -> float:
            """Seconds until the next report or the end."""
            works = self._introduced and self._pauses_until is None
            return min(self._seconds_left, self._report_seconds) if works else 0.0

        def _take(self, stage: Stage) -> None:
            super()._take(stage)
            self._seconds_left = seconds

        def _work(self, execution: Any) -> dict[str, Any]:
            self._seconds_left -= self._report_seconds
            if self._seconds_left > 0:
                return {"outcome": "running", "epochs": 1, "of": 2, "kept": [], "images": 0, "test_error": math.nan}
            return super()._work(execution)

        def _record(self, rows: Rows) -> None:
            if stores:
                super()._record(rows)

    return Simulated


class Marks:
    """Points that ended, with the clocks at that time: points, seconds, and CPU seconds of thread and process.

    Attributes:
        all: All of them.
        memory: Megabytes of this process at the last point.
    """

    def __init__(self, points: int) -> None:
        self.all: list[tuple[int, float, float, float]] = []
        self.memory = math.nan
        ended = SweepProgress.ended

        def marked(progress: SweepProgress, *what: Any) -> None:
            ended(progress, *what)
            self.add(progress.done)
            if progress.done == points:
                self.memory = megabytes(psutil.Process())

        SweepProgress.ended = marked  # type: ignore[method-assign]

    def add(self, points: int) -> None:
        self.all.append((points, time.perf_counter(), time.thread_time(), time.process_time()))


def turn(workers: int, points: int, seconds: float, stores: bool) -> dict[str, Any]:
    """One sweep: what it took."""
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    more = {"prestart_worker_first_driver": False, "task_events_max_num_task_in_gcs": cluster.REMEMBERED_TASKS}
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.CRITICAL}
    ray.init("local", num_cpus=workers, object_store_memory=cluster.OBJECT_STORE_BYTES, _system_config=more, **quiet)
    simulate([Host.remote() for _ in range(HOSTS)])
    runner.StageTrainable = simulated(seconds, stores)  # type: ignore[misc]
    spent, marks, driver = SpentTime(), Marks(points), psutil.Process()
    for subject, where, names in SUBJECTS:
        spent.watch(subject, where, [name for name in names if name in where.__dict__])
    with tempfile.TemporaryDirectory() as folder:
        store, spec = Store(f"{folder}/results"), grid_of(points)
        store.set_spec(spec)
        for stage in GridPlan(spec.points(), spec.measurement, inventory_of(store)).left:
            if isinstance(stage, DenseStage):  # else all would wait for two trainings
                store.record(stage, rows_of(stage), "cpu")
                for epoch in stage.epochs:
                    store.artifacts.write(dense_file(stage.run, epoch), b"")
        plan = GridPlan(spec.points(), spec.measurement, inventory_of(store))
        progress, before = SweepProgress(points, 0, plan.left), megabytes(driver)
        with store.shared(), Heartbeat(progress, store) as heartbeat:
            marks.add(0)
            runner.run(plan, store, RunOptions(), progress, heartbeat, {}, Budget())
            marks.add(progress.done)
    ray.shutdown()
    assert progress.done == points, f"{progress.failed} points failed"
    begun = next(mark for mark in marks.all if mark[0] >= min(workers, points // 2))
    start, last, end = marks.all[0], marks.all[-2], marks.all[-1]
    done, wall, thread, process = (late - early for late, early in zip(last, begun, strict=True))
    subjects = {name: 1000 * spent.seconds[name] / points for name, *_ in SUBJECTS}
    main = 1000 * (end[2] - start[2]) / points
    told = sum(taken for name, taken in subjects.items() if not name.startswith("beside"))
    return {
        "points a second": done / wall,
        "main thread, ms a point": 1000 * thread / done,
        "process, ms a point": 1000 * process / done,
        "s until all workers had a point": begun[1] - start[1],
        "s from the last point to the end": end[1] - last[1],
        "events a point": spent.calls["Tune: results: _on_training_result"] / points,
        "MB of the driver before": before,
        "KB more for each point at its end": 1000 * (marks.memory - before) / points,
        "whole run, main thread, ms a point": main,
        **{f"of these {name}": taken for name, taken in subjects.items()},
        "of these Tune: the rest": main - told,
    }


def several(workers: Sequence[int], points: int, turns: int, more: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """Turns of all numbers of workers, one after the other, so that a noisy machine disturbs all alike."""
    found: dict[str, list[dict[str, float]]] = {str(number): [] for number in workers}
    for _ in range(turns):
        for number in workers:
            with tempfile.NamedTemporaryFile() as file:
                own = ["--workers", str(number), "--points", str(points), "--turn", file.name, *more]
                subprocess.run([sys.executable, __file__, *own], check=True, stdout=subprocess.DEVNULL)
                found[str(number)].append(json.loads(Path(file.name).read_bytes()))
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.0, help="of each stage; a point has two")
    parser.add_argument("--store-nothing", action="store_true", help="workers keep their rows to themselves")
    parser.add_argument("--json", help="file for all numbers")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.turn:
        result = turn(given.workers[0], given.points, given.seconds, not given.store_nothing)
        Path(given.turn).write_text(json.dumps(result))
        return
    more = ["--seconds", str(given.seconds)] + ["--store-nothing"] * given.store_nothing
    found = several(given.workers, given.points, given.turns, more)
    cores, versions = psutil.cpu_count(), ", ".join(f"{name} {version(name)}" for name in ("ray", "torch", "pyarrow"))
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, {versions}")
    print(f"{given.points} points, stages of {given.seconds:g} s; median (range) of {given.turns} turns")
    for number, results in found.items():
        print(f"{number} workers")
        for name in results[0]:
            values = [result[name] for result in results]
            print(f"  {name:45} {statistics.median(values):9.2f} ({min(values):.2f} to {max(values):.2f})", flush=True)
    if given.json:
        Path(given.json).write_text(json.dumps(vars(given) | {"versions": versions, "found": found}, indent=1))


if __name__ == "__main__":
    main()
