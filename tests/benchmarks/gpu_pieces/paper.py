"""As much of ``paper-epochs`` as there is time for, by several processes that share the card and a folder."""

import fcntl
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from gpu_pieces.images import pinned_data
from gpu_pieces.session import Row, Session, print_table
from gpu_pieces.trials import GPU_MEMORY
from trainables.data import Augmentation
from trainables.stages import DenseRun, DenseStage, Label, MeasurementSettings, Point, PointStage, Stage
from trainables.stages.dense import dense_file
from trainables.stages.machine import Machine
from trainables.stages.measurement import measurements
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

EPOCHS, SEEDS = 160, (1, 2, 3)
TEMPERATURES = (10, 80, 160, *(epoch for epoch in range(20, 160, 10) if epoch != 80))
DENSITIES = (0.05, 0.1, 0.2, 0.8, 0.06, 0.07, 0.08, 0.14, 0.4)
"""Both with the best cells first: corners and middles of the diagram."""

BEST_TEMPERATURES, BEST_DENSITIES = 3, 4

SAVING_SECONDS = 15.0
"""Before the end no epoch is begun that would take until then, by the longest before it; the rest is for its file."""


def stages(data: str, epochs: int = EPOCHS, model: str = "preresnet20") -> list[Stage]:
    """Dense trainings, points and their measurements, in the order in which they are wanted.

    Args:
        data: Pinned.
        epochs: Of the schedule; temperatures are in proportion, those that become equal are one.
        model: Its name.
    """
    temperatures = [max(1, round(each * epochs / EPOCHS)) for each in TEMPERATURES]
    recipe, wanted = Recipe(epochs=epochs), dict[Stage, None]()
    best = BEST_TEMPERATURES, BEST_DENSITIES
    for rows, columns in (best, (len(TEMPERATURES), len(DENSITIES))):
        for seed in SEEDS:
            run = DenseRun(data, 0.0, model, recipe, seed, Augmentation(4, True))
            wanted[DenseStage(run, tuple(sorted(set(temperatures))))] = None
            points = [
                PointStage(
                    Point(run, epoch, density, "magnitude-uniform", recipe),
                    SEEDS,
                    Label("epochs", epoch, "density", density),
                )
                for epoch in dict.fromkeys(temperatures[:rows])
                for density in DENSITIES[:columns]
            ]
            for stage in measurements(points, MeasurementSettings()):
                if stage.completes_point:
                    wanted |= dict.fromkeys([*stage.needs, stage])
    return list(wanted)


def paper(session: Session) -> None:
    """Carry out what is not done yet."""
    data = pinned_data(session)
    wanted = stages(data, 2, "preresnet8-w0.5")[:7] if session.tiny else stages(data, session.epochs)
    if session.case is not None:
        _work(session, wanted, **json.loads(session.case))
        return
    processes = session.processes or _best_number(session)
    running = [session.start("paper", {"processes": processes}) for _ in range(processes)]
    for process in running:
        try:
            said, _ = process.communicate(timeout=max(session.left, 1))
        except subprocess.TimeoutExpired:
            process.kill()
            said = "it did not end"
        if process.wait():
            print(f"A process failed: {said[-2000:]}")
    done = _done(session)
    print(f"{len(done)} of {len(wanted)} stages done by {processes} processes; the same command goes on.")
    print_table(_cells(session), ["seed", "temperature", "density", "test_error", "lmc", "cka", "minutes"])


def _best_number(session: Session) -> int:
    found = [row for row in session.rows("trials") if "images_per_second" in row and row["precision"] == "float32"]
    return max(found, key=lambda row: row["images_per_second"])["processes"] if found else (2 if session.tiny else 4)


def _work(session: Session, wanted: Sequence[Stage], processes: int) -> None:
    """Do one stage after the other that nobody else does."""
    torch.set_num_threads(1)
    device, folder = session.place, session.work or session.out / "work"
    if device.type == "cuda" and processes > 1:
        torch.cuda.set_per_process_memory_fraction(GPU_MEMORY / processes)
    machine = Machine(LocalFolder(folder), device, gpu_share=1 / processes)
    while session.left > SAVING_SECONDS and len(done := _done(session)) < len(wanted):
        for stage in wanted:
            if stage.id in done or not _can_begin(stage, folder, done):
                continue
            with _alone(folder / "locks" / "-".join(stage.id)) as is_mine:
                if is_mine and stage.id not in _done(session):
                    _carry_out(session, stage, machine)
                    break
        else:
            time.sleep(0.5)


def _carry_out(session: Session, stage: Stage, machine: Machine) -> None:
    """Do a stage, or stop in time with what is done so far in a checkpoint."""
    execution, started, longest = stage.execute(machine), time.monotonic(), 0.0
    while session.left > SAVING_SECONDS + longest:
        began = time.monotonic()
        try:
            next(execution)
        except StopIteration as end:
            row = {"kind": stage.kind, "key": stage.key, "stage": str(stage), "seed": stage.run.seed}
            row |= {"seconds": time.monotonic() - started, "rows": end.value}
            if stage.label is not None:
                row |= {"temperature": stage.label.temperature, "density": stage.label.load}
            session.append("paper", row)
            return
        longest = max(longest, time.monotonic() - began)
    execution.close()


def _can_begin(stage: Stage, folder: Path, done: set[tuple[str, str]]) -> bool:
    if isinstance(stage, PointStage):
        return (folder / dense_file(stage.run, stage.point.epoch)).exists()
    return all(need.id in done for need in stage.needs)


def _done(session: Session) -> set[tuple[str, str]]:
    return {(row["kind"], row["key"]) for row in session.rows("paper")}


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else holds this lock; it is free when its process ends, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _cells(session: Session) -> list[Row]:
    """A row for each point that is measured: means over siblings and pairs."""
    rows = session.rows("paper")
    points = {row["key"]: row for row in rows if row["kind"] == "point"}
    found = []
    for row in rows:
        point = points.get(row["key"].partition("-")[0])
        if row["kind"] == "measurement" and point is not None:
            runs, pairs = point["rows"]["runs"], row["rows"]["pairs"]
            cell = {name: row[name] for name in ("seed", "temperature", "density")}
            cell |= {name: sum(pair[name] for pair in pairs) / len(pairs) for name in ("lmc", "cka")}
            cell["test_error"] = sum(run["test_error"] for run in runs) / len(runs)
            found.append(cell | {"minutes": (point["seconds"] + row["seconds"]) / 60})
    return sorted(found, key=lambda cell: (cell["seed"], cell["temperature"], cell["density"]))
