import re
import sys

import numpy as np
import pytest
import torch

from trainables.data import DataSet, Images, load
from trainables.fit import check_fit
from trainables.models import build, check_name, pin, with_width

SOURCE = """
from torch import nn

def flat(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.ReLU(), nn.Linear(7, classes))

def keywords(channels, num_classes=3):
    return nn.Conv2d(channels, num_classes, 1)

def anything(**options):
    return nn.Linear(2, options["num_classes"])

def nothing():
    return nn.Identity()

def no_module(classes):
    return [classes]

def fails():
    raise RuntimeError("no weights today")

def lazy(classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes), nn.Linear(classes, classes))

def linear(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))

def wrong_size(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(65, 7), nn.Linear(7, classes))

def wrong_classes(channels):
    return nn.Sequential(nn.Conv2d(channels, 4, 8), nn.Flatten(), nn.Linear(4, 11))

NUMBER = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of the user's own, in the folder where the command is typed."""
    (tmp_path / "mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "mine.py"
    sys.modules.pop("mine", None)


@pytest.mark.parametrize(
    ("function", "shape"), [("flat", (5, 7)), ("keywords", (5, 2, 1, 1)), ("anything", (5, 2)), ("nothing", None)]
)
def test_functions_are_given_what_they_take(mine, function, shape):
    model = build(pin(f"mine:{function}"), channels=2, classes=5)
    if shape:
        assert tuple(list(model.parameters())[-2].shape) == shape


def test_a_pin_follows_the_source(mine):
    first = pin("mine:flat")
    assert re.fullmatch("mine:flat#[0-9a-f]{12}", first)
    assert pin(first) == first == pin("mine:flat")
    check_name(first)
    mine.write_text(
        SOURCE.replace("Linear(64, 7)", "Linear(64, 9)").replace("Linear(7, classes)", "Linear(9, classes)")
    )
    del sys.modules["mine"]
    assert pin("mine:flat") != first
    with pytest.raises(ValueError, match="source of mine:flat is not what it was"):
        build(first, 1, 10)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine:absent", "module 'mine' has no function 'absent'"),
        ("mine:NUMBER", "has no function 'NUMBER'"),
        ("absent_module:f", "module 'absent_module' of model absent_module:f cannot be imported"),
        ("mine:", "has no function ''"),
    ],
)
def test_functions_that_are_not_there(mine, name, said):
    with pytest.raises(ValueError, match=said):
        pin(name)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("no_module", "returned list, which is no torch.nn.Module"),
        ("fails", "mine:fails failed: RuntimeError: no weights today"),
        ("lazy", "lazy layers"),
        ("linear", "so nothing of it can be pruned"),
        ("wrong_size", "cannot take images of 8x8 pixels with 1 channel .RuntimeError"),
        ("wrong_classes", r"its output has shape \(4, 11\) instead of \(4, 10\)"),
    ],
)
def test_models_that_do_not_fit_are_told_before_anything_trains(mine, function, said):
    with pytest.raises(ValueError, match=said):
        check_fit(pin(f"mine:{function}"), load("digits", 0.1))


def test_models_that_fit(mine):
    for name in (pin("mine:flat"), "preresnet8", "mobilenet-v1-w0.25"):
        check_fit(name, load("digits", 0.1))


def test_images_too_small_for_a_model():
    with pytest.raises(ValueError, match="model vgg16-bn: it cannot take images of 8x8 pixels"):
        check_fit("vgg16-bn", load("digits", 0.1))


def test_trying_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    check_fit("preresnet8", load("digits", 0.1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_width_cannot_be_put_on_a_users_model():
    with pytest.raises(ValueError, match="the width of model mine:flat cannot be set"):
        with_width("mine:flat#123", 2.0)


def test_torchvisions_models():
    name = pin("torchvision.models:resnet18")
    assert sum(p.numel() for p in build(name, 3, 10).parameters()) == 11_181_642
    images = Images(np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, np.int64))
    check_fit(name, DataSet(images, images[:0], images, 10, (0.0,) * 3, (1.0,) * 3, 0, False))
