"""Which precision trains faster on this machine."""

import math
from dataclasses import replace

import torch

from trainables.data import outline
from trainables.execution import ways
from trainables.execution.chooser import case_of, said
from trainables.execution.here import one_at_a_time
from trainables.execution.timings import Timing, Timings
from trainables.execution.trial import STEPS, Trial
from trainables.pruning.prunable import random_masks
from trainables.tasks import lookalike_task
from trainables.training.recipe import Precision, Recipe
from trainables.training.training import Training

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

ROUNDS = 2
"""Precisions are measured by turns, so often; the fastest of each counts."""

CLEARLY_FASTER = 0.9
"""bfloat16 is chosen if a step takes at most so much of the time of one in float32."""


def faster_precision(
    model: str, data: str, recipe: Recipe, models: int, density: float | None, device: torch.device, timings: Timings
) -> tuple[Precision, str]:
    """The precision that trains pruned models faster, with as many threads as torch uses now.

    Kernels of our own, which leave out pruned weights, are in float32 alone.

    Args:
        model: Name of the architecture.
        data: Name of the data set, of which random images have the shape.
        recipe: How it is trained.
        models: In the stack.
        density: Of the models, where kernels of our own may be used; else None.
        device: Where.
        timings: What is known; what is measured is added.

    Returns:
        The precision, and a sentence for the user.
    """
    cases = {name: case_of(model, data, replace(recipe, precision=name), models, device) for name in PRECISIONS}
    with one_at_a_time():
        found = {name: timings.known(case) for name, case in cases.items()}
        way = ways.PLAIN if density is None else f"at density {density:g}"
        known = {name: own[way] for name, own in found.items() if way in own}
        is_known = len(known) == len(cases)
        if not is_known:
            known |= _measured(model, data, recipe, models, density, device)
            for name, case in cases.items():
                timings.add(case, {way: known[name]})
    float32, bfloat16 = (known[name].step_ms for name in PRECISIONS)
    chosen: Precision = "bfloat16" if bfloat16 <= CLEARLY_FASTER * float32 else "float32"
    when = "known from before" if is_known else "measured now"
    where = said(cases[chosen])
    return chosen, f"--precision auto: {where} (bfloat16 is {float32 / bfloat16:.3g} times as fast; {when})."


def _measured(
    model: str, data: str, recipe: Recipe, models: int, density: float | None, device: torch.device
) -> dict[Precision, Timing]:
    """Timings of steps in each precision."""
    task = lookalike_task(data, device, math.ceil(STEPS * outline(data).samples_in(recipe.batch_size)))
    trials: dict[Precision, Trial] = {}
    task.kernels = density is not None
    masks = random_masks(task.model(model), density or 1.0)
    for name in PRECISIONS:
        stack = task.stack(model, models, masks if name == "float32" else None)
        training = Training(stack, replace(recipe, precision=name), task, [("trial", 0)] * models, masks)
        trials[name] = Trial(training, model, masks)
    rounds = [{name: trial.timings([ways.PLAIN])[ways.PLAIN] for name, trial in trials.items()} for _ in range(ROUNDS)]
    return {name: min((found[name] for found in rounds), key=lambda timing: timing.step_ms) for name in PRECISIONS}
