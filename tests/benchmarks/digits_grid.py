"""Measure what the digits grid costs: ``python tests/benchmarks/digits_grid.py [RUNS]``. Prints, asserts nothing.

For each run: wall time from the start of the command to its end, the largest memory of all its processes together,
the pure training and measuring time noted in its tables, and the wall time of a rerun with nothing to do. The bound is
1.25 times the pure time over the cores, plus 15 s for starting Ray.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import psutil

GRID = [sys.executable, str(Path(__file__).parents[2] / "sweeps" / "grid.py")]


def unique_memory(process: psutil.Process) -> int:
    """Bytes that would be free without this process and its children, and shared memory shared out."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def timed(command: list[str]) -> tuple[float, int]:
    """Seconds and largest memory of a command."""
    started, peak = time.perf_counter(), 0
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    process = psutil.Process(running.pid)
    while running.poll() is None:
        try:
            peak = max(peak, unique_memory(process))
            process.wait(timeout=1)
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            continue
    if running.wait():
        sys.exit(f"{' '.join(command)} ended with {running.returncode}")
    return time.perf_counter() - started, peak


def pure_seconds(out: Path) -> float:
    """Training and measuring, without waiting."""
    dense = pd.read_parquet(out / "dense").groupby("dense")["seconds"].max().sum()  # seconds count from epoch 0
    return float(dense + sum(pd.read_parquet(out / name)["seconds"].sum() for name in ("runs", "pairs")))


def main() -> None:
    """Run the benchmark."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    cores = len(os.sched_getaffinity(0))
    print(
        f"{platform.processor() or platform.machine()}, {cores} cores, Python {platform.python_version()}, "
        f"torch {version('torch')}, Ray {version('ray')}, {runs} runs"
    )
    results: dict[str, list[float]] = {}
    for preset in ("smoke", "digits"):
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "results"
                command = [*GRID, "--preset", preset, "--out", str(out)]
                wall, memory = timed(command)
                bound = 1.25 * pure_seconds(out) / cores + 15
                again, _ = timed(command)
            row = {"wall s": wall, "bound s": bound, "wall / bound": wall / bound, "memory GB": memory / 1e9}
            row["rerun s"] = again
            for name, value in row.items():
                results.setdefault(f"{preset}: {name}", []).append(value)
            print(preset, {name: round(value, 2) for name, value in row.items()}, flush=True)
    for name, values in results.items():
        print(f"{name}: median {statistics.median(values):.2f}, {min(values):.2f} to {max(values):.2f}")


if __name__ == "__main__":
    main()
