"""What a store and a plan of many points take: ``python tests/benchmarks/large_plans.py [POINTS MORE PROJECTED]``.

Prints, asserts nothing. For two numbers of points in a folder of this machine: seconds of the processor and megabytes
to make a plan; to make it again with all points but a hundred stored, where nothing is merged yet, and where all is; to
look for what is to be merged then. The straight line through both says what is to be expected of PROJECTED points.
"""

import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from many_points import MISSING, grid_of, megabytes, rows_of

from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.part_files import SETTLED_NS
from sweeps.results.store import Store
from sweeps.spec.spec import SweepSpec
from trainables.stages import Stage
from trainables.stages.measurement import measurements


def record(store: Store, stages: Iterable[Stage]) -> None:
    """Store results of stages, several at once."""
    with ThreadPoolExecutor(4) as trials:
        list(trials.map(lambda stage: store.record(stage, rows_of(stage), "cpu"), stages))


def delete(store: Store, times: int) -> None:
    """What each measurement does that a failure was noted of, or none."""
    for number in range(times):
        store._tables["pairs"].delete(f"lost-{number}")


def planned(folder: str, spec: SweepSpec) -> GridPlan:
    """The plan of a sweep, as a command makes it."""
    store = Store(folder)
    return GridPlan(spec.points(), spec.measurement, inventory_of(store))


def measured(points: int) -> dict[str, float]:
    """All that is measured of so many points."""
    found: dict[str, float] = {}
    process, spec = psutil.Process(), grid_of(points)

    def time_of(name: str, what: Any) -> Any:
        before, started = megabytes(process), time.process_time()
        result = what()
        found[f"{name}, s"] = time.process_time() - started
        found[f"{name}, MB"] = megabytes(process) - before
        return result

    with tempfile.TemporaryDirectory() as parent:
        folder = f"{parent}/results"
        time_of("plan with nothing stored", lambda: planned(folder, spec))
        stored = spec.points()[:-MISSING]
        time_of("storing all", lambda: record(Store(folder), [*stored, *measurements(stored, spec.measurement)]))
        time.sleep(2 * SETTLED_NS / 1e9)
        for number in ("first", "second"):
            plan = time_of(f"plan with nearly all stored, the {number} time", lambda: planned(folder, spec))
            assert len(plan.points) == MISSING
        store = Store(folder)
        time_of("a merge with nothing new", store.merge)
        time_of("listing the files of a table", lambda: store.folder.files("pairs"))
        time_of("asking a table 1,000 times to delete what is not there", lambda: delete(store, 1000))
        files = list(Path(folder).rglob("*.parquet"))
        found["files"], found["MB of files"] = len(files), sum(file.stat().st_size for file in files) / 1e6
    return found


def main() -> None:
    """Run the benchmark."""
    few, more, many = map(int, sys.argv[1:4] if len(sys.argv) > 3 else ("4000", "8000", "100000"))
    small, large = measured(few), measured(more)
    print(f"{'':52}{few:>10}{more:>10}{many:>10} (projected)")
    for name, value in large.items():
        slope = (value - small[name]) / (more - few)
        print(f"{name:52}{small[name]:10.2f}{value:10.2f}{value + slope * (many - more):10.1f}", flush=True)


if __name__ == "__main__":
    main()
