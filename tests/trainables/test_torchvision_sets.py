"""torchvision's data sets: fetched from a server on this machine, and the real thing where it is there."""

import gzip
import hashlib
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from trainables.data import CACHE, load
from trainables.data.torchvision_sets import PLACES, import_torchvision, load_images

REAL = Path(os.environ.get("THREE_REGIME_SWEEPS_DATA", CACHE)).expanduser()
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

LOAD = """
import sys
from trainables.data.torchvision_sets import import_torchvision, load_images
mnist = import_torchvision("torchvision.datasets").MNIST
mnist.mirrors, mnist.resources = [sys.argv[1]], eval(sys.argv[2])
train, test = load_images("MNIST", sys.argv[3])
print("loaded", len(train), len(test))
"""


@pytest.fixture
def served(tmp_path):
    """A server of small files in MNIST's format; what it was asked for, and a switch that makes it stall."""
    folder = tmp_path / "served"
    folder.mkdir()
    resources = []
    for name in NAMES:
        count = 40 if name.startswith("train") else 9
        images = np.arange(count * 784, dtype=np.uint8)
        header = struct.pack(">IIII", 2051, count, 28, 28) if "images" in name else struct.pack(">II", 2049, count)
        content = gzip.compress(header + (images if "images" in name else images[:count] % 10).tobytes())
        (folder / f"{name}.gz").write_bytes(content)
        resources.append((f"{name}.gz", hashlib.md5(content).hexdigest()))
    asked, stall = [], threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if stall.is_set() and len(asked) > 1:
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(b"half of it")
                time.sleep(60)
            super().do_GET()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", resources, asked, stall
    server.shutdown()


def loading(served, folder):
    url, resources = served[:2]
    command = [sys.executable, "-c", LOAD, url, repr(resources), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def mnist(served, monkeypatch):
    """torchvision's MNIST in this process, with those files."""
    of_torchvision = import_torchvision("torchvision.datasets").MNIST
    monkeypatch.setattr(of_torchvision, "mirrors", [served[0]])
    monkeypatch.setattr(of_torchvision, "resources", served[1])


def test_two_workers_download_once_and_read_the_same(served, tmp_path):
    workers = [loading(served, tmp_path / "cache") for _ in range(2)]
    said = ""
    for worker in workers:
        out, error = worker.communicate(timeout=120)
        assert "loaded 40 9" in out, error
        said += out
        assert ("%" in error) == ("Downloading" in out)  # progress
    assert said.count("Downloading MNIST") == 1
    assert set(served[2]) == {f"/{name}.gz" for name in NAMES}
    assert sorted(os.listdir(tmp_path / "cache/MNIST/raw")) == sorted(NAMES)
    assert not list((tmp_path / "cache").glob(".MNIST-*"))


def test_a_download_that_is_killed_leaves_nothing_that_looks_like_data(served, mnist, tmp_path, capsys):
    served[3].set()
    worker = loading(served, tmp_path / "cache")
    deadline = time.monotonic() + 60
    while len(served[2]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert not (tmp_path / "cache/MNIST").exists()
    served[3].clear()
    assert list((tmp_path / "cache").glob(".MNIST-*"))  # what is left is swept up by the next
    train, test = load_images("MNIST", str(tmp_path / "cache"))
    assert (len(train), len(test)) == (40, 9)
    assert "Downloading MNIST" in capsys.readouterr().out
    assert not list((tmp_path / "cache").glob(".MNIST-*"))


def test_offline_one_sentence_says_where_files_go(tmp_path, monkeypatch):
    mnist = import_torchvision("torchvision.datasets").MNIST
    monkeypatch.setattr(mnist, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(ValueError, match=r"MNIST is not in .* and cannot be downloaded") as error:
        load_images("MNIST", str(tmp_path))
    said = str(error.value)
    assert f"put torchvision's files of it into {tmp_path}/MNIST/raw" in said
    assert "--data-folder" in said
    assert "\n" not in said
    assert not list(tmp_path.glob("MNIST*"))


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-50]), Path.unlink])
def test_damaged_files_are_told(mnist, tmp_path, damage):
    load_images("MNIST", str(tmp_path))
    damage(tmp_path / "MNIST/raw/train-images-idx3-ubyte")
    with pytest.raises(ValueError, match=r"MNIST in .*MNIST/raw is damaged or not whole .*; remove that folder"):
        load_images("MNIST", str(tmp_path))


def test_a_data_set_of_another_size_is_not_taken_for_it(mnist, tmp_path):
    load_images("MNIST", str(tmp_path))
    with pytest.raises(ValueError, match="MNIST has 60000 training images, but 40 were found"):
        load("MNIST", 0.1, str(tmp_path))


def test_svhns_files_are_read_channels_last_with_ten_as_zero(tmp_path, monkeypatch):
    from scipy.io import savemat

    svhn = import_torchvision("torchvision.datasets").SVHN
    splits = {}
    for split in ("train", "test"):
        pixels = np.random.default_rng(0).integers(256, size=(32, 32, 3, 6), dtype=np.uint8)
        (tmp_path / "SVHN").mkdir(exist_ok=True)
        path = tmp_path / "SVHN" / f"{split}_32x32.mat"
        savemat(path, {"X": pixels, "y": np.array([[10], [1], [2], [3], [9], [10]], np.uint8)})
        splits[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(svhn, "split_list", splits)
    train, test = load_images("SVHN", str(tmp_path))
    assert train.pixels.shape == test.pixels.shape == (6, 32, 32, 3)
    assert np.array_equal(train.pixels[4], pixels[..., 4])
    assert train.labels.tolist() == [0, 1, 2, 3, 9, 0]


def test_cifars_files_are_read(tmp_path, monkeypatch):
    import pickle

    cifar = import_torchvision("torchvision.datasets").CIFAR10
    folder = tmp_path / cifar.base_folder
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(4, 3, 32, 32), dtype=np.uint8)

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    batch = {"data": pixels.reshape(4, -1), "labels": [3, 1, 0, 9]}
    monkeypatch.setattr(cifar, "train_list", [write("data_batch_1", batch), write("data_batch_2", batch)])
    monkeypatch.setattr(cifar, "test_list", [write("test_batch", batch)])
    name, md5 = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(cifar, "meta", {"filename": name, "key": "label_names", "md5": md5})
    train, test = load_images("CIFAR10", str(tmp_path))
    assert (len(train), len(test)) == (8, 4)
    assert np.array_equal(test.pixels, pixels.transpose(0, 2, 3, 1))
    assert test.labels.tolist() == [3, 1, 0, 9]


def test_importing_torchvision_beside_any_torch():
    code = (
        "from trainables.data import torchvision_sets; "
        "print(torchvision_sets.import_torchvision('torchvision.models').resnet18 is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_torchvision_that_cannot_be_imported_is_one_sentence(tmp_path):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::other does not exist')")
    code = "from trainables.data.torchvision_sets import import_torchvision\n"
    code += "try: import_torchvision()\nexcept ValueError as error: print(error)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "operator torchvision::other does not exist); install a torchvision that fits torch" in done.stdout


@pytest.mark.skipif(not (REAL / PLACES["FashionMNIST"][1]).exists(), reason=f"no FashionMNIST/raw in {REAL}")
def test_real_fashion_mnist():
    data = load("FashionMNIST", 0.1, str(REAL))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [54_000, 6_000, 10_000]
    assert data.train.pixels.shape[1:] == (28, 28, 1)
    assert np.array_equal(np.bincount(data.test.labels), [1000] * 10)
    assert data.mean[0] / 255 == pytest.approx(0.2860, abs=1e-4)  # as published
    assert data.std[0] / 255 == pytest.approx(0.3530, abs=1e-4)
    small = load("FashionMNIST-14px-first6000", 0.0, str(REAL))
    first = load("FashionMNIST", 0.0, str(REAL)).train.pixels[17].astype(float)
    assert np.abs(small.train.pixels[17] - first.reshape(14, 2, 14, 2, 1).mean((1, 3))).max() <= 0.5
