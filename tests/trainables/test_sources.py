"""A user's model on a machine that does not have its files: another process, after they were moved away."""

import pickle
import subprocess
import sys

import pytest
from support import PATIENCE

from trainables.functions import sources
from trainables.functions.sources import MOST_BYTES
from trainables.models import pin

WORKERS = """
import os, pickle, sys
import torch  # once for all workers: it takes most of their time
from trainables.models import build
from trainables.functions.sources import install

for line in sys.stdin:
    if (worker := os.fork()):
        print(os.waitpid(worker, 0)[1], flush=True)
        continue
    folder, file = line.split()
    os.chdir(folder)
    name, shipped = pickle.load(open(file, "rb"))
    install(shipped)
    try:
        print(tuple(build(name, channels=1, classes=10)[-1].weight.shape), flush=True)
    except ValueError as error:
        print(error, flush=True)
    os._exit(0)
"""
MODEL = """
from torch import nn
from {helper} import hidden

def small(classes):
    import {late}
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden()), nn.Linear(hidden(), classes + {late}.MORE))
"""
HELPER = "def hidden(): return 7"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the command is typed; what is imported from it is forgotten afterwards."""
    (tmp_path / "typed").mkdir()
    monkeypatch.chdir(tmp_path / "typed")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "typed"
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in f"{vars(module).get('__file__')} {vars(module).get('__path__')}":
            del sys.modules[name]


@pytest.fixture
def files(folder):
    """Writes files into that folder."""

    def write(contents):
        for name, text in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    return write


@pytest.fixture(scope="module")
def workers():
    """Gives what a new process prints that builds a model in a folder."""
    forking = subprocess.Popen(
        [sys.executable, "-c", WORKERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )

    def printed(folder, file):
        forking.stdin.write(f"{folder} {file}\n")
        said = forking.stdout.readline()
        assert forking.stdout.readline() == "0\n", said
        return said.strip()

    yield printed
    forking.stdin.close()
    assert forking.wait(PATIENCE) == 0


@pytest.fixture
def on_a_worker(folder, workers, tmp_path):
    """Collects the sources of a model that is pinned, and builds it in another process, in another folder."""

    def build(name, prepare=lambda here, there: here.rename(there)):
        with open(tmp_path / "shipped", "wb") as file:
            pickle.dump((name, sources.sources([("model", name)])), file)
        (tmp_path / "worker").mkdir()
        prepare(folder, tmp_path / "moved")
        return workers(tmp_path / "worker", tmp_path / "shipped")

    return build


def built(name):
    """A model that is pinned and was built once, as a driver does to try it."""
    from trainables.models import build

    pinned = pin(name)
    build(pinned, channels=1, classes=10)
    return pinned


def test_a_module_and_what_it_imports_beside_it(files, on_a_worker):
    files(
        {"mymodels.py": MODEL.format(helper="myhelper", late="mylate"), "myhelper.py": HELPER, "mylate.py": "MORE = 1"}
    )
    assert on_a_worker(built("mymodels:small")) == "(11, 7)"


def test_a_package_with_relative_imports(files, on_a_worker):
    """One of its folders, parts, has no __init__.py."""
    relative = MODEL.format(helper=".parts.helper", late="pkg.late").replace("pkg.late.MORE", "2")
    files({"pkg/small.py": relative, "pkg/parts/helper.py": HELPER, "pkg/late.py": "", "pkg/__init__.py": ""})
    name = built("pkg.small:small")
    assert sources.sources([("model", name)]).keys() == {
        "pkg",
        "pkg.small",
        "pkg.parts",
        "pkg.parts.helper",
        "pkg.late",
    }
    assert on_a_worker(name) == "(12, 7)"


def test_a_function_of_a_package_itself(files, on_a_worker):
    files(
        {
            "pkg/small.py": MODEL.format(helper="pkg.helper", late="late"),
            "pkg/helper.py": HELPER,
            "pkg/__init__.py": "from pkg.small import small",
            "late.py": "MORE = 0",
        }
    )
    assert on_a_worker(built("pkg:small")) == "(10, 7)"


def test_the_sources_that_were_pinned_are_taken_whatever_is_there(files, on_a_worker, tmp_path):
    files(
        {"mymodels.py": MODEL.format(helper="myhelper", late="mylate"), "myhelper.py": HELPER, "mylate.py": "MORE = 1"}
    )

    def edited(here, there):
        for folder in (here, tmp_path / "worker"):  # where they came from, and first on the worker's path
            (folder / "mymodels.py").write_text("raise SystemExit('an older version')")
            (folder / "myhelper.py").write_text("def hidden(): return 9")

    assert on_a_worker(built("mymodels:small"), edited) == "(11, 7)"


def test_what_a_module_reads_beside_it_is_read_where_the_folder_is_there(files, folder, on_a_worker, tmp_path):
    """As on the machine of the driver. Elsewhere a sentence says what to do."""
    read = "from pathlib import Path\nMORE = int(Path(__file__).with_name('more.txt').read_text())"
    files({"mymodels.py": MODEL.format(helper="myhelper", late="mylate"), "myhelper.py": HELPER, "mylate.py": read})
    (folder / "more.txt").write_text("3")
    name = built("mymodels:small")
    assert on_a_worker(name, lambda here, there: None) == "(13, 7)"
    (tmp_path / "worker").rmdir()
    said = on_a_worker(name)
    assert said.startswith("mymodels:small failed (FileNotFoundError: ")
    assert said.endswith("put what else it reads and imports on every node")


def test_a_package_that_a_worker_lacks_is_said(files, on_a_worker, tmp_path):
    """An installed one, which is not taken along."""
    installed = tmp_path / "typed" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "installed_here.py").write_text(HELPER)
    sys.path.append(str(installed))
    files({"mymodels.py": MODEL.format(helper="installed_here", late="mylate"), "mylate.py": "MORE = 1"})
    name = built("mymodels:small")
    assert sources.sources([("model", name)]).keys() == {"mymodels", "mylate"}
    said = on_a_worker(name)
    assert "cannot be imported (ModuleNotFoundError: No module named 'installed_here'); workers are given" in said


def test_installed_models_and_our_own_have_no_sources(folder):
    (folder / "site-packages").mkdir()
    (folder / "site-packages" / "installed_models.py").write_text("def small(): pass")
    sys.path.append(str(folder / "site-packages"))
    names = ["installed_models:small", "torchvision.models:resnet18", "json:loads", "trainables.models.vgg:VGG"]
    assert sources.sources([("model", pin(name)) for name in names]) == {}


def test_a_folder_of_large_sources_is_refused(files):
    files({"mymodels.py": f"TABLE = '{'x' * MOST_BYTES}'\ndef small(): pass"})
    with pytest.raises(ValueError, match=r"model mymodels:small: the Python files .* from .*/typed have 10"):
        sources.sources([("model", pin("mymodels:small"))])


def test_installing_twice_is_installing_once(files, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    files({"mymodels.py": "def small(): pass"})
    shipped = sources.sources([("model", pin("mymodels:small"))])
    before = len(sys.meta_path)
    sources.install({})
    assert len(sys.meta_path) == before
    sources.install(shipped)
    sources.install(dict(shipped))
    assert len(sys.meta_path) == before + 1
