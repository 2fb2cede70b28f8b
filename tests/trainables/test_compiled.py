"""Code that torch really compiles, for a tiny net: it computes what torch does, and is there again for the next."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from support import PATIENCE, ROOT

from trainables.execution import ways
from trainables.stacks.stack import SerialStack
from trainables.tasks import lookalike_task
from trainables.training.recipe import Recipe
from trainables.training.training import Training

pytestmark = pytest.mark.slow

MODEL, DATA = "preresnet8-w0.25", "digits"
RECIPE = Recipe(epochs=4, batch_size=32, lr=0.05)
ROUNDING = {"rtol": 2e-3, "atol": 2e-4}
"""Of losses and weights after a few dozen steps, which amplify what each step rounds."""


def start(way, recipe=RECIPE):
    """Two models, one after the other, on 200 images that look like digits; the last batch of an epoch has 8."""
    task = lookalike_task(DATA, torch.device("cpu"), 200)
    torch.manual_seed(0)
    stack = SerialStack(task.model(MODEL), 2 - bool(recipe.rho))
    ways.begin(way, stack, {})
    return Training(stack, recipe, task, [("retrain", seed) for seed in range(stack.models)])


def train(training, epochs):
    for _ in range(epochs):
        training.run_epoch()
    assert ways.problem_of(training.stack) is None
    return training


def assert_alike(one, other):
    torch.testing.assert_close(torch.tensor(one.losses), torch.tensor(other.losses), **ROUNDING)
    for ours, theirs in zip(one.stack.states(), other.stack.states(), strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], **ROUNDING)


def codes():
    """How many were compiled in this process."""
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, rho=0.05)], ids=["sgd", "sam"])
def test_it_trains_what_torch_does_and_is_compiled_once(recipe):
    before = codes()
    compiled = train(start("compiled", recipe), 4)
    assert codes() - before <= 1 + bool(recipe.rho)  # not for each model, epoch or size of a batch
    again = train(start("compiled", recipe), 1)
    assert codes() - before <= 1 + bool(recipe.rho)
    assert_alike(compiled, train(start("plain", recipe), 4))
    assert_alike(again, train(start("plain", recipe), 1))


@pytest.mark.parametrize("first", ["plain", "compiled"])
def test_a_checkpoint_goes_on_in_either_way(first):
    half = train(start(first), 2).state_dict()
    resumed = start("compiled" if first == "plain" else "plain")
    resumed.load_state_dict(half)
    assert_alike(train(resumed, 2), train(start("plain"), 4))


CODE = """
import torch
from trainables.execution.chooser import Chooser
from torch._dynamo.utils import counters
from trainables.tasks import lookalike_task
from trainables.training.recipe import Recipe
from trainables.training.training import Training

task = lookalike_task("digits", torch.device("cpu"), 64)
training = Training(task.stack("preresnet8-w0.25", 1), Recipe(batch_size=32), task, [("dense", 1)])
chooser = Chooser("on")
print(chooser.settle(training, "preresnet8-w0.25", "digits"))
training.run_epoch()
print(*chooser.notes)
print(counters["inductor"]["fxgraph_cache_hit"], "found")
"""


def elsewhere(folder, **environment):
    """What a process says of which the compiled code is kept in a folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TORCHINDUCTOR_CACHE_DIR": str(folder)} | environment
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_process_finds_what_was_compiled(tmp_path):
    assert elsewhere(tmp_path) == "float32, compiled\n\n0 found\n"
    assert elsewhere(tmp_path) == "float32, compiled\n\n2 found\n"  # the forward and the backward pass


def test_without_a_compiler_it_trains_as_torch_does_and_says_so(tmp_path):
    way, note, found = elsewhere(tmp_path, CXX="/nonexistent", CC="/nonexistent", PATH="/nonexistent").splitlines()
    assert way == "float32, plain"
    assert note.count("is trained as torch computes it, not compiled: ") == 1
    assert note.endswith(": there is no C++ compiler (install g++ or clang++, or name one in CXX).")
    assert found == "0 found"
