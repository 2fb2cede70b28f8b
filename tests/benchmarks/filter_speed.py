"""Measure what removing whole filters saves: ``python tests/benchmarks/filter_speed.py``.

Training steps of one model and inference on random images of 32x32 pixels on one core, as the service computes them,
and the bytes of the model as a file. All shares of filters are measured in turn, so that a noisy machine disturbs them
alike: the ratio to all filters within each turn is what counts. Of every group of layers the same share is kept, of
channels drawn at random. Prints a table, asserts nothing. ``--json FILE`` writes all numbers, too; names of models, as
``preresnet20``, measure these alone.
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.data import Outline
from trainables.kernels.native import processor
from trainables.pruning.channels import ChannelGroup, filters, highest_channels
from trainables.pruning.filters import channel_groups, pruned_filters
from trainables.stacks.stack import Stack
from trainables.tasks.image_classification.task import ImageClassification, random_images
from trainables.training.recipe import Recipe
from trainables.training.training import Training

MODELS = "preresnet20", "vgg13-bn", "mobilenet-v1"

SHARES = 1.0, 0.7, 0.5, 0.3, 0.1

STEPS, IMAGES = 2, 128

CPU = torch.device("cpu")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = Recipe(batch_size=128)
    versions = {name: version(name) for name in ("torch", "torch-pruning")}
    said = f"{processor()}, 1 core, {', '.join(' '.join(each) for each in versions.items())}, 32x32 pixels"
    print(f"{said}, batch {recipe.batch_size}, n = {options.turns} turns: median (least to most)\n")
    print("| model | share kept | filters | s a training step | of all filters' | images a second | of all filters' "
          "| bytes of the file | of all filters' | kernels of our own |\n" + "|---" * 10 + "|", flush=True)  # fmt: skip
    rows = [row for model in options.models for row in measured(model, recipe, options.turns)]
    if options.json:
        told = {"processor": processor(), "cores": 1, "batch": recipe.batch_size, "turns": options.turns} | versions
        options.json.write_text(json.dumps(told | {"rows": rows}, indent=1))


def measured(model: str, recipe: Recipe, turns: int) -> list[dict[str, Any]]:
    """Measure a model at all shares, and print a line for each."""
    count = STEPS * recipe.batch_size
    task = ImageClassification(random_images(Outline(count, 0, 32, 32, 3, 10), count), CPU)
    plain = task.model(model)
    groups = channel_groups(plain, task.example_inputs(2))
    trainings, rows = [], []
    for share in SHARES:
        kept = highest_channels(even_scores(groups), share)
        state = pruned_filters(plain, groups, kept, task.example_inputs(2))
        stack = task.stack(model, 1, {}, state)
        stack.load([state])
        file = io.BytesIO()
        torch.save(state, file)
        trainings.append(Training(stack, recipe, task, [("retrain", 1)], {}))
        left = f"{sum(int(own.sum()) for own in kept)} of {filters(groups)}"
        rows.append({"model": model, "share": share, "filters": left, "bytes": len(file.getvalue()),
                     "kernels": stack.has_kernels, "train": [], "images": []})  # fmt: skip
    images = task.example_inputs(IMAGES)
    for turn in range(turns + 1):
        for row, training in zip(rows, trainings, strict=True):
            started = time.perf_counter()
            training.run_epoch()
            trained = time.perf_counter()
            outputs(training.stack, images)
            ended = time.perf_counter()
            if turn > 0:  # the first turn warms up
                row["train"].append((trained - started) / STEPS)
                row["images"].append(IMAGES / (ended - trained))
    full = rows[0]
    for row in rows:
        steps, ratios = spread(row["train"], 4), spread(divided(row["train"], full["train"]), 2)
        speeds, gains = spread(row["images"], 0), spread(divided(row["images"], full["images"]), 2)
        own = f"{row['bytes']:,} | {row['bytes'] / full['bytes']:.3f} | {'yes' if row['kernels'] else 'no'}"
        place = f"{row['model']} | {row['share']:g} | {row['filters']}"
        print(f"| {place} | {steps} | {ratios} | {speeds} | {gains} | {own} |", flush=True)
    return rows


def even_scores(groups: Sequence[ChannelGroup]) -> list[Tensor]:
    """Scores that keep the same share of every group, drawn at random."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.randperm(group.channels, generator=generator) + 0.5) / group.channels for group in groups]


@torch.no_grad()
def outputs(stack: Stack, images: Tensor) -> None:
    """Compute a model's outputs as measuring does."""
    stack.eval()(images[None])
    stack.train()


def divided(values: Sequence[float], by: Sequence[float]) -> list[float]:
    """Ratios within each turn."""
    return [value / other for value, other in zip(values, by, strict=True)]


def spread(values: Sequence[float], digits: int) -> str:
    """Median, and the least and the most."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
