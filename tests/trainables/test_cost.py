from dataclasses import replace

import pytest
import torch
from points import measurement

from trainables.stages import DenseRun, DenseStage, Label, MeasurementSettings, Point, PointStage, finish
from trainables.stages.cost import StageCosts
from trainables.stages.machine import Machine
from trainables.storage.local_folder import LocalFolder
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=64)
DENSE = DenseRun("digits", 0.9, "preresnet14", RECIPE, 1)
POINT = PointStage(
    Point(DENSE, 1, 0.05, "magnitude-uniform", replace(RECIPE, epochs=1)), (1, 2), Label("epochs", 1, "density", 0.05)
)
STAGES = DenseStage(DENSE, (1, 2)), POINT, measurement(POINT, MeasurementSettings(path_points=3))


def with_optimizer(name):
    run = replace(DENSE, recipe=replace(RECIPE, optimizer=name))
    retrain = replace(POINT.point.retrain, optimizer=name)
    point = replace(POINT, point=replace(POINT.point, dense=run, retrain=retrain))
    return replace(STAGES[0], run=run), point, measurement(point, MeasurementSettings(path_points=3))


@pytest.mark.parametrize(
    ("keep", "optimizer"), [("siblings", "sgd"), ("best", "sgd"), ("nothing", "sgd"), ("siblings", "adamw")]
)
def test_disk_is_what_the_files_take(keep, optimizer, tmp_path):
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"), keep=keep)
    stages = with_optimizer(optimizer)
    for stage in stages:
        finish(stage.execute(machine))
        stage.discard(machine)
    taken = sum(size for size, _ in machine.folder.files("").values())
    assert sum(stage.kept_bytes(keep) for stage in stages) == pytest.approx(taken, rel=0.2)  # files have heads, too


def test_a_stage_costs_what_its_parts_do():
    costs = StageCosts(torch.device("cpu"))
    costs._step = lambda run, recipe, models, density: 100.0 * models
    costs.evaluation = lambda run, models, density=1.0: 0.0
    three, one = replace(POINT, seeds=(1, 2, 3)), replace(POINT, seeds=(3,))
    assert one.seconds(costs) == pytest.approx(three.seconds(costs) / 3)
    assert 3 * one.kept_bytes("siblings") > three.kept_bytes("siblings") > 2 * one.kept_bytes("siblings")
    assert one.kept_bytes("nothing") == 0


def test_measuring_costs_two_passes_at_every_position_and_the_sample_of_cka():
    costs = StageCosts(torch.device("cpu"))
    costs.evaluation = lambda run, models, density=1.0: 1.0 * models  # a second for each image and model
    train = costs.sizes(DENSE).train
    assert STAGES[2].seconds(costs) == pytest.approx(2 * train * 3 + 2 * train)
    only_cka = STAGES[2].with_parts([("cka", 1, 2)])
    assert only_cka.seconds(costs) == pytest.approx(2 * train)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_disk_while_training_is_weights_and_what_the_optimizer_keeps(optimizer, tmp_path):
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"))
    stages = with_optimizer(optimizer)
    finish(stages[0].execute(machine))
    for stage in stages[:2]:
        running = stage.execute(machine)
        next(running)
        running.close()
        files = machine.folder.files("training")
        if files:  # the dense model is done
            assert stage.running_bytes == pytest.approx(sum(size for size, _ in files.values()), rel=0.2)
    assert files
