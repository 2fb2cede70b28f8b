"""Measure what a sibling's training step costs, by ways of computing it: ``python tests/benchmarks/stack_step.py``.

Steps of siblings on random images on one core, all ways in turn, so that a noisy machine disturbs them alike. The
ratio within each turn is what counts. Prints, asserts nothing. First grouped and one by one, with torch's layers:
``trainables.stacks.choice.NARROW`` was chosen by it. Then our own kernels (:mod:`trainables.kernels`) at several
densities, in the kind of stack that is chosen: ``trainables.stacks.direct.LARGEST_DENSITY`` was chosen by it. Names of
models, as ``preresnet20``, measure these alone.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version

import torch
from torch import Tensor

from trainables.data import Outline
from trainables.kernels.native import library, processor
from trainables.stacks.choice import layout_of, stack_kind
from trainables.stacks.stack import GroupedStack, SerialStack, Stack
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
    ("vgg13-bn", 32, 3),
    ("densenet22-k12", 32, 3),
    ("mobilenet-v1-w0.5", 32, 3),
)
"""Model, side and channels of the images."""

DENSITIES = 0.05, 0.1, 0.2, 0.4, 1.0

SIBLINGS, STEPS, TURNS = 3, 4, 7

CPU = torch.device("cpu")


def main() -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    recipe = Recipe()
    print(f"{processor()}, 1 core, torch {version('torch')}, batch {recipe.batch_size}, {TURNS} turns")
    for model, side, channels in CASES:
        if sys.argv[1:] and model not in sys.argv[1:]:
            continue
        count = STEPS * recipe.batch_size
        task = ImageClassification(random_images(Outline(count, 0, side, side, channels, 10), count), CPU)
        plain = task.model(model)
        kind = stack_kind(plain, task.example_inputs, CPU, layout_of(plain, task.example_inputs, CPU))

        def training(stack: Stack, masks: dict[str, Tensor], task: ImageClassification = task) -> Training:
            return Training(stack, recipe, task, [("retrain", seed) for seed in range(stack.models)], masks)

        both = [training(each(plain, SIBLINGS), {}) for each in (GroupedStack, SerialStack)]
        alone, ratio = compared(both)
        chosen = "grouped" if kind is GroupedStack else "one by one"
        print(f"{model} on {side}x{side}: one by one {alone:.1f} ms a step and sibling; grouped takes {ratio} of that; "
              f"chosen: {chosen}", flush=True)  # fmt: skip
        for density in DENSITIES if library() is not None else ():
            masks = {name: torch.rand_like(own) < density for name, own in plain.named_parameters() if own.dim() == 4}
            own = kind(plain, SIBLINGS)
            own.use_kernels(masks)
            usual, ratio = compared([training(own, masks), training(kind(plain, SIBLINGS), masks)])
            print(f"  density {density}: {usual:.1f} ms; our kernels take {ratio} of that", flush=True)


def compared(trainings: Sequence[Training]) -> tuple[float, str]:
    """Milliseconds of a step and sibling of the second of two, and the time of the first as a share of that."""
    turns = []
    for _ in range(TURNS + 1):
        taken = []
        for training in trainings:
            started = time.perf_counter()
            training.run_epoch()
            taken.append(1000 * (time.perf_counter() - started) / STEPS / SIBLINGS)
        turns.append(taken)
    ratios = [first / second for first, second in turns[1:]]  # the first turn warms up
    median = statistics.median(second for _, second in turns[1:])
    return median, f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
