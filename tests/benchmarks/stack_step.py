"""Measure what a sibling's training step costs grouped and one by one: ``python tests/benchmarks/stack_step.py``.

Steps of three siblings on random images on one core, both kinds of stack in turn, so that a noisy machine disturbs both
alike. The ratio within each turn is what counts. Prints, asserts nothing. This is what
``trainables.stacks.choice.LARGEST_GROUPED_ON_CPU`` was chosen by.
"""

import platform
import statistics
import time
from importlib.metadata import version

import torch

from trainables.data import Outline
from trainables.stacks.choice import layout_of, stack_kind
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.tasks.image_classification.task import ImageClassification, random_images
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
    print(f"{platform.machine()}, 1 core, torch {version('torch')}, batch {recipe.batch_size}, {TURNS} turns")
    for model, side, channels in CASES:
        count = STEPS * recipe.batch_size
        device = torch.device("cpu")
        task = ImageClassification(random_images(Outline(count, 0, side, side, channels, 10), count), device)
        plain = task.model(model)
        seeds = [("retrain", seed) for seed in range(SIBLINGS)]
        trainings = [Training(kind(plain, SIBLINGS), recipe, task, seeds) for kind in (GroupedStack, SerialStack)]
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
        kind = stack_kind(plain, task.example_inputs, device, layout_of(plain, task.example_inputs, device))
        chosen = "grouped" if kind is GroupedStack else "one by one"
        print(
            f"{model} on {side}x{side}: one by one {alone:.1f} ms a step and sibling; grouped takes "
            f"{statistics.median(ratios):.2f} of that ({min(ratios):.2f} to {max(ratios):.2f}); chosen: {chosen}",
            flush=True,
        )


if __name__ == "__main__":
    main()
