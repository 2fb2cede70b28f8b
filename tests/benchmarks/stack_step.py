"""Measure what a sibling's training step costs grouped and one by one: ``python tests/benchmarks/stack_step.py``.

Steps of three siblings on random images on one core, both kinds of stack in turn, so that a noisy machine disturbs both
alike. The ratio within each turn is what counts. Prints, asserts nothing. This is what
``trainables.stacks.choice.LARGEST_GROUPED_ON_CPU`` was chosen by.
"""

import platform
import statistics
import time
from importlib.metadata import version

import numpy as np
import torch

from trainables.batches import TrainingBatches
from trainables.data import DataSet, Images
from trainables.models import build
from trainables.stacks.choice import layout_of, stack_kind
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.training.recipe import Recipe
from trainables.training.training import Training

CASES = (
    ("preresnet8-w0.5", 8, 1),
    ("preresnet8-w0.5", 14, 1),
    ("preresnet8-w0.5", 28, 1),
    ("preresnet20", 8, 1),
    ("preresnet20", 14, 1),
    ("preresnet20", 32, 3),
    ("preresnet20-w2", 8, 1),
    ("vgg11-bn-w0.25", 32, 3),
    ("densenet22-k12", 32, 3),
    ("mobilenet-v1-w0.5", 32, 3),
)
"""Model, side and channels of the images."""

SIBLINGS, STEPS, TURNS = 3, 4, 7


def main() -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    recipe = Recipe()
    random = np.random.default_rng(0)
    print(f"{platform.machine()}, 1 core, torch {version('torch')}, batch {recipe.batch_size}, {TURNS} turns")
    for model, side, channels in CASES:
        count = STEPS * recipe.batch_size
        pixels = random.integers(256, size=(count, side, side, channels), dtype=np.uint8)
        images = Images(pixels, random.integers(10, size=count))
        data = DataSet(images, images[:0], images, 10, (127.0,) * channels, (74.0,) * channels, 1, False)
        batches = TrainingBatches(data, torch.device("cpu"))
        plain = build(model, channels, 10)
        seeds = [("retrain", seed) for seed in range(SIBLINGS)]
        trainings = [Training(kind(plain, SIBLINGS), recipe, batches, seeds) for kind in (GroupedStack, SerialStack)]
        turns = []
        for _ in range(TURNS + 1):
            taken = []
            for training in trainings:
                started = time.perf_counter()
                training.run_epoch()
                taken.append(1000 * (time.perf_counter() - started) / STEPS / SIBLINGS)
            turns.append(taken)
        ratios = [grouped / serial for grouped, serial in turns[1:]]  # the first warms up
        alone = statistics.median(serial for _, serial in turns[1:])
        shape, device = (channels, side, side), torch.device("cpu")
        kind = stack_kind(plain, shape, device, layout_of(plain, shape, device))
        chosen = "grouped" if kind is GroupedStack else "one by one"
        print(
            f"{model} on {side}x{side}: one by one {alone:.1f} ms a step and sibling; grouped takes "
            f"{statistics.median(ratios):.2f} of that ({min(ratios):.2f} to {max(ratios):.2f}); chosen: {chosen}",
            flush=True,
        )


if __name__ == "__main__":
    main()
