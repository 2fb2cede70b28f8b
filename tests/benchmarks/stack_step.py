"""Measure what a sibling's training step costs in stacks of several sizes: ``python tests/benchmarks/stack_step.py``.

Epochs of the digits preset on one core, the sizes in turn, so that a noisy machine disturbs all alike. The ratio to a
stack of one, within each turn, is what counts. Prints, asserts nothing.
"""

import platform
import statistics
import time
from importlib.metadata import version

import torch

from sweeps.presets import PRESETS
from trainables.batches import TrainingBatches
from trainables.data import load
from trainables.models import build
from trainables.stack import Stack
from trainables.training import Training

SIZES = (1, 2, 3, 6, 12)
TURNS = 20


def main() -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    spec = PRESETS["digits"]
    batches = TrainingBatches(load(spec.data, spec.validation_fraction), torch.device("cpu"))
    recipe = spec.dense_run(1).recipe
    steps = -(-len(batches) // recipe.batch_size)
    trainings = [
        Training(Stack(build(spec.model, 1, 10), size), recipe, batches, [("retrain", seed) for seed in range(size)])
        for size in SIZES
    ]
    milliseconds: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(TURNS + 1):
        for size, training in zip(SIZES, trainings, strict=True):
            started = time.perf_counter()
            training.run_epoch()
            milliseconds[size].append(1000 * (time.perf_counter() - started) / steps / size)
    print(f"{platform.machine()}, 1 core, torch {version('torch')}, batch {recipe.batch_size}, {TURNS} epochs each")
    alone = milliseconds[1][1:]  # the first warms up
    for size in SIZES:
        each = milliseconds[size][1:]
        ratio = statistics.median(value / one for value, one in zip(each, alone, strict=True))
        print(
            f"stack of {size}: {statistics.median(each):.2f} ms a step and sibling "
            f"({min(each):.2f} to {max(each):.2f}), {ratio:.2f} of alone"
        )


if __name__ == "__main__":
    main()
