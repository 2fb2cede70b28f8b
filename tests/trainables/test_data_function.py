"""A user's function that returns training and test images, as data."""

import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from trainables.data import check_name, content_name, load, outline, pin, short_name, training_samples
from trainables.functions import OwnFunction
from trainables.functions.sources import sources
from trainables.stages import DenseRun
from trainables.training.recipe import Recipe

SOURCE = """
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

from myhelper import grey, labels

CALLS = []
x, y = {"train": grey(6), "test": grey(4)}, {"train": labels(6), "test": labels(4)}
SPLITS = ("train", "test")

def arrays():
    CALLS.append(1)
    return tuple((x[split], y[split]) for split in SPLITS)

def listed():  # as torch's random_split returns them
    return list(arrays())

def channels_last():
    return tuple((x[split][..., None], y[split].astype(np.uint8)) for split in SPLITS)

def lists():
    return [(list(x[split]), y[split].tolist()) for split in SPLITS][0], arrays()[1], 2

def named():
    return {f"x_{split}": x[split] for split in SPLITS} | {f"y_{split}": y[split] for split in SPLITS}

def items(split):
    return [(Image.fromarray(image), int(label)) for image, label in zip(x[split], y[split])]

def images():
    return {split: items(split) for split in SPLITS}

def dicts():
    train = [{"img": image, "label": label, "coarse_label": 9} for image, label in items("train")]
    return {"train": train, "test": [{"image": image, "label": label} for image, label in items("test")], "classes": 2}

def tensors():
    return tuple((torch.from_numpy(x[split]), torch.from_numpy(y[split])) for split in SPLITS)

class Own(Dataset):
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return len(x[self.split])

    def __getitem__(self, index):
        image = torch.from_numpy(x[self.split][index]).float().div(255)[None]
        return image, torch.tensor(y[self.split][index])

def data_sets():
    return Own("train"), Own("test")

def in_folder(data_folder):
    return arrays() if data_folder.endswith("/cache") else None

# What is of no use.

class Stream(IterableDataset):
    def __iter__(self):
        yield from items("train")

class Random(Own):
    def __getitem__(self, index):
        return torch.randint(256, (1, 4, 6)).to(torch.uint8), 0

def returns(train):
    return lambda: (train, (x["test"], y["test"]))

def fails(): raise OSError("not\\nreachable")
def none(): return None
def one(): return (1,)
def wrong_keys(): return {"training": 1, "validation": 2}
def wrong_classes(): return (*arrays(), "two")
def fewer_classes(): return (*arrays(), 1)
def text_label(): return (x["train"], list("aabbab")), arrays()[1]
huge = returns((x["train"], [2**70] * 6))
too_large = returns((x["train"], [0, 1, 0, 1, 2, 5]))
lengths = returns((x["train"], y["train"][:5]))
stream = returns(Stream())
random = returns(Random("train"))
empty = returns([])
three = returns([(1, 2, 3)] * 6)
no_label = returns([{"image": image, "fine": label} for image, label in items("train")])
paths = returns([("a.png", 0)] * 6)
integers = returns((x["train"].astype(np.int64), y["train"]))
floats = returns((x["train"].astype(np.float32), y["train"]))
normalised = returns((x["train"] / 255 - 0.5, y["train"]))
first = returns((np.zeros((6, 3, 8, 8), np.uint8), y["train"]))
last = returns((torch.zeros(6, 8, 8, 3, dtype=torch.uint8), y["train"]))
four = returns((np.zeros((6, 8, 8, 4), np.uint8), y["train"]))
sizes = returns([(np.zeros((4 + index % 2, 6), np.uint8), index % 2) for index in range(6)])
class OfTorchvision(torch.Tensor): __module__ = "torchvision.tv_tensors"
def subclassed(image): return torch.as_tensor(np.array(image))[None].as_subclass(OfTorchvision)
subclass = returns([(subclassed(image), label) for image, label in items("train")])
def opened(): return [(Image.open("half.png"), 0)] * 6, arrays()[1]
breaks = returns(type("Breaks", (), {"__len__": lambda own: 6, "__getitem__": lambda own, at: 1 / 0})())
"""
HELPER = """
import numpy as np

def grey(number):
    return np.random.default_rng(number).integers(256, size=(number, 4, 6), dtype=np.uint8)

def labels(number):
    return np.arange(number) % 2
"""


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes the user's module, in the folder where the command is typed; gives it once it is imported."""
    (tmp_path / "typed").mkdir()
    monkeypatch.chdir(tmp_path / "typed")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "typed" / "mine.py").write_text(SOURCE)
    (tmp_path / "typed" / "myhelper.py").write_text(HELPER)
    Image.fromarray(np.random.default_rng(0).integers(256, size=(40, 60), dtype=np.uint8)).save("half.png")
    half = (tmp_path / "typed" / "half.png").read_bytes()
    (tmp_path / "typed" / "half.png").write_bytes(half[: len(half) // 2])
    yield lambda: sys.modules["mine"]
    for name in ("mine", "myhelper"):
        sys.modules.pop(name, None)


def test_what_a_function_returns_is_the_data(mine, cache):
    name = pin("mine:arrays", cache)
    assert re.fullmatch(r"mine:arrays#6\+4-4x6x1-2-[0-9a-f]{20}", name)
    check_name(name)
    data = load(name, 0.0, cache)
    for split in ("train", "test"):
        assert np.array_equal(getattr(data, split).pixels[..., 0], mine().x[split])
        assert np.array_equal(getattr(data, split).labels, mine().y[split])
    assert outline(name).__dict__ == {"train": 6, "test": 4, "height": 4, "width": 6, "channels": 1, "classes": 2}
    assert training_samples(name, 0.5) == 3
    assert short_name(name) == "mine:arrays"


@pytest.mark.parametrize(
    "function",
    ["listed", "channels_last", "lists", "named", "images", "dicts", "tensors", "subclass", "data_sets", "in_folder"],
)
def test_the_same_images_are_the_same_data_in_whatever_form(mine, cache, function):
    assert content_name(pin(f"mine:{function}", cache)) == content_name(pin("mine:arrays", cache))


def test_a_folder_with_the_same_images_is_the_same_data(mine, cache, tmp_path):
    pin("mine:arrays", cache)
    for labels in mine().y.values():
        labels.sort()  # as those of a folder come
    for split in ("train", "test"):
        for index, (image, label) in enumerate(mine().items(split)):
            place = tmp_path / "folder" / split / f"class-{label}"
            place.mkdir(parents=True, exist_ok=True)
            image.save(place / f"{index}.png")
    folder, function = pin(str(tmp_path / "folder"), cache), pin("mine:arrays", cache)
    assert content_name(folder) == content_name(function)


def test_classes_that_are_said_need_not_all_be_there(mine, cache):
    name = pin("mine:dicts", cache)
    mine().dicts = lambda: {"train": mine().items("train"), "test": mine().items("test"), "classes": 5}
    more = pin("mine:dicts", cache)
    assert (outline(name).classes, outline(more).classes) == (2, 5)
    assert content_name(more) != content_name(name)
    assert load(more, 0.0, cache).classes == 5


def test_images_are_brought_to_a_size(mine, cache):
    sizes = {outline(pin(f"mine:{function}", cache, 3)) for function in ("arrays", "images", "data_sets")}
    (one,) = sizes
    assert (one.height, one.width, one.channels) == (3, 3, 1)


def test_data_that_changed_are_other_data(mine, cache):
    name = pin("mine:arrays", cache)
    mine().x["train"][0] += 1
    assert content_name(pin("mine:arrays", cache)) != content_name(name)


def test_a_machine_calls_the_function_only_if_it_has_not_what_it_returned(mine, cache, tmp_path):
    name = pin("mine:arrays", cache)
    assert len(mine().CALLS) == 1
    load(name, 0.0, cache)
    assert len(mine().CALLS) == 1
    shutil.rmtree(tmp_path / "cache")
    assert np.array_equal(load(name, 0.0, cache).train.pixels[..., 0], mine().x["train"])
    load(name, 0.0, cache)
    assert len(mine().CALLS) == 2
    mine().x["test"][0] += 1
    with pytest.raises(ValueError, match="mine:arrays gives other images here than when the sweep was made"):
        load(name, 0.0, str(tmp_path / "elsewhere"))


def test_names_are_read_without_importing_the_module(mine, cache):
    name = pin("mine:arrays", cache)
    del sys.modules["mine"]
    load(name, 0.0, cache), outline.__wrapped__(name), content_name(name), short_name(name), check_name(name)
    run = DenseRun(name, 0.0, "preresnet8", Recipe(epochs=1), 1)
    assert run.key
    assert "mine" not in sys.modules


def test_sources_of_data_go_to_workers_like_those_of_a_model(mine, cache):
    name = pin("mine:arrays", cache)
    run = DenseRun(name, 0.0, "preresnet8", Recipe(epochs=1), 1)
    assert run.functions == (OwnFunction("data", name),)
    assert sources(run.functions).keys() == {"mine", "myhelper"}
    del sys.modules["mine"], sys.modules["myhelper"]
    assert pin(name, cache) == name  # of a sweep that is replayed
    assert sources(run.functions).keys() == {"mine", "myhelper"}


def test_a_file_or_folder_with_a_colon_is_no_function(tmp_path):
    hashed = f"{'0' * 20}"
    for data in (f"{tmp_path}/a:b.npz#10-{hashed}", f"{tmp_path}/a:b#6+4-4x6x1-2-{hashed}"):
        assert DenseRun(data, 0.0, "preresnet8", Recipe(epochs=1), 1).functions == ()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("absent", "module 'mine' .* has no function 'absent' for data mine:absent"),
        ("fails", "mine:fails failed .OSError: not reachable"),
        ("none", "mine:none returned a NoneType; it returns .train, test., .train, test, classes., or a dict"),
        ("one", "mine:one returned a tuple of 1; it returns"),
        ("wrong_keys", "returned a dict with 'training', 'validation'; it returns"),
        ("wrong_classes", "something else than a number of classes"),
        ("fewer_classes", "something else than a number of classes"),
        ("text_label", "mine:text_label: train image 0 has the label 'a'; number the classes from 0"),
        ("huge", "train image 0 has the label 1180591620717411303424; number"),
        ("too_large", "no image of y_train has label 3"),
        ("lengths", "mine:lengths: train has 6 images, but 5 labels"),
        ("stream", "mine:stream: train is a Stream; it must be a sequence of examples that has a length"),
        ("random", "train image 0 is another image when it is asked for again; leave random changes"),
        ("empty", "mine:empty has no training images"),
        ("three", "mine:three: train example 0 is a tuple; an example is"),
        ("no_label", "train example 0 is a dict with 'image', 'fine'; an example is"),
        ("paths", "train image 0 is of type str, not an image of PIL, an array or a tensor"),
        ("integers", "train image 0 has type int64; it must be uint8, or float in"),
        ("floats", "train image 0 has type float32, and values that are not in .0, 1. in steps of 1/255"),
        ("normalised", "train image 0 has type float64, and values that are not"),
        ("first", "train image 0 has shape .3, 8, 8.; arrays are .height, width. or have 1 or 3 channels last"),
        ("last", "train image 0 has shape .8, 8, 3.; arrays are"),
        ("four", "train image 0 has shape .8, 8, 4.; arrays are"),
        ("sizes", "images differ in height x width, train image 0 has 4x6 and train image 1 5x6 pixels; bring them"),
        ("opened", "mine:opened: train image 0 cannot be decoded .*truncated"),
        ("breaks", "mine:breaks failed .ZeroDivisionError"),
    ],
)
def test_functions_that_return_something_else(mine, cache, function, said):
    with pytest.raises(ValueError, match=said) as error:
        pin(f"mine:{function}", cache)
    assert "\n" not in str(error.value)


def test_modules_that_are_not_there(mine, cache):
    with pytest.raises(ValueError, match=r"module 'mine/data.py' of data mine/data.py:arrays .* not a path"):
        pin("mine/data.py:arrays", cache)
    with pytest.raises(ValueError, match="mine:arrays is not pinned to its content"):
        check_name("mine:arrays")
