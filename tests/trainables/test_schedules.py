"""Every schedule at its start, the end of its warm-up, its middle and its end, and against torch's own."""

import math

import pytest
import torch

from trainables.training.recipe import Recipe
from trainables.training.schedules import SCHEDULES, learning_rate

STEPS = 200


def rates(schedule, warmup=0.0, **fields):
    """Learning rates of all steps of a schedule that counts in steps."""
    recipe = Recipe(lr=0.4, iterations=STEPS, schedule=schedule, warmup=warmup, **fields)
    return [learning_rate(recipe, done) for done in range(STEPS)]


@pytest.mark.parametrize(
    ("schedule", "warmup", "at"),
    [
        ("constant", 0.0, {0: 0.4, 100: 0.4, 199: 0.4}),
        ("constant", 0.25, {0: 0.0, 1: 0.008, 25: 0.2, 49: 0.392, 50: 0.4, 199: 0.4}),
        ("step", 0.0, {0: 0.4, 99: 0.4, 100: 0.04, 149: 0.04, 150: 0.004, 199: 0.004}),
        ("step", 0.25, {0: 0.0, 25: 0.2, 50: 0.4, 99: 0.4, 100: 0.04, 150: 0.004}),
        ("step", 0.6, {0: 0.0, 60: 0.02, 100: 0.04 * 100 / 120, 120: 0.04, 150: 0.004}),  # to what it is by then
        ("constant-linear", 0.0, {0: 0.4, 100: 0.4, 140: 0.4 * 0.505, 160: 0.4 * 0.2575, 180: 0.004, 199: 0.004}),
        ("constant-linear", 0.25, {0: 0.0, 25: 0.2, 50: 0.4, 100: 0.4, 140: 0.4 * 0.505, 180: 0.004}),
        ("constant-linear", 0.7, {0: 0.0, 70: 0.2 * 0.505, 140: 0.4 * 0.505, 180: 0.004}),
        ("cosine", 0.0, {0: 0.4, 50: 0.2 + 0.2 / math.sqrt(2), 100: 0.2, 150: 0.2 - 0.2 / math.sqrt(2)}),
        ("cosine", 0.5, {0: 0.0, 50: 0.2, 100: 0.4, 150: 0.2, 199: 0.2 * (1 + math.cos(math.pi * 0.99))}),
        (
            "inverse-square-root",
            0.25,
            {0: 0.0, 25: 0.2, 50: 0.4, 100: 0.4 / 2**0.5, 199: 0.4 * (50 / 199) ** 0.5},
        ),
    ],
)
def test_closed_forms(schedule, warmup, at):
    found = rates(schedule, warmup)
    assert {step: found[step] for step in at} == pytest.approx(at, abs=1e-12)


def of_torch(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler = make(optimizer)
    found = []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def after_warmup(optimizer, scheduler):
    rising = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 50)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [rising, scheduler], milestones=[50])


@pytest.mark.parametrize(
    ("schedule", "warmup", "make"),
    [
        ("cosine", 0.0, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS)),
        ("cosine", 0.25, lambda o: after_warmup(o, torch.optim.lr_scheduler.CosineAnnealingLR(o, 150))),
        ("constant", 0.25, lambda o: after_warmup(o, torch.optim.lr_scheduler.ConstantLR(o, 1.0))),
        ("step", 0.0, lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [100, 150])),
        ("step", 0.25, lambda o: after_warmup(o, torch.optim.lr_scheduler.MultiStepLR(o, [50, 100]))),
    ],
)
def test_they_are_those_of_torch(schedule, warmup, make):
    assert rates(schedule, warmup) == pytest.approx(of_torch(make), abs=1e-9)


def test_inverse_square_root_is_that_of_the_transformer():
    """Vaswani et al. 2017, equation 3, up to its factor: min(n^-0.5, n w^-1.5)."""
    published = [0.4 * math.sqrt(50) * min(n**-0.5 if n else math.inf, n * 50**-1.5) for n in range(STEPS)]
    assert rates("inverse-square-root", 0.25) == pytest.approx(published, abs=1e-12)


def test_inverse_square_root_needs_a_warmup():
    with pytest.raises(ValueError, match="inverse-square-root schedule falls from the end of its warm-up on"):
        rates("inverse-square-root")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_counted_in_epochs_it_goes_on_from_step_to_step(schedule):
    """Four epochs of 50 steps have the learning rates of 200 steps: epochs are counted in part."""
    recipe = Recipe(epochs=4, lr=0.4, schedule=schedule, warmup=0.3)
    found = [learning_rate(recipe, epoch + step / 50) for epoch in range(4) for step in range(50)]
    assert found == pytest.approx(rates(schedule, 0.3), abs=1e-12)


def test_step_decay_waits_for_a_whole_epoch():
    """Half of 5 epochs is rounded to 2, three quarters to 4."""
    recipe = Recipe(epochs=5, lr=1.0)
    done = [0, 1.98, 2, 2.5, 3.98, 4, 4.98]
    assert [learning_rate(recipe, each) for each in done] == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_step_decay_alone_has_exactly_the_rates_it_always_had():
    for epochs in range(1, 200):
        recipe = Recipe(epochs=epochs, lr=0.1)
        drops = round(0.5 * epochs), round(0.75 * epochs)
        for epoch in range(epochs):
            expected = 0.1 * 0.1 ** sum(epoch >= drop for drop in drops)
            assert {learning_rate(recipe, epoch + step / 7) for step in range(7)} == {expected}
