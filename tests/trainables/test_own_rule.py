"""Pruning rules of the user's own: what they are given, and what they may return."""

import pytest
import torch

from trainables.functions import pin
from trainables.pruning import PURPOSE
from trainables.pruning.packing import unpack_masks
from trainables.pruning.settings import PruningSettings
from trainables.stages import DenseRun, PruningRun, PruningStage, finish
from trainables.stages.machine import Machine
from trainables.stages.pruning import pruned_model
from trainables.storage.local_folder import LocalFolder
from trainables.tasks import lookalike_task
from trainables.training.recipe import Recipe

DENSE = DenseRun("digits", 0.7, "preresnet8-w0.5", Recipe(epochs=1, batch_size=64), 1)
CPU = torch.device("cpu")
SOURCE = """
import torch
from trainables.pruning.ranking import highest_of_all, highest_of_each

def magnitudes(weights, density):
    return highest_of_each({name: weight.abs_() for name, weight in weights.items()}, density)  # in place

def drawn(weights, density):
    return highest_of_each({name: torch.rand(weight.shape) for name, weight in weights.items()}, density)

def by_gradients(model, context, density):
    for part in context.loss_parts(model, 20):
        part.backward()
    named = dict(model.named_parameters())
    return highest_of_all({name: named[name].grad.abs() for name in context.weights}, density)

def counts(weights, density):
    return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}

def shapes(weights, density):
    return {name: torch.ones(3, dtype=torch.bool) for name in weights}

def floats(weights, density):
    return {name: torch.ones_like(weight) for name, weight in weights.items()}

def several(weights, density):
    return weights, density

def lists(weights, density):
    return {name: weight.tolist() for name, weight in weights.items()}

def fewer(weights, density):
    return {"conv.weight": torch.ones_like(weights["conv.weight"], dtype=torch.bool)}

def asks(weights, epoch):
    return {}

def broken(weights, density):
    raise RuntimeError("no masks today")

def earlier(context, density):
    return magnitudes(context.state_at(0), density)
"""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    (tmp_path / "own_rules.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)

    def of(function, densities=(0.5, 0.2)):
        return PruningStage(PruningRun(DENSE, 1, pin(f"own_rules:{function}", PURPOSE), PruningSettings()), densities)

    return of


def masks(stage, folder):
    machine = Machine(LocalFolder(folder), CPU)
    for each in (*stage.needs, stage):
        finish(each.execute(machine))
    return [unpack_masks(pruned_model(stage.pruning, each, machine.folder)["masks"]) for each in stage.densities]


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_rule_may_change_what_it_is_given_and_take_gradients(stage, tmp_path):
    half, fifth = masks(stage("magnitudes"), tmp_path / "a")
    assert all(not bool((fifth[name] & ~half[name]).any()) for name in half)
    (alone,) = masks(stage("magnitudes", (0.2,)), tmp_path / "b")
    assert same(fifth, alone)
    assert not same(masks(stage("by_gradients", (0.2,)), tmp_path / "a")[0], fifth)


def test_what_a_rule_draws_depends_on_the_dense_seed_alone(stage, tmp_path):
    torch.manual_seed(1)
    first = masks(stage("drawn"), tmp_path / "a")
    torch.manual_seed(2)
    second = masks(stage("drawn"), tmp_path / "b")
    assert all(map(same, first, second))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("counts", "own_rules:counts kept 19144 weights, and density 0.5 is 9572 of them"),
        (
            "shapes",
            "rule own_rules:shapes: its mask for blocks.0.conv1.weight has shape (3,) and type bool, not (8, 8, 3, 3)",
        ),
        ("floats", "has shape (8, 8, 3, 3) and type float32, not (8, 8, 3, 3) and bool"),
        ("several", "own_rules:several returned tuple, which is no dictionary of masks"),
        ("lists", "own_rules:lists returned a list as the mask for conv.weight"),
        ("fewer", "pruning rule own_rules:fewer gives no mask for blocks.0.conv1.weight"),
        ("asks", "own_rules:asks takes epoch; what it may take is weights, density, context and model"),
        ("broken", "own_rules:broken failed (RuntimeError: no masks today)"),
        ("earlier", "own_rules:earlier asks for the dense model after 0 epochs"),
    ],
)
def test_what_is_wrong_is_known_before_anything_trains(function, said, stage):
    with pytest.raises(ValueError, match="own_rules") as error:
        stage(function).check(lookalike_task("digits", CPU, 64))
    assert said in str(error.value)


def test_good_ones_pass_the_same_check(stage):
    for function in ("magnitudes", "drawn", "by_gradients"):
        stage(function).check(lookalike_task("digits", CPU, 64))
