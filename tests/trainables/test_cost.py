from dataclasses import replace

import pytest
import torch

from trainables.cost import StageCosts, kept_bytes, training_bytes
from trainables.execution import discard, execute, finish
from trainables.machine import Machine
from trainables.stages import DenseRun, DenseStage, Label, Measurement, Point, PointStage
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=64)
DENSE = DenseRun("digits", 0.9, "preresnet14", RECIPE, 1)
POINT = Point(DENSE, 1, 0.05, "magnitude-uniform", replace(RECIPE, epochs=1), Measurement(path_points=3))
STAGES = DenseStage(DENSE, (1, 2)), PointStage(POINT, (1, 2), Label("epochs", 1, "density", 0.05))


@pytest.mark.parametrize("keep", ["siblings", "best", "nothing"])
def test_disk_is_what_the_files_take(keep, tmp_path):
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"), keep=keep)
    for stage in STAGES:
        discard(stage, finish(execute(stage, machine)), machine)
    taken = sum(size for size, _ in machine.folder.files("").values())
    assert kept_bytes(dict.fromkeys(STAGES, 0), keep) == pytest.approx(taken, rel=0.2)  # files have heads, too


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


def test_disk_while_training_is_weights_and_momentum(tmp_path):
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"))
    finish(execute(STAGES[0], machine))
    for stage in STAGES:
        running = execute(stage, machine)
        next(running)
        running.close()
        files = machine.folder.files("training")
        if files:  # the dense model is done
            assert training_bytes(stage) == pytest.approx(sum(size for size, _ in files.values()), rel=0.2)
    assert files
