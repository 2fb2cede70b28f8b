import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from points import carry_out

from metrics.intrinsic_dimension import intrinsic_dimension
from trainables.data import content_name, load, normalisation, outline, own_crop_padding, pin, short_name
from trainables.data.images import DataSet, Images, channel_statistics
from trainables.data.manifold import random_manifold
from trainables.stages import DenseRun, DenseStage, Label, Point, PointStage, finish
from trainables.stages import data_dimension as columns
from trainables.stages.data_dimension import data_columns
from trainables.stages.machine import Machine
from trainables.storage.local_folder import LocalFolder
from trainables.tasks.image_classification import task as classification
from trainables.tasks.image_classification.task import ImageClassification
from trainables.training.recipe import Recipe

RECIPE = Recipe(epochs=1, batch_size=64, lr=0.05)
RUN = DenseRun("digits", 0.7, "preresnet8-w0.5", RECIPE, 1)
CPU = torch.device("cpu")
PIXELS, LABELS = [191.174, 210.079, 173.922], [6, 4, 2, 2, 5, 9, 6, 7, 3, 8]


@pytest.fixture
def own_file(tmp_path):
    """Images of 4x6 pixels in 3 colours, fewer than numbers of one."""
    random, path = np.random.default_rng(0), tmp_path / "images.npz"
    arrays = {
        f"x_{name}": random.integers(256, size=(n, 4, 6, 3), dtype=np.uint8) for name, n in (("train", 30), ("test", 9))
    }
    np.savez(path, **arrays, y_train=np.arange(30) % 3, y_test=np.arange(9) % 3)
    return path


def flat(images):
    return images.pixels.reshape(len(images), -1).astype(np.float64)


@pytest.mark.parametrize("dimension", [1, 7, 29])
def test_images_are_projected_on_the_principal_components_of_the_training_images(own_file, tmp_path, dimension):
    own = load(pin(str(own_file)), 0.0, str(tmp_path))
    found = load(pin(f"{own_file}-components{dimension}"), 0.0, str(tmp_path))
    mean = flat(own.train).mean(0)
    _, _, components = np.linalg.svd(flat(own.train) - mean, full_matrices=False)
    kept = components[:dimension]
    for split in ("train", "test"):
        expected = mean + (flat(getattr(own, split)) - mean) @ kept.T @ kept
        assert getattr(found, split).pixels.dtype == np.float32
        assert flat(getattr(found, split)) == pytest.approx(expected, abs=1e-4)
        assert np.array_equal(getattr(found, split).labels, getattr(own, split).labels)
    assert np.linalg.matrix_rank(flat(found.train) - flat(found.train).mean(0), tol=0.1) == dimension


def test_more_images_than_pixels_are_projected_in_the_same_way(tmp_path):
    own, found = (load(name, 0.0, str(tmp_path)) for name in ("digits", "digits-components5"))
    mean = flat(own.train).mean(0)
    _, _, components = np.linalg.svd(flat(own.train) - mean, full_matrices=False)
    expected = mean + (flat(own.test) - mean) @ components[:5].T @ components[:5]
    assert flat(found.test) == pytest.approx(expected, abs=1e-4)


def test_all_components_leave_images_as_they_are(tmp_path):
    own, found = (load(name, 0.1, str(tmp_path)) for name in ("digits", "digits-components64"))
    assert flat(found.train) == pytest.approx(flat(own.train), abs=1e-4)
    assert found.mean == pytest.approx(own.mean, abs=1e-4)
    assert found.std == pytest.approx(own.std, abs=1e-4)


@pytest.mark.parametrize("dimension", [1, 4, 16])
def test_a_random_manifold_looks_like_the_data_and_has_the_dimension(dimension, tmp_path):
    own, found = (load(name, 0.0, str(tmp_path)) for name in ("digits", f"digits-manifold{dimension}"))
    for split in ("train", "test"):
        assert getattr(found, split).pixels.shape == getattr(own, split).pixels.shape
        counts = np.bincount(getattr(found, split).labels, minlength=10) / len(getattr(own, split))
        assert (counts > 0.05).all()
        assert (counts < 0.2).all()
    assert (found.train.pixels >= 0).all()
    assert (found.train.pixels <= 255).all()
    assert 0.65 * dimension < intrinsic_dimension(found.train.pixels).dimension < 1.1 * dimension


def test_a_random_manifold_is_always_the_same():
    """Some of it is written down here: results are stored by the name alone."""
    like = replace(outline("digits"), train=50, test=10)
    once, again = (random_manifold(like, 3) for _ in range(2))
    for first, second in zip(once, again, strict=True):
        assert np.array_equal(first.pixels, second.pixels)
        assert np.array_equal(first.labels, second.labels)
    assert once[0].pixels[0, 0, :3, 0] == pytest.approx(PIXELS, abs=1e-3)
    assert once[0].labels[:10].tolist() == LABELS


def test_labels_of_a_random_manifold_can_be_told_from_its_images(tmp_path):
    data = load("digits-manifold2", 0.0, str(tmp_path))
    nearest = np.linalg.norm(flat(data.test)[:, None] - flat(data.train), axis=2).argmin(1)
    assert (data.train.labels[nearest] == data.test.labels).mean() > 0.9


def test_names(own_file, tmp_path):
    name = pin(f"{own_file}-components7")
    assert name == f"{pin(str(own_file))}-components7"
    assert pin(name) == name
    assert short_name(name) == "images.npz-components7"
    assert content_name(name) == f"{content_name(pin(str(own_file)))}-components7"
    assert short_name("digits-manifold3") == "digits-manifold3"
    assert outline(name) == outline(pin(str(own_file)))
    assert load("digits-first300-components9", 0.0, str(tmp_path)).train.pixels.shape == (300, 8, 8, 1)


def test_no_shift_or_mirroring_is_their_own(tmp_path):
    assert own_crop_padding("CIFAR10") == 4
    assert own_crop_padding("CIFAR10-components3") == own_crop_padding("CIFAR10-manifold3") == 0
    data = load("digits-components3", 0.0, str(tmp_path))
    assert (data.crop_padding, data.flip) == (0, False)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("digits-components65", "dimension 65 of 'digits-components65': it is from 1 to the smaller of 1297 training"),
        ("digits-manifold65", "and 64 numbers of an image"),
        ("digits-first20-components21", "it is from 1 to the smaller of 20 training images"),
        ("digits-components0", "dimension 0"),
        ("digits-components4-manifold3", "digits-components4-manifold3 has a dimension twice"),
        ("nothing-components4", "unknown data set 'nothing-components4'"),
        ("digits-nothing-components4", "unknown data set 'digits-nothing'"),
        ("absent.npz-components4", "absent.npz cannot be read"),
        ("digits-components", "unknown data set 'digits-components'"),
    ],
)
def test_other_names_are_refused_in_a_sentence(data, said):
    with pytest.raises(ValueError, match=said):
        pin(data)


def test_a_folder_may_have_such_a_name_itself(tmp_path):
    from PIL import Image

    place = tmp_path / "flowers-components4"
    for number, name in enumerate(("train/a", "train/b", "test/a", "test/b")):
        (place / name).mkdir(parents=True)
        for shade in range(6):
            pixels = np.random.default_rng(10 * number + shade).integers(256, size=(4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{shade}.png")
    whole = pin(str(place), str(tmp_path))
    assert load(whole, 0.0, str(tmp_path)).train.pixels.dtype == np.uint8
    fewer = pin(f"{place}-components2", str(tmp_path))
    assert fewer == f"{whole}-components2"
    assert load(fewer, 0.0, str(tmp_path)).train.pixels.dtype == np.float32
    assert normalisation(fewer, str(tmp_path)).mean == pytest.approx(normalisation(whole, str(tmp_path)).mean, abs=1e-4)


def test_images_are_made_once_on_a_machine_and_mapped(tmp_path, monkeypatch):
    first = load("digits-components3", 0.0, str(tmp_path))
    monkeypatch.setattr("trainables.data.dimension.projected", lambda *_: pytest.fail("made again"))
    again = load("digits-components3", 0.0, str(tmp_path))
    assert np.array_equal(first.train.pixels, again.train.pixels)
    with pytest.raises(pytest.fail.Exception, match="made again"):
        load("digits-components4", 0.0, str(tmp_path))


def test_statistics_of_channels_that_are_no_bytes():
    pixels = np.random.default_rng(0).normal(100, 30, size=(2000, 3, 2, 3)).astype(np.float32)
    mean, std = channel_statistics(Images(pixels, np.zeros(2000, np.int64)))
    assert mean == pytest.approx(pixels.mean((0, 1, 2), dtype=np.float64), rel=1e-6)
    assert std == pytest.approx(pixels.std((0, 1, 2), dtype=np.float64), rel=1e-6)


def test_models_are_given_pixels_that_are_no_bytes_normalised(tmp_path):
    data = load("digits-components3", 0.0, str(tmp_path))
    task = ImageClassification(data, CPU)
    batch = next(task.batches([torch.Generator().manual_seed(0)], 1297))
    assert batch.inputs.dtype == torch.float32
    assert float(batch.inputs.mean()) == pytest.approx(0, abs=1e-4)
    assert float(batch.inputs.std()) == pytest.approx(1, abs=1e-3)
    whole = next(task.split("train").batches(1297))
    assert torch.equal(batch.inputs.flatten().sort().values, whole.flatten().sort().values)


@pytest.fixture
def machine(tmp_path):
    return Machine(LocalFolder(tmp_path), CPU, data_folder=str(tmp_path / "data"))


def test_every_result_has_the_dimension_of_the_images_that_it_was_trained_on(machine):
    expected = intrinsic_dimension(load("digits", 0.7).train.pixels)
    point = PointStage(Point(RUN, 1, 0.2, "magnitude-uniform", RECIPE), (1, 2), Label("epochs", 1, "density", 0.2))
    rows = [*finish(DenseStage(RUN, (1,)).execute(machine))["dense"], *carry_out(point, machine)["runs"]]
    assert len(rows) == 3
    for row in rows:
        assert row["data_dimension"] == pytest.approx(expected.dimension, rel=1e-6)
        assert row["data_dimension_se"] == pytest.approx(expected.standard_error, rel=1e-6)
        assert (row["dimension_neighbours"], row["data_duplicates"]) == (20, 0)


def test_a_model_that_diverged_has_it_too(machine):
    run = replace(RUN, recipe=replace(RECIPE, lr=1e30))
    point = PointStage(Point(run, 1, 0.2, "magnitude-uniform", RECIPE), (1, 2), Label("epochs", 1, "density", 0.2))
    rows = [*finish(DenseStage(run, (1,)).execute(machine))["dense"], *finish(point.execute(machine))["runs"]]
    assert {row["status"] for row in rows} == {"diverged"}
    assert all(row["data_dimension"] > 3 for row in rows)


def test_it_is_taken_once_for_data_and_neighbours(machine, monkeypatch):
    first = data_columns(RUN, machine)
    taken = []
    own = ImageClassification.intrinsic_dimension
    monkeypatch.setattr(ImageClassification, "intrinsic_dimension", lambda task, k: (taken.append(k), own(task, k))[1])
    for forgotten in (False, True):  # what this process knows, too
        if forgotten:
            columns._FOUND.clear()
        assert data_columns(replace(RUN, seed=2, model="vgg11"), machine) == first
    assert taken == []
    other = data_columns(RUN, replace(machine, dimension_neighbours=5))
    assert other["dimension_neighbours"] == 5
    assert other["data_dimension"] != first["data_dimension"]
    data_columns(replace(RUN, validation_fraction=0.6), machine)
    assert taken == [5, 20]
    assert len(machine.folder.names("data", ".pt")) == 3


def test_nobody_waits_for_scikit_learn_where_it_is_known(machine, tmp_path):
    data_columns(RUN, machine)
    code = f"""
import sys, torch
from trainables.stages import DenseRun
from trainables.stages.data_dimension import data_columns
from trainables.stages.machine import Machine
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe
run = DenseRun("digits", 0.7, "preresnet8-w0.5", Recipe(epochs=1, batch_size=64, lr=0.05), 1)
print(data_columns(run, Machine(LocalFolder({str(tmp_path)!r}), torch.device("cpu")))["data_dimension"] > 3)
print("sklearn" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_too_few_images_have_none(machine):
    run = replace(RUN, data="digits-first20", validation_fraction=0.0)
    found = data_columns(run, machine)
    assert np.isnan([found["data_dimension"], found["data_dimension_se"]]).all()
    assert (found["dimension_neighbours"], found["data_duplicates"]) == (20, None)
    assert data_columns(run, replace(machine, dimension_neighbours=19))["data_dimension"] > 0


def test_of_large_data_some_images_stand_for_all(monkeypatch):
    data = load("digits", 0.0)
    task = ImageClassification(data, CPU)
    every = task.intrinsic_dimension(20)
    monkeypatch.setattr(classification, "MOST_PIXELS", 64 * 600)
    some = task.intrinsic_dimension(20)
    assert some == task.intrinsic_dimension(20) != every
    assert some.dimension == pytest.approx(every.dimension, rel=0.15)


def test_duplicates_are_counted_among_the_training_images():
    data = load("digits", 0.0)
    index = np.r_[0:300, 0:40]
    twice = DataSet(data.train[index], data.validation, data.test, 10, data.mean, data.std, 0, False)
    assert ImageClassification(twice, CPU).intrinsic_dimension(20).duplicates == 40
