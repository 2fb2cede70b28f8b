"""The first images of data, by a suffix of their name."""

from dataclasses import replace

import numpy as np
import pytest

from trainables.data import (
    content_name,
    held_out_samples,
    load,
    normalisation,
    outline,
    own_crop_padding,
    pin,
    short_name,
    training_samples,
    with_amount,
    without_suffixes,
)
from trainables.data.images import channel_statistics
from trainables.stages import DenseRun
from trainables.training.recipe import Recipe

FUNCTION = """
import numpy as np

def images():
    random = np.random.default_rng(1)
    train, test = (random.integers(256, size=(n, 4, 4, 1), dtype=np.uint8) for n in (20, 6))
    return (train, np.arange(20) % 4), (test, np.arange(6) % 4)
"""


@pytest.fixture
def own_file(tmp_path):
    """Thirty images, of which the first ten have no image of the last class."""
    random, path = np.random.default_rng(0), tmp_path / "images.npz"
    labels = np.concatenate([np.arange(10) % 2, np.arange(20) % 3])
    x_train, x_test = (random.integers(256, size=(n, 4, 4), dtype=np.uint8) for n in (30, 9))
    np.savez(path, x_train=x_train, y_train=labels, x_test=x_test, y_test=np.arange(9) % 3)
    return path


def the_same(images, others):
    return np.array_equal(images.pixels, others.pixels) and np.array_equal(images.labels, others.labels)


def test_the_first_images_are_taken_and_all_test_images(own_file, tmp_path):
    own, found = (load(pin(name), 0.0, str(tmp_path)) for name in (str(own_file), f"{own_file}-first10"))
    assert the_same(found.train, own.train[:10])
    assert the_same(found.test, own.test)
    assert len(found.validation) == 0


def test_validation_images_are_held_out_of_the_first_ones(own_file, tmp_path):
    name = pin(f"{own_file}-first10")
    assert (training_samples(name, 0.3), held_out_samples(name, 0.3)) == (7, 3)
    first, found = load(name, 0.0, str(tmp_path)), load(name, 0.3, str(tmp_path))
    together = np.concatenate([found.train.pixels, found.validation.pixels])
    assert len(found.train) == 7
    assert sorted(map(bytes, together)) == sorted(map(bytes, first.train.pixels))


def test_they_are_normalised_by_themselves_and_keep_the_number_of_classes(own_file, tmp_path):
    name = pin(f"{own_file}-first10")
    found = load(name, 0.0, str(tmp_path))
    assert set(found.train.labels) == {0, 1}
    assert found.classes == outline(name).classes == 3
    assert (found.mean, found.std) == channel_statistics(found.train) == normalisation(name)


def test_names(own_file):
    whole, name = pin(str(own_file)), pin(f"{own_file}-first10")
    assert name == f"{whole}-first10"
    assert pin(name) == name
    assert short_name(name) == "images.npz-first10"
    assert content_name(name) == f"{content_name(whole)}-first10"
    assert outline(name) == replace(outline(whole), train=10)
    assert pin(f"{own_file}-first30") == whole
    assert without_suffixes(pin(f"{own_file}-components3-first10")) == whole


def test_a_name_with_another_amount(own_file):
    whole = pin(str(own_file))
    amounts = {
        (whole, 10): f"{whole}-first10",
        (whole, 30): whole,
        (f"{whole}-first20", 10): f"{whole}-first10",
        (f"{whole}-first20", 20): f"{whole}-first20",
        ("digits", 1297): "digits",
        ("digits", 100): "digits-first100",
        ("FashionMNIST-14px-first6000", 3000): "FashionMNIST-14px-first3000",
        ("digits-first300-components4", 100): "digits-first300-components4-first100",
        ("digits-manifold4-first300", 100): "digits-manifold4-first100",
    }
    assert {key: with_amount(*key) for key in amounts} == amounts


@pytest.mark.parametrize(("data", "amount", "there"), [("digits", 1298, 1297), ("digits-first300", 400, 300)])
def test_more_than_there_are(data, amount, there):
    with pytest.raises(ValueError, match=f"amount {amount} of '{data}': it is from 1 to its {there} training images"):
        with_amount(data, amount)


def test_of_a_plane_of_all_images_the_first_ones(tmp_path):
    """Which another amount does not turn; that of the first images is another plane, and named the other way round."""
    whole, found, other = (
        load(f"digits-{ends}", 0.0, str(tmp_path))
        for ends in ("components3", "components3-first40", "first40-components3")
    )
    assert the_same(found.train, whole.train[:40])
    assert the_same(found.test, whole.test)
    assert found.mean == channel_statistics(found.train)[0]
    assert not np.allclose(found.train.pixels, other.train.pixels, atol=1)
    assert own_crop_padding("digits-components3-first40") == found.crop_padding == 0


def test_a_dimension_of_the_first_images_of_a_file(own_file, tmp_path):
    found = load(pin(f"{own_file}-first10-components2"), 0.0, str(tmp_path))
    flat = found.train.pixels.reshape(10, -1)
    assert np.linalg.matrix_rank(flat - flat.mean(0), tol=0.1) == 2
    with pytest.raises(ValueError, match="it is from 1 to the smaller of 10 training images"):
        pin(f"{own_file}-first10-components11")


def test_of_a_folder_and_of_a_function(tmp_path, monkeypatch):
    from PIL import Image

    for number, name in enumerate(("train/a", "train/b", "test/a", "test/b")):
        (tmp_path / "flowers-first2" / name).mkdir(parents=True)
        for shade in range(3):
            pixels = np.random.default_rng(10 * number + shade).integers(256, size=(4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "flowers-first2" / name / f"{shade}.png")
    (tmp_path / "amounts_of.py").write_text(FUNCTION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    kept = str(tmp_path / "kept")
    for name, number in ((str(tmp_path / "flowers-first2"), 6), ("amounts_of:images", 20)):
        whole, first = pin(name, kept), pin(f"{name}-first5", kept)
        assert (first, training_samples(whole, 0.0)) == (f"{whole}-first5", number)
        assert the_same(load(first, 0.0, kept).train, load(whole, 0.0, kept).train[:5])
    (own,) = DenseRun(first, 0.0, "preresnet8", Recipe(), 1).functions
    assert (own.purpose, own.name) == ("data", whole)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{}-first31", "asks for the first 31 of 30 training images; it is from 1 to as many as there are"),
        ("{}-first0", "asks for the first 0 of 30"),
        ("{}-first9-first5", "has a number of images twice; leave one of the two out"),
        ("{}-first9-components2-first5", "has a number of images twice"),
        ("digits-components4-first5-components3", "has a dimension twice"),
        ("digits-first9-first5", "unknown data set 'digits-first9-first5'"),
        ("absent.npz-first5", "absent.npz cannot be read"),
        ("nothing-first5", "unknown data set 'nothing-first5'"),
    ],
)
def test_other_names_are_refused_in_a_sentence(own_file, data, said):
    with pytest.raises(ValueError, match=said):
        pin(data.format(own_file))


def test_one_image_has_no_spread_to_be_normalised_by(tmp_path):
    path = tmp_path / "images.npz"
    x_train = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    np.savez(path, x_train=x_train, y_train=np.arange(10) % 2, x_test=x_train, y_test=np.arange(10) % 2)
    with pytest.raises(ValueError, match="channel 0 of these training images has the same value in all pixels"):
        load(pin(f"{path}-first1"), 0.0, str(tmp_path))
