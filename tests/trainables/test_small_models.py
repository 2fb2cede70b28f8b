"""A linear model, a perceptron and a plain convolutional network go all the way of a point."""

import math

import pytest
import torch
from points import carry_out

from trainables.data import outline
from trainables.models.exported import FORMATS, Exported, plain_model
from trainables.stages import DenseRun, DenseStage, Label, MeasurementSettings, Point, PointStage, finish
from trainables.stages.cost import StageCosts, model_bytes
from trainables.stages.machine import Machine
from trainables.stages.siblings import kept_siblings
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

RECIPE = Recipe(epochs=3, batch_size=64, lr=0.05)


@pytest.mark.parametrize("model", ["linear", "mlp64-32", "conv8-8-8-8"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_siblings_are_trained_in_a_stack_measured_and_exported(model, optimizer, tmp_path):
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"))
    recipe = Recipe(epochs=3, batch_size=64, lr=0.05 if optimizer == "sgd" else 0.01, optimizer=optimizer)
    run = DenseRun("digits", 0.5, model, recipe, 1)
    point = PointStage(Point(run, 3, 0.5, "magnitude-uniform", recipe), (1, 2), Label("epochs", 3, "density", 0.5))
    (dense,) = finish(DenseStage(run, (3,)).execute(machine))["dense"]
    rows = carry_out(point, machine, MeasurementSettings(path_points=3))
    assert dense["test_error"] < 0.75
    for row in rows["runs"]:
        assert row["density"] == pytest.approx(0.5, abs=0.01)
        assert row["test_error"] < 0.75
    (pair,) = rows["pairs"]
    assert math.isfinite(pair["lmc"])
    assert 0 < pair["cka"] <= 1
    sibling = kept_siblings(machine.folder, point.key)[1]
    exported = Exported(model, sibling["model"], outline("digits"), {})
    images = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        assert plain_model(exported)(images).shape == (2, 10)
    if not FORMATS["onnx"].lacking:
        assert FORMATS["onnx"].encode(exported)


def test_what_they_cost_can_be_told():
    assert model_bytes("linear", "digits").prunable == 4 * 64 * 10
    assert model_bytes("mlp16-8", "digits").prunable == 4 * (64 * 16 + 16 * 8)
    costs = StageCosts(torch.device("cpu"))
    stage = DenseStage(DenseRun("digits", 0.5, "linear", RECIPE, 1), (3,))
    assert 0 < stage.seconds(costs) < 60
