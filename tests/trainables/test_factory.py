import re
import sys

import pytest
import torch

from trainables.models import build, check_name, pin, with_width
from trainables.suitability import check_suitable
from trainables.tasks import lookalike_task

CPU = torch.device("cpu")
DIGITS = lookalike_task("digits", CPU)
SOURCE = """
from functools import partial
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

class Viewing(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 4, 3), nn.Linear(144, classes)

    def forward(self, x):
        x = self.conv(x)
        return self.linear(x.view(x.size(0), -1))

def viewing(classes):
    return Viewing(classes)

class HeadFirst(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head, self.hidden = nn.Linear(16, classes), nn.Linear(64, 16)

    def forward(self, x):
        return self.head(self.hidden(x.flatten(1)))

def head_first(classes):
    return HeadFirst(classes)

def saying(classes, **said):
    model = HeadFirst(classes)
    model.not_pruned = said["stays"]
    return model

head_named, no_such, of_text, everything = (
    partial(saying, stays=stays) for stays in (("head",), ("head", "tail"), "head", ("hidden", "head"))
)

def tied(classes):
    a, b = nn.Linear(64, 64), nn.Linear(64, 64)
    b.weight = a.weight
    return nn.Sequential(nn.Flatten(), a, b, nn.Linear(64, classes))

def normed(classes):
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 4, 8))
    return nn.Sequential(conv, nn.Flatten(), nn.Linear(4, classes))

class Bad(nn.Module):
    def __init__(self, classes, how):
        super().__init__()
        self.how, self.layers = how, nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.Linear(7, classes))
        self.extra = (n for n in range(3)) if how == "uncopied" else None

    def forward(self, x):
        assert self.how != "asserts", "28 pixels"
        if self.how == "only_training" and not self.training:
            raise NotImplementedError("not so")
        return (self.layers(x), x) if self.how == "two" else self.layers(x)

two, only_training, asserts, uncopied = (
    partial(Bad, how=how) for how in ("two", "only_training", "asserts", "uncopied")
)

def exits():
    raise SystemExit(3)

def sized(classes, width):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))

part = partial(sized, width=8)

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


def test_a_pin_follows_what_a_partial_is_made_of(mine):
    first = pin("mine:part")
    mine.write_text(SOURCE.replace("width=8", "width=9"))
    del sys.modules["mine"]
    assert pin("mine:part") != first


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine:absent", "module 'mine' .*/mine.py. has no function 'absent'"),
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
        ("fails", "mine:fails failed .RuntimeError: no weights today."),
        ("lazy", "lazy layers"),
        ("nothing", "it has no convolution and no linear layer, so nothing of it can be pruned"),
        ("wrong_size", "cannot be trained on images of 8x8 pixels with 1 channel .RuntimeError"),
        (
            "head_first",
            "head gives the output but hidden is its last linear layer, .*; assign head after all others, or",
        ),
        ("no_such", "its not_pruned names 'tail', which is none of its named_modules"),
        ("of_text", "its not_pruned is 'head'; make it a tuple"),
        ("everything", "its not_pruned leaves nothing of it that can be pruned; name fewer"),
        ("tied", "2.weight is shared or computed from others"),
        ("normed", "0.weight is shared or computed from others"),
        ("sized", "mine:sized failed .TypeError"),
        ("wrong_classes", r"its output has shape \(15, 11\) instead of shape \(15, 10\)"),
        ("two", "its output has type tuple instead of shape"),
        ("only_training", "cannot be trained on images of 8x8 pixels with 1 channel .NotImplementedError: not so"),
        ("asserts", "cannot be trained on images .*AssertionError: 28 pixels"),
        ("uncopied", "mine:uncopied cannot be trained on images .*TypeError: cannot pickle"),
        ("exits", "mine:exits failed .SystemExit: 3"),
    ],
)
def test_models_that_do_not_fit_are_told_before_anything_trains(mine, function, said):
    with pytest.raises(ValueError, match=said):
        check_suitable(pin(f"mine:{function}"), DIGITS, 15)


def test_models_that_fit(mine):
    for name in (
        pin("mine:flat"),
        pin("mine:viewing"),
        pin("mine:part"),
        pin("mine:linear"),
        pin("mine:head_named"),
        "preresnet8",
        "mobilenet-v1-w0.25",
    ):
        check_suitable(name, DIGITS, 15)


def test_images_too_small_for_a_model():
    check_suitable("conv4-4-4-4", DIGITS, 15)
    for name in ("vgg16-bn", "conv4-4-4-4-4"):
        with pytest.raises(ValueError, match=f"model {name} cannot be trained on images of 8x8 pixels with 1 channel"):
            check_suitable(name, DIGITS, 15)


def test_a_batch_too_small_for_a_model():
    """Its last feature maps are single pixels, of which batch-norm needs two."""
    check_suitable("mobilenet-v1-w0.25", DIGITS, 2)
    with pytest.raises(ValueError, match="cannot be trained on a batch of 1, the smallest that occurs"):
        check_suitable("mobilenet-v1-w0.25", DIGITS, 1)


def test_trying_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    check_suitable("preresnet8", DIGITS, 15)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_width_cannot_be_put_on_a_users_model():
    with pytest.raises(ValueError, match="the width of model mine:flat cannot be set"):
        with_width("mine:flat#123", 2.0)


def test_torchvisions_models():
    name = pin("torchvision.models:resnet18")
    assert sum(p.numel() for p in build(name, 3, 10).parameters()) == 11_181_642
    check_suitable(name, lookalike_task("CIFAR10-first64", CPU), 64)
