from dataclasses import replace

import pytest
import torch

from trainables.attempt import Machine
from trainables.cost import StageCosts, kept_bytes, training_bytes
from trainables.execution import discard, execute, finish
from trainables.stages import DenseRun, DenseStage, Label, Measurement, Point, PointStage
from trainables.storage.local_folder import LocalFolder
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=64)
DENSE = DenseRun("digits", 0.9, "preresnet14", RECIPE, 1)
POINT = Point(DENSE, 1, 0.05, "magnitude-uniform", replace(RECIPE, epochs=1), Measurement(path_points=3))
STAGES = DenseStage(DENSE, (1, 2)), PointStage(POINT, (1, 2), Label("epochs", 1, "density", 0.05))


def with_optimizer(name):
    run = replace(DENSE, recipe=replace(RECIPE, optimizer=name))
    point = replace(POINT, dense=run, retrain=replace(POINT.retrain, optimizer=name))
    return replace(STAGES[0], run=run), replace(STAGES[1], point=point)


@pytest.mark.parametrize(
    ("keep", "optimizer"), [("siblings", "sgd"), ("best", "sgd"), ("nothing", "sgd"), ("siblings", "adamw")]
)
def test_disk_is_what_the_files_take(keep, optimizer, tmp_path):
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"), keep=keep)
    stages = with_optimizer(optimizer)
    for stage in stages:
        discard(stage, finish(execute(stage, machine)), machine)
    taken = sum(size for size, _ in machine.folder.files("").values())
    assert kept_bytes(dict.fromkeys(stages, 0), keep) == pytest.approx(taken, rel=0.2)  # files have heads, too


def test_siblings_that_are_kept_cost_no_training_and_no_disk_again():
    costs = StageCosts(torch.device("cpu"))
    costs._step = lambda run, recipe, models: 100.0 * models
    costs._evaluation = lambda run, models: 0.0
    point = replace(STAGES[1], seeds=(1, 2, 3))
    seconds = [costs.seconds(point, kept) for kept in (0, 2, 3)]
    assert seconds == pytest.approx([seconds[0], seconds[0] / 3, 0])
    one, three = kept_bytes({point: 2}, "siblings"), kept_bytes({point: 0}, "siblings")
    assert 3 * one > three > 2 * one
    assert kept_bytes({point: 2}, "nothing") == 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_disk_while_training_is_weights_and_what_the_optimizer_keeps(optimizer, tmp_path):
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"))
    stages = with_optimizer(optimizer)
    finish(execute(stages[0], machine))
    for stage in stages:
        running = execute(stage, machine)
        next(running)
        running.close()
        files = machine.folder.files("training")
        if files:  # the dense model is done
            assert training_bytes(stage) == pytest.approx(sum(size for size, _ in files.values()), rel=0.2)
    assert files
