"""How many points an hour a card gives to so many processes that share it."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gpu_pieces.session import Session, memory_mib, print_table, synchronize
from gpu_pieces.steps import batches_without_end
from trainables.data import Outline
from trainables.pruning.magnitude import per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.memory import activation_budget
from trainables.tasks.image_classification.task import ImageClassification, random_images
from trainables.training.recipe import Recipe
from trainables.training.training import Training

PROCESSES = (1, 2, 4, 8, 16)
SIBLINGS, WARM, SECONDS = 3, 10, 15.0

GPU_MEMORY = 0.9
"""As of :mod:`trainables.trainable`, which imports Ray."""

START_SECONDS = 60
"""So long may processes take until all of them train; otherwise there is no more time for this number."""

POINT_IMAGES = SIBLINGS * 160 * 50_000
"""Images that the siblings of a point of ``paper-epochs`` are trained on. Measuring comes on top."""


def trials(session: Session) -> None:
    """Train in 1, 2, 4, ... processes at the same time."""
    if session.case is not None:
        _train(session, **json.loads(session.case))
        return
    for precision in ("float32", "bfloat16"):
        for processes in PROCESSES[:2] if session.tiny else PROCESSES:
            case = {"precision": precision, "processes": processes}
            if session.has("trials", case):
                continue
            if session.left < START_SECONDS + SECONDS:
                print("No time left; the same command goes on.")
                break
            row = _together(session, precision, processes)
            session.append("trials", case | row)
            print(json.dumps(case | row), flush=True)
    columns = ["precision", "processes", "images_per_second", "points_per_hour", "mib", "kinds", "start_seconds"]
    print_table(session.rows("trials"), [*columns, "problem"])


def _together(session: Session, precision: str, processes: int) -> dict[str, object]:
    """Images a second of so many processes together."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        case = {"processes": processes, "precision": precision, "folder": folder}
        running = [session.start("trials", case | {"number": number}) for number in range(processes)]
        try:
            while len(list(Path(folder).glob("ready-*"))) < processes:
                if any(process.poll() is not None for process in running) or time.monotonic() > started + START_SECONDS:
                    break
                time.sleep(0.05)
            ready_after = time.monotonic() - started
            (Path(folder) / "go").touch()
            said = [process.communicate(timeout=max(session.left, 1))[0] for process in running]
        except subprocess.TimeoutExpired:
            return {"problem": "a process did not end"}
        finally:
            for process in running:
                process.kill()
                process.wait()
    try:
        found = [json.loads(text.splitlines()[-1]) for text in said]
    except (ValueError, IndexError):
        return {"problem": next(text for text, process in zip(said, running, strict=True) if process.returncode)[-400:]}
    rate = sum(each["images"] / each["seconds"] for each in found)
    return {
        "images_per_second": rate,
        "points_per_hour": 3600 * rate / POINT_IMAGES,
        "mib": max(each["mib"] for each in found),
        "kinds": ", ".join(sorted({each["kind"] for each in found})),
        "start_seconds": ready_after,
    }


def _train(session: Session, number: int, processes: int, precision: str, folder: str) -> None:
    """Train as a trial does, from when all are ready, and print how many images it was."""
    torch.set_num_threads(1)
    device = session.place
    if device.type == "cuda" and processes > 1:
        torch.cuda.set_per_process_memory_fraction(GPU_MEMORY / processes)
    images = random_images(Outline(0, 0, 32, 32, 3, 10), 128 if session.tiny else 20_000)
    task = ImageClassification(images, device, activation_budget(device, 1 / processes))
    name = "preresnet8-w0.5" if session.tiny else "preresnet20"
    stack, masks = task.stack(name, SIBLINGS), per_layer(prunable_weights(task.model(name)), 0.2)
    recipe = Recipe(batch_size=8 if session.tiny else 64, precision=precision)  # type: ignore[arg-type]
    training = Training(stack.train(), recipe, task, [("retrain", seed) for seed in range(SIBLINGS)], masks)
    batches = batches_without_end(training)
    for _ in range(2 if session.tiny else WARM):
        training._step(next(batches))
    synchronize(device)
    (Path(folder) / f"ready-{number}").touch()
    deadline = time.monotonic() + START_SECONDS
    while not (Path(folder) / "go").exists():
        if time.monotonic() > deadline:
            sys.exit("the other processes are not ready")
        time.sleep(0.005)
    steps, started = 0, time.perf_counter()
    while time.perf_counter() < started + (0.5 if session.tiny else SECONDS):
        for _ in range(5):
            training._step(next(batches))
        steps += 5
        synchronize(device)  # or steps would only be queued
    seconds = time.perf_counter() - started
    row = {"images": steps * SIBLINGS * recipe.batch_size, "seconds": seconds, "mib": memory_mib(device)}
    print(json.dumps(row | {"kind": type(stack).__name__}))
