"""Measure the whole path without training: ``python tests/benchmarks/many_points.py [POINTS PLANNED [KIND ...]]``.

Prints, asserts nothing. KIND is folder or s3.
Points that compute nothing go through plan, trial, store and tell on real Ray: points per second, and the memory of the
driver and of all processes as they pass. Then a large plan is made and resumed with nearly all points stored. Both in a
folder of this machine and on an S3 server on loopback.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psutil

from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.part_files import MERGE_AT
from sweeps.results.store import Store
from sweeps.running import cluster
from sweeps.running import tune_run as runner
from sweeps.running.budget import Budget
from sweeps.running.heartbeat import Heartbeat
from sweeps.running.options import RunOptions
from sweeps.running.progress import SweepProgress
from sweeps.spec.presets import PRESETS
from sweeps.spec.spec import SweepSpec
from trainables.stages import DenseStage, MeasurementSettings, PointStage, Rows, Stage
from trainables.stages.dense import dense_file
from trainables.stages.measurement import measurements
from trainables.stages.siblings import sibling_file
from trainables.trainable import StageTrainable

MISSING = 100
"""Points of a large plan that are not stored when it is resumed."""


def grid_of(points: int) -> SweepSpec:
    """Sweep with so many points, of 2 dense seeds and 50 temperatures."""
    densities = tuple(round((index + 1) / (points // 100 + 1), 6) for index in range(points // 100))
    like = PRESETS["digits-epochs"]
    return replace(like, epochs=50, temperatures=tuple(range(1, 51)), densities=densities, dense_seeds=(1, 2))


def rows_of(stage: Stage) -> Rows:
    """What carrying out a stage might have given."""
    common: dict[str, Any] = {"status": "ok", "message": "", "seconds": 0.0}
    errors = {"train_error": 0.1, "validation_error": 0.1, "test_error": 0.1}
    own: dict[str, Any] = {"lmc": -0.01, "cka": 0.99, "path_errors": [0.1] * 11}
    if isinstance(stage, DenseStage):
        own = errors
    elif isinstance(stage, PointStage):
        own = errors | {"density": stage.point.density, "density_by_layer": {}, "stack": list(stage.seeds)}
    rows = {tuple(names.items()): names | common | own for names in map(stage.part_columns, stage.parts)}
    return {stage.table_of(stage.parts[0]): list(rows.values())}


class NoOp(StageTrainable):
    """A trial that has its results at once."""

    def _prepared(self) -> Any:
        if self._execution is None:
            self._machine = self._machine or self._own_machine()
            self._execution = self._nothing()
        return self._execution

    def _nothing(self) -> Iterator[Any]:
        if isinstance(self._stage, DenseStage):
            for epoch in self._stage.epochs:
                self._store.artifacts.write(dense_file(self._stage.run, epoch), b"")
        elif isinstance(self._stage, PointStage):
            self._store.artifacts.write(sibling_file(self._stage.key, self._stage.seeds), b"")
        return rows_of(self._stage)
        yield


@contextmanager
def storage(kind: str) -> Iterator[tuple[str, str | None]]:
    """A location for results, and its endpoint."""
    if kind == "folder":
        with tempfile.TemporaryDirectory() as folder:
            yield f"{folder}/results", None
        return
    port = 5077
    os.environ |= {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
    os.environ |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        from pyarrow.fs import S3FileSystem

        endpoint = f"http://127.0.0.1:{port}"
        system = S3FileSystem(endpoint_override=endpoint, allow_bucket_creation=True)
        for _ in range(100):
            try:
                system.create_dir("benchmark")
                break
            except OSError:
                time.sleep(0.1)
        yield f"s3://benchmark/{kind}-{time.time_ns()}", endpoint
    finally:
        server.terminate()
        server.wait()


def megabytes(process: psutil.Process) -> float:
    """Memory that would be free without this process; none if it has ended."""
    try:
        return process.memory_full_info().uss / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def through_the_whole_path(points: int, kind: str) -> None:
    """Time points that compute nothing."""
    with storage(kind) as place:
        store = Store(*place)
        spec = grid_of(points)
        store.set_spec(spec)
        plan = GridPlan(spec.points(), spec.measurement, inventory_of(store))
        progress = SweepProgress(points, 0, plan.left)
        driver = psutil.Process()
        seen: list[str] = []
        over = threading.Event()

        def watch() -> None:
            step = max(points // 5, 1)
            while not over.wait(0.2):
                if progress.done >= len(seen) * step:
                    others = sum(
                        megabytes(child) for child in driver.children(recursive=True) if "moto" not in child.name()
                    )
                    seen.append(f"{progress.done}: {megabytes(driver):.0f} + {others:.0f}")

        runner.StageTrainable = NoOp  # type: ignore[misc]
        with cluster.ray_cluster(RunOptions()), store.shared(), Heartbeat(progress, store) as heartbeat:
            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            started = time.perf_counter()
            runner.run(plan, store, RunOptions(), progress, heartbeat, {}, Budget())
            taken = time.perf_counter() - started
            over.set()
            watcher.join()
        assert progress.done == points, f"{progress.failed} points failed"
        print(f"{kind}: {points} points in {taken:.1f} s, {points / taken:.1f} a second")
        print(f"{kind}: MB of the driver + of its workers and Ray, by points done: {'; '.join(seen)}", flush=True)


def resuming(planned: int, kind: str) -> None:
    """Time making a large plan, and resuming it."""
    with storage(kind) as place:
        spec = grid_of(planned)
        started = time.perf_counter()
        store = Store(*place)
        points = spec.points()
        GridPlan(points, spec.measurement, inventory_of(store))
        print(f"{kind}: a plan of {len(points)} points made in {time.perf_counter() - started:.1f} s", flush=True)
        fill(store, points[:-MISSING])
        for attempt in ("first", "second"):
            started = time.perf_counter()
            store = Store(*place)
            points = spec.points()
            plan = GridPlan(points, spec.measurement, inventory_of(store))
            taken = time.perf_counter() - started
            assert len(plan.points) == MISSING
            print(f"{kind}: resumed with {planned - MISSING} stored in {taken:.1f} s ({attempt} time)", flush=True)


def fill(store: Store, points: list[PointStage]) -> None:
    """Store points as the trials of a sweep do, and merge as often as its heartbeat does."""

    def record(stage: Stage) -> None:
        store.record(stage, rows_of(stage), "cpu")

    with ThreadPoolExecutor(4) as trials:
        for first in range(0, len(points), MERGE_AT):
            some = points[first : first + MERGE_AT]
            list(trials.map(record, some))
            list(trials.map(record, measurements(some, MeasurementSettings())))
            if len(some) == MERGE_AT:
                store.merge()


def main() -> None:
    """Run the benchmark."""
    points, planned = map(int, sys.argv[1:3] if len(sys.argv) > 2 else ("1000", "20000"))
    for kind in sys.argv[3:] or ("folder", "s3"):
        if points:
            through_the_whole_path(points, kind)
        if planned:
            resuming(planned, kind)


if __name__ == "__main__":
    main()
