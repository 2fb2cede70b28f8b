"""Masks that move while a model trains, against plain autograd."""

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.func import functional_call

from metrics.sparsity import density
from trainables.pruning.prunable import prunable_weights
from trainables.pruning.ranking import highest_of_all, highest_of_each
from trainables.pruning.schedules import cubic_density
from trainables.stages import DenseRun
from trainables.stages.machine import Machine, task_of
from trainables.storage.local_folder import LocalFolder
from trainables.tasks.random_numbers import random_stream
from trainables.training.masks import FeedbackMasks, GradualMasks, MovementMasks
from trainables.training.recipe import Recipe
from trainables.training.training import Training

NAME = "preresnet8-w0.5"
RUN = DenseRun("digits", 0.7, NAME, Recipe(), 1)
KINDS = [GradualMasks, FeedbackMasks, MovementMasks]
RECIPE = Recipe(epochs=3, batch_size=64, lr=0.1, milestones=(1 / 3,), weight_decay=1e-3)
FINAL, EVERY = 0.1, 4


@pytest.fixture(scope="module")
def task():
    return task_of(RUN, Machine(LocalFolder("nowhere"), torch.device("cpu")))


def begun(task, kind, choose=highest_of_each, recipe=RECIPE):
    torch.manual_seed(0)
    stack = task.stack(NAME, 1)
    steps = recipe.epochs * task.steps_per_epoch(recipe.batch_size)
    weights = prunable_weights(task.model(NAME))
    masks = kind(stack, weights, FINAL, steps, EVERY, choose)
    return Training(stack, recipe, task, [("test", 1)], masks), masks, steps


def kept(training, masks):
    """Weights that a pass would see now, by name."""
    masks.enter()
    state = training.stack.states()[0]
    masks.leave(0.0)
    return state


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("choose", [highest_of_each, highest_of_all])
def test_the_density_follows_the_cubic_to_the_end(kind, choose, task):
    training, masks, steps = begun(task, kind, choose)
    for epoch in range(1, RECIPE.epochs + 1):
        training.run_epoch()
        done = epoch * steps // RECIPE.epochs
        chosen = done if epoch == RECIPE.epochs else done // EVERY * EVERY
        state = kept(training, masks)
        found = density({name: state[name] != 0 for name in prunable_weights(training.stack.module)})
        assert found == pytest.approx(cubic_density(FINAL, chosen / steps), abs=1e-3)
    assert found == pytest.approx(FINAL, abs=1e-3)


def test_what_gradual_pruning_dropped_stays_dropped(task):
    training, _, _ = begun(task, GradualMasks)
    dropped = None
    for _ in range(RECIPE.epochs):
        training.run_epoch()
        state = training.stack.states()[0]
        now = {name: state[name] == 0 for name in prunable_weights(training.stack.module)}
        assert dropped is None or all(bool((now[name] | ~was).all()) for name, was in dropped.items())
        dropped = now


def test_feedback_lets_weights_come_back(task):
    training, masks, _ = begun(task, FeedbackMasks, recipe=replace(RECIPE, epochs=15, milestones=()))
    seen = []
    for _ in range(15):
        training.run_epoch()
        state = kept(training, masks)
        seen.append({name: state[name] != 0 for name in prunable_weights(training.stack.module)})
    assert any(bool((later[name] & ~earlier[name]).any()) for earlier, later in pairwise(seen) for name in later)
    assert all(bool((training.stack.states()[0][name] != 0).all()) for name in seen[0])  # they are all there


def straight_through(kind, weight, mask, score):
    """Value of the masked weight; gradients go to the weight, or to weight and score, as the methods say."""
    if kind is FeedbackMasks:
        return weight + (weight * mask - weight).detach()
    return weight * (mask + score - score.detach())


@pytest.mark.parametrize("kind", [FeedbackMasks, MovementMasks])
@pytest.mark.parametrize("clipping", [0.0, 0.5])
def test_steps_are_those_of_autograd_with_a_straight_through_estimator(kind, clipping, task):
    recipe = Recipe(epochs=1, batch_size=64, lr=0.1, weight_decay=1e-3, milestones=(), gradient_clipping=clipping)
    training, masks, steps = begun(task, kind, recipe=recipe)
    model = task.model(NAME).train()
    model.load_state_dict(training.stack.states()[0])
    training.run_epoch()

    names = list(prunable_weights(model))
    named = dict(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    kept_now = {name: torch.ones_like(named[name]) for name in names}
    scores = {name: torch.zeros_like(named[name], requires_grad=True) for name in names}
    for step, batch in enumerate(task.batches([random_stream("test", 1, 0)], 64), start=1):
        optimizer.zero_grad()
        masked = {name: straight_through(kind, named[name], kept_now[name], scores[name]) for name in names}
        logits = functional_call(model, {**named, **masked}, (batch.inputs[0],))
        F.cross_entropy(logits, batch.targets[0]).backward()
        if clipping:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clipping)
        optimizer.step()
        if kind is MovementMasks:
            with torch.no_grad():
                for score in scores.values():
                    score -= 0.1 * score.grad
                    score.grad = None
        if step % EVERY == 0 or step == steps:
            ranked = scores if kind is MovementMasks else {name: named[name].abs() for name in names}
            kept_now = highest_of_each({n: s.detach() for n, s in ranked.items()}, cubic_density(FINAL, step / steps))
    found = training.stack.states()[0]
    for name, parameter in named.items():
        assert torch.allclose(found[name], parameter, rtol=1e-3, atol=1e-4), name
    now = masks.pruned_to(FINAL)
    differing = sum(int((now[name] != kept_now[name]).sum()) for name in names)
    assert differing <= 0.002 * sum(mask.numel() for mask in now.values())


@pytest.mark.parametrize("kind", KINDS)
def test_masks_and_scores_are_state_that_resumes_exactly(kind, task):
    whole, before, _ = begun(task, kind)
    for _ in range(RECIPE.epochs):
        whole.run_epoch()
    first, _, _ = begun(task, kind)
    first.run_epoch()
    state = copy.deepcopy(first.state_dict())
    second, masks, _ = begun(task, kind)
    second.load_state_dict(state)
    for _ in range(RECIPE.epochs - 1):
        second.run_epoch()
    pairs = [(each.stack.states()[0], own.pruned_to(0.3)) for each, own in ((whole, before), (second, masks))]
    for found, expected in zip(*pairs, strict=True):
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_sam_leaves_pruned_weights_where_they_are(task, monkeypatch):
    """In its second pass, too: they have no part in the perturbation."""
    torch.manual_seed(0)
    stack = task.stack(NAME, 1)
    weights = prunable_weights(task.model(NAME))
    masks = highest_of_each({name: weight.abs() for name, weight in weights.items()}, 0.2)
    training = Training(stack, Recipe(epochs=1, batch_size=64, lr=0.05, rho=0.5), task, [("test", 1)], masks)
    seen, losses = [], task.losses

    def watched(*arguments):
        state = stack.states()[0]
        seen.append(max(float(state[name][~mask].abs().max()) for name, mask in masks.items()))
        return losses(*arguments)

    monkeypatch.setattr(task, "losses", watched)
    training.run_epoch()
    assert len(seen) == 2 * task.steps_per_epoch(64)
    assert set(seen) == {0.0}
