"""Measuring the siblings of a point: each by itself, and each pair."""

import math
import time
from collections.abc import Generator, Sequence
from itertools import combinations
from typing import Any

from metrics.connectivity import linear_mode_connectivity
from metrics.sparsity import density, density_by_layer
from trainables.machine import Machine, task_of
from trainables.measuring.measurement import PathStacks, path_errors, similarities
from trainables.stages import PointStage, Rows
from trainables.training.progress import Progress

NOT_FINITE = "loss or weights not finite in epoch {} of {}"

Execution = Generator[Progress, None, Rows]
"""Gives progress after every epoch, and in the end returns the rows."""

Sibling = dict[str, Any]
"""What is kept of a sibling: seed, seeds of its stack, model, masks, epoch of divergence or 0, errors, seconds."""


def measure(stage: PointStage, siblings: Sequence[Sibling], machine: Machine) -> Execution:
    """Give the rows of a point's siblings and pairs; progress after each pair."""
    point, measurement = stage.point, stage.point.measurement
    task = task_of(point.dense, machine)
    started = time.perf_counter()
    stack = task.stack(point.dense.model, len(siblings))
    stack.load([sibling["model"] for sibling in siblings])
    train_errors = task.errors(stack, "train")
    places = list(combinations(range(len(siblings)), 2))
    ckas = similarities(stack, places, task, measurement)
    common_seconds = (time.perf_counter() - started) / len(places)
    model = point.dense.model
    at_once = task.models_at_once(model, measurement.path_points, measurement.batch_norm_batch_size)
    path = PathStacks(lambda models: task.stack(model, models), at_once)
    pairs = []
    for (first, second), cka in zip(places, ckas, strict=True):
        started = time.perf_counter()
        ends = siblings[first], siblings[second]
        failed = _message(*ends)
        states = ends[0]["model"], ends[1]["model"]
        curve = [] if failed else path_errors(path, *states, task, measurement)
        if any(map(math.isnan, curve)):
            failed = "outputs not finite on the path"
        pairs.append(
            {
                "point": point.key,
                "first_seed": ends[0]["seed"],
                "second_seed": ends[1]["seed"],
                "status": "diverged" if failed else "ok",
                "message": failed,
                "lmc": math.nan if failed else linear_mode_connectivity(curve),
                "cka": math.nan if failed else cka,
                "path_errors": curve,
                "seconds": common_seconds + time.perf_counter() - started,
            }
        )
        yield Progress(point.retrain.epochs, point.retrain.epochs)
    runs = [
        {
            "point": point.key,
            "retrain_seed": sibling["seed"],
            "status": "diverged" if (failed := _message(sibling)) else "ok",
            "message": failed,
            "train_error": math.nan if failed else train_error,
            "validation_error": math.nan if failed else sibling["validation_error"],
            "test_error": math.nan if failed else sibling["test_error"],
            "density": density(sibling["masks"]),
            "density_by_layer": density_by_layer(sibling["masks"]),
            "stack": sibling["stack"],
            "losses": sibling["losses"],
            "seconds": sibling["seconds"],
        }
        for sibling, train_error in zip(siblings, train_errors, strict=True)
    ]
    return {"pairs": pairs, "runs": runs}


def _message(*siblings: Sibling) -> str:
    """Why these siblings have no results, or nothing."""
    for sibling in siblings:
        if sibling["diverged"]:
            return NOT_FINITE.format(sibling["diverged"], f"retraining with seed {sibling['seed']}")
    return ""


def diverged_point(stage: PointStage, message: str) -> Rows:
    """Rows of a point whose dense model is not usable."""
    common = {"point": stage.point.key, "status": "diverged", "message": message, "seconds": 0.0}
    nothing: dict[str, Any] = {"density_by_layer": {}, "stack": [], "losses": []}
    nothing |= dict.fromkeys(("train_error", "validation_error", "test_error", "density"), math.nan)
    return {
        "pairs": [
            common | {"first_seed": first, "second_seed": second, "lmc": math.nan, "cka": math.nan, "path_errors": []}
            for first, second in combinations(stage.seeds, 2)
        ],
        "runs": [common | nothing | {"retrain_seed": seed} for seed in stage.seeds],
    }
