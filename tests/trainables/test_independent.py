"""What is measured, against an independent implementation: plain models one at a time, written from the definitions."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from points import carry_out

from trainables.data import ARRAYS, CACHE, Augmentation, load, pin
from trainables.models import build
from trainables.stages import DenseRun, DenseStage, Label, Point, PointStage, finish
from trainables.stages.machine import Machine
from trainables.stages.siblings import kept_siblings
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

CIFAR = Path(os.environ.get("THREE_REGIME_SWEEPS_DATA", CACHE)).expanduser() / "cifar10.npz"
RECIPE = Recipe(epochs=4, batch_size=64, lr=0.05)
LABEL = Label("epochs", 4, "density", 0.05)


def digits(folder):
    """The digits, where every model of a stack is computed together."""
    return DenseRun("digits", 0.7, "preresnet8-w0.5", RECIPE, 1)


def cifar(folder):
    """The first images of real CIFAR-10 and the paper's model, of which a CPU computes one after the other."""
    if not CIFAR.exists():
        pytest.skip(f"no {CIFAR}")
    with np.load(CIFAR) as arrays:
        few = {name: arrays[name][: 320 if "train" in name else 200] for name in ARRAYS}
    np.savez(folder / "few.npz", **few)
    return DenseRun(pin(str(folder / "few.npz")), 0.0, "preresnet20", RECIPE, 1, augmentation=Augmentation(4, True))


@pytest.mark.parametrize("source", [digits, cifar])
def test_errors_connectivity_and_similarity(source, tmp_path):
    dense = source(tmp_path)
    point = Point(dense, 4, 0.05, "magnitude-uniform", replace(RECIPE, epochs=1))
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"))
    finish(DenseStage(dense, (4,)).execute(machine))
    rows = carry_out(PointStage(point, (1, 2, 3), LABEL), machine)
    models = {seed: sibling["model"] for seed, sibling in kept_siblings(machine.folder, point.key).items()}

    data, everything = load(dense.data, dense.validation_fraction), load(dense.data, 0.0).train.pixels
    mean, std = everything.mean((0, 1, 2)), everything.std((0, 1, 2))

    def tensors(split):
        pixels = (split.pixels - mean) / std
        return torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32), torch.tensor(split.labels)

    (images, labels), test = tensors(data.train), tensors(data.test)
    order = np.random.default_rng(20230515).permutation(len(images))

    def model(state):
        made = build(dense.model, images.shape[1], 10)
        made.load_state_dict(state)
        return made

    def outputs(state, of=images):
        with torch.no_grad():
            return model(state).eval()(of)

    def loss(logits, truth):
        return float(torch.nn.functional.cross_entropy(logits.double(), truth))

    def on_the_line(start, end, position):
        """Error and loss."""
        on_line = model({name: (1 - position) * start[name] + position * end[name] for name in start})
        norms = [module for module in on_line.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        with torch.no_grad():
            for first in range(0, len(images), 64):
                batch = images[order[first : first + 64]]
                for norm in norms:
                    norm.momentum = len(batch) / (first + len(batch))
                on_line.train()(batch)
            logits = on_line.eval()(images)
            return float((logits.argmax(1) != labels).double().mean()), loss(logits, labels)

    for row in rows["runs"]:
        state = models[row["retrain_seed"]]
        for name, (of, truth) in (("train_error", (images, labels)), ("test_error", test)):
            wrong = outputs(state, of).argmax(1) != truth
            assert row[name] == pytest.approx(float(wrong.double().mean()), abs=1e-12)
        assert row["train_loss"] == pytest.approx(loss(outputs(state), labels), rel=1e-4)
        for name, share in row["density_by_layer"].items():
            size = state[name].numel()
            assert int(state[name].count_nonzero()) == size - round(0.95 * size) == round(share * size)
    for row in rows["pairs"]:
        start, end = models[row["first_seed"]], models[row["second_seed"]]
        curve, losses = zip(*(on_the_line(start, end, step / 10) for step in range(11)), strict=True)
        assert row["path_errors"] == pytest.approx(curve, abs=1e-3)
        assert row["path_losses"] == pytest.approx(losses, rel=1e-3)
        ends = (curve[0] + curve[-1]) / 2
        lmc = ends - curve[max(range(11), key=lambda index: abs(ends - curve[index]))]
        assert row["lmc"] == pytest.approx(lmc, abs=1e-3)
        x, y = (outputs(state).softmax(1).double() for state in (start, end))
        x, y = x - x.mean(0), y - y.mean(0)
        cka = (y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())
        assert row["cka"] == pytest.approx(float(cka), abs=1e-5)
    assert len(rows["pairs"]) == len(rows["runs"]) == 3
