"""Measure what surrounds the training: ``python tests/benchmarks/startup.py [RUNS] [--grids ...] [--json FILE]``.

Prints, asserts nothing. First commands that need no Ray. Then grids, each in an empty folder: seconds from the start of
the command to the begin of its first training, from the last row that was stored to the end of the command, and of all
of it; wall time over pure training and measuring divided by the cores, of the whole command and of what lies between
its first training and its last row; the largest memory of all its processes together; and seconds of the same command
again, with nothing to do. When a training began, and pure time, are told by the tables: when rows were written, and
their seconds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from trainables.kernels.native import processor

SWEEPS = Path(__file__).parents[2] / "sweeps"
SHORT = ["--preset", "smoke"]
GRIDS = {
    "smoke": SHORT,
    "points of 5 s": [  # 12 of them, of 3 siblings, after two epochs of a dense model
        *("--preset", "digits-epochs", "--epochs", "2", "--temperatures", "1", "2", "--retrain-epochs", "60"),
        *("--densities", "0.1", "0.2", "0.3", "0.4", "0.6", "0.8"),
    ],
    "digits-epochs": ["--preset", "digits-epochs"],
    "digits": ["--preset", "digits"],
}
"""Options of the grids that can be measured."""

Measured = dict[str, list[float]]


def command(name: str, *options: str) -> list[str]:
    """A command of this clone."""
    return [sys.executable, str(SWEEPS / f"{name}.py"), *options]


def unique_memory(process: psutil.Process) -> int:
    """Bytes that would be free without this process and its children, and shared memory shared out."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def timed(arguments: list[str], watched: bool = False) -> tuple[float, int]:
    """Seconds of a command, and its largest memory if that is watched, which takes some time itself."""
    started, peak = time.perf_counter(), 0
    running = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    process = psutil.Process(running.pid)
    while watched and running.poll() is None:
        try:
            peak = max(peak, unique_memory(process))
            process.wait(timeout=2)
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            continue
    if running.wait():
        sys.exit(f"{' '.join(arguments)} ended with {running.returncode}")
    return time.perf_counter() - started, peak


def without_ray(folder: Path, runs: int) -> Measured:
    """Seconds of commands that need no Ray, with the results of a small grid."""
    out = ["--out", str(folder)]
    timed(command("grid", *SHORT, *out))
    commands = {
        f"{name} --help": command(name, "--help")
        for name in ("grid", "tune_temperature", "select_model", "report", "status")
    } | {
        "grid --dry-run": command("grid", *SHORT, *out, "--dry-run"),
        "grid, nothing to do": command("grid", *SHORT, *out),
        "report": command("report", str(folder)),
        "status": command("status", str(folder)),
    }
    return {f"{name}: s": [timed(arguments)[0] for _ in range(runs)] for name, arguments in commands.items()}


def grid(options: list[str], folder: Path, cores: int) -> dict[str, float]:
    """What a grid took, by what is measured."""
    arguments = command("grid", *options, "--out", str(folder))
    started = time.time()
    wall, memory = timed(arguments, watched=True)
    ended = started + wall
    tables = [pd.read_parquet(folder / name) for name in ("dense", "runs", "pairs")]
    rows = pd.concat(table[["created_at", "seconds"]] for table in tables)
    written = rows["created_at"].astype("datetime64[us, UTC]").astype("int64") / 1e6
    first, last = (written - rows["seconds"]).min(), written.max()
    dense = tables[0].groupby("dense")["seconds"].max().sum()  # seconds count from epoch 0
    pure = float(dense + sum(table["seconds"].sum() for table in tables[1:])) / cores
    return {
        "s to the first training": first - started,
        "s from the last row to the end": ended - last,
        "wall s": wall,
        "wall / (pure / cores)": wall / pure,
        "the same between first training and last row": (last - first) / pure,
        "memory GB": memory / 1e9,
        "s again": timed(arguments)[0],
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=int, default=3)
    parser.add_argument("--grids", nargs="*", choices=GRIDS, default=["smoke", "points of 5 s"])
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    versions = f"Python {platform.python_version()}, torch {version('torch')}, Ray {version('ray')}"
    where = f"{processor()}, {cores} cores, {versions}"
    print(f"{where}; {given.runs} runs", flush=True)
    measured: Measured = {}
    with tempfile.TemporaryDirectory() as name:
        measured |= without_ray(Path(name) / "small", given.runs)
        for which in given.grids:
            for run in range(given.runs):
                for what, value in grid(GRIDS[which], Path(name) / f"{which}-{run}", cores).items():
                    measured.setdefault(f"{which}: {what}", []).append(value)
    for what, values in measured.items():
        print(f"{what}: median {statistics.median(values):.2f}, {min(values):.2f} to {max(values):.2f}")
    if given.json:
        content: dict[str, Any] = {"where": where, "measured": measured}
        given.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
