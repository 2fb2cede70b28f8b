"""CPU and GPU compute the same, and a training goes on from one on the other.

Each test compares the CPU with another device. That is a GPU where there is one (``pytest -m gpu``); everywhere it is
the CPU once more, so that the tests themselves are known to work. Training on a GPU uses TensorFloat-32, so what is
compared is trained without it.
"""

import math

import pytest
import torch

from trainables.data import Outline, load
from trainables.measuring.comparison import PathStacks, path_evaluations
from trainables.measuring.metric import Models
from trainables.measuring.registry import METRICS
from trainables.measuring.settings import MeasurementSettings
from trainables.models import build
from trainables.pruning.magnitude import per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.stacks import memory
from trainables.stacks.choice import layout_of, step_seconds
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.stages import DenseRun, DenseStage, Label, Point, PointStage, finish
from trainables.stages.cost import StageCosts
from trainables.stages.dense import dense_file
from trainables.stages.machine import Machine
from trainables.stages.siblings import kept_siblings
from trainables.storage import artifacts
from trainables.storage.local_folder import LocalFolder
from trainables.tasks.evaluation import in_float32
from trainables.tasks.image_classification.task import ImageClassification, random_images
from trainables.training import resumable
from trainables.training.recipe import Recipe
from trainables.training.training import Training

CPU = torch.device("cpu")
MODEL = "preresnet8-w0.5"
RECIPE = Recipe(epochs=4, batch_size=64, lr=0.05, weight_decay=5e-3)
DENSE = DenseRun("digits", 0.7, MODEL, RECIPE, 1)
STAGE = PointStage(Point(DENSE, 2, 0.2, "magnitude-uniform", RECIPE), (1, 2, 3), Label("epochs", 2, "density", 0.2))
KINDS = [GroupedStack, SerialStack]

FEW_STEPS = 5e-3
"""Relative distance of weights after five steps. Sums in another order differ by 1e-7 of their size, and a net with
batch-norm makes that grow: weights that begin a millionth away from these are 7e-4 away after five steps, and 3e-3
after ten, on a CPU. Momentum or masks in disorder come to 0.1."""

WHOLE_TRAINING = 0.02
"""The same after four epochs, 28 steps."""

IMAGES_AT_A_BORDER = 2
"""Images that may have two classes as likely as each other up to rounding, and so may be counted as wrong or not."""

ROOM = 300 * 2**20
"""Bytes of a GPU that a trial is given to measure in: small, so that it is the budget that decides."""


@pytest.fixture(autouse=True)
def every_epoch_is_saved(monkeypatch):
    monkeypatch.setattr(resumable, "SAVING_SHARE", math.inf)


def start(device, kind=GroupedStack, recipe=RECIPE, models=2):
    torch.manual_seed(0)
    plain = build(MODEL, 1, 10)
    masks = per_layer(prunable_weights(plain), 0.3)
    task = ImageClassification(load("digits", 0.8), device)
    seeds = [("retrain", seed) for seed in range(models)]
    return Training(kind(plain, models).to(device), recipe, task, seeds, masks)


def flat(state):
    return torch.cat([tensor.flatten().double().cpu() for tensor in state.values()])


def distance(found, expected):
    """Of two state dictionaries, as a share of the second."""
    return float((flat(found) - flat(expected)).norm() / flat(expected).norm())


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_on_another_device_becomes_the_same(other, kind):
    here, there = start(CPU, kind), start(other, kind)
    with in_float32():
        here.run_epoch()
        there.run_epoch()
    assert there.losses == pytest.approx(here.losses, rel=FEW_STEPS)
    for ours, theirs in zip(there.stack.states(), here.stack.states(), strict=True):
        assert ours.keys() == theirs.keys()
        assert distance(ours, theirs) < FEW_STEPS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["vgg13-w0.0625", "densenet10-k4", "mobilenet-v1-w0.125", "resnet8-w0.5"])
def test_every_architecture_computes_the_same_on_another_device(name, kind, other):
    torch.manual_seed(0)
    plain, images = build(name, 3, 10), torch.randn(2, 8, 3, 32, 32)
    found = []
    for device in (CPU, other):
        stack = kind(plain, 2).to(device).train()
        with in_float32():
            logits = torch.stack(list(stack(images.to(device))))
            logits.square().mean().backward()
        gradients = {name: parameter.grad for name, parameter in stack.named_parameters()}
        found.append((logits.detach().cpu(), gradients))
    assert torch.allclose(found[1][0], found[0][0], rtol=1e-3, atol=1e-3)
    assert distance(found[1][1], found[0][1]) < FEW_STEPS


def test_the_same_device_twice_gives_the_same(other, monkeypatch):
    """To the last bit where cuDNN may not add gradients in whatever order they come."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    first, second = start(other), start(other)
    for training in (first, second):
        training.run_epoch()
    assert first.losses == second.losses
    assert all(map(torch.equal, first.stack.module.state_dict().values(), second.stack.module.state_dict().values()))


def test_errors_connectivity_and_similarity_are_the_same(other):
    trained = start(CPU)
    trained.run_epoch()
    states, images = trained.stack.states(), len(load("digits", 0.8).train)
    settings = MeasurementSettings(path_points=5, cka_images=200)
    found = []
    for device in (CPU, other):
        task = ImageClassification(load("digits", 0.8), device)
        stack = task.stack(MODEL, 2)
        stack.load(states)
        models = Models(MODEL, states, task)
        values = {name: next(iter(metric.measure(models, [(0, 1)], settings))) for name, metric in METRICS.items()}
        found.append((task.errors(stack, "train"), values["lmc"]["path_errors"], values["cka"]["cka"]))
    for theirs, ours in zip(*found, strict=True):
        tolerance = IMAGES_AT_A_BORDER / images if isinstance(ours, list) else 1e-4
        assert ours == pytest.approx(theirs, abs=tolerance)


@pytest.mark.parametrize("begins_here", [True, False])
def test_a_dense_training_goes_on_on_another_device(begins_here, other, tmp_path):
    """From what is kept of an epoch, and from what was written when it was stopped in between."""
    folders = [LocalFolder(tmp_path / name) for name in ("straight", "moved")]
    devices = (CPU, other) if begins_here else (other, CPU)
    with in_float32():
        finish(DenseStage(DENSE, (1, 4)).execute(Machine(folders[0], CPU)))
        finish(DenseStage(DENSE, (1,)).execute(Machine(folders[1], devices[0])))
        stopped = DenseStage(DENSE, (1, 4)).execute(Machine(folders[1], devices[1]))
        while next(stopped).epochs < 2:
            pass
        stopped.close()
        finish(DenseStage(DENSE, (1, 4)).execute(Machine(folders[1], devices[0])))
    kept = [artifacts.load(folder, dense_file(DENSE, 4)) for folder in folders]
    assert kept[1]["attempt"]["training"]["epoch"] == 4
    assert distance(kept[1]["model"], kept[0]["model"]) < WHOLE_TRAINING


@pytest.mark.parametrize("begins_here", [True, False])
def test_retraining_goes_on_on_another_device(begins_here, other, tmp_path):
    folders = [LocalFolder(tmp_path / name) for name in ("straight", "moved")]
    devices = (CPU, other) if begins_here else (other, CPU)
    with in_float32():
        for folder in folders:
            finish(DenseStage(DENSE, (2,)).execute(Machine(folder, CPU)))
        finish(STAGE.execute(Machine(folders[0], CPU)))
        stopped = STAGE.execute(Machine(folders[1], devices[0]))
        while next(stopped).epochs < 2:
            pass
        stopped.close()
        finish(STAGE.execute(Machine(folders[1], devices[1])))
    straight, moved = (kept_siblings(folder, STAGE.key) for folder in folders)
    for seed in STAGE.seeds:
        assert all(map(torch.equal, straight[seed]["masks"].values(), moved[seed]["masks"].values()))
        assert distance(moved[seed]["model"], straight[seed]["model"]) < WHOLE_TRAINING


def test_measuring_takes_no_more_memory_than_a_trial_is_given(other):
    share = 1.0
    if other.type == "cuda":
        share = ROOM / torch.cuda.get_device_properties(other).total_memory
    room = memory.activation_budget(other, share)
    task = ImageClassification(random_images(Outline(0, 0, 32, 32, 3, 10), 128), other, room)
    name, settings = "preresnet8", MeasurementSettings(path_points=11)
    task.errors(task.stack(name, 1), "train")  # data and what cuDNN keeps are not measuring's
    states = [task.stack(name, 1).states()[0] for _ in range(2)]
    start, end = ({key: tensor.cpu() for key, tensor in state.items()} for state in states)
    at_once = task.models_at_once(name, settings.path_points, settings.batch_norm_batch_size)
    before = 0
    if other.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    stacks = PathStacks(lambda count: task.stack(name, count), at_once)
    [(errors, losses)] = path_evaluations(stacks, [start, end], [(0, 1)], task, settings)
    assert len(errors) == len(losses) == settings.path_points
    if other.type == "cuda":
        assert torch.cuda.max_memory_allocated() - before < ROOM


def test_trying_leaves_the_random_numbers_of_a_device_alone(other):
    def numbers():
        return torch.cuda.get_rng_state() if other.type == "cuda" else torch.get_rng_state()

    plain, task = build(MODEL, 1, 10), ImageClassification(load("digits", 0.8), other)
    stack, before = GroupedStack(plain, 2), numbers()
    layout_of(plain, task.example_inputs, other)
    assert step_seconds(stack, task.example_inputs, other) > 0
    assert torch.equal(numbers(), before)


def test_evaluation_does_without_tensorfloat_and_training_with_it(other):
    """Rounding to the 10 bits of TensorFloat-32 is 1e-4 of such sums; to float32's 23 it is below 1e-6."""
    torch.manual_seed(0)
    layer, images = torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(64, 64, 32, 32)
    exact = layer.double()(images.double())
    layer, images = layer.float().to(other), images.to(other)

    def off():
        return float((layer(images).double().cpu() - exact).norm() / exact.norm())

    with torch.no_grad(), in_float32():
        assert off() < 1e-5
    with torch.no_grad():
        assert (off() > 1e-5) == (other.type == "cuda")


def test_bfloat16_trains_in_about_the_same_way(other):
    here, there = (start(device, recipe=Recipe(4, 64, 0.05, precision="bfloat16")) for device in (CPU, other))
    for training in (here, there):
        training.run_epoch()
    assert {parameter.dtype for parameter in there.stack.parameters()} == {torch.float32}
    assert there.losses == pytest.approx(here.losses, rel=0.05)


def test_what_work_costs_can_be_measured(other):
    costs = StageCosts(other)
    assert costs.training(DENSE, RECIPE, 1, 2) > 0
    assert costs.evaluation(DENSE, 2) > 0
