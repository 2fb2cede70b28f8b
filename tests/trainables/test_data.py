import numpy as np
import pytest

from trainables.data import (
    PUBLISHED,
    check_name,
    content_name,
    load,
    outline,
    own_crop_padding,
    pin,
    training_samples,
)

RANDOM = np.random.default_rng(0)


def arrays(**changed):
    """Twelve training and five test images of 4x6 pixels in 3 colours."""
    return {
        "x_train": RANDOM.integers(256, size=(12, 4, 6, 3), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": RANDOM.integers(256, size=(5, 4, 6, 3), dtype=np.uint8),
        "y_test": np.arange(5) % 3,
    } | changed


def file(folder, **changed):
    path = folder / "images.npz"
    np.savez(path, **{name: value for name, value in arrays(**changed).items() if value is not None})
    return path


def test_a_users_file(tmp_path):
    path = file(tmp_path)
    name = pin(str(path))
    content = np.load(path)
    data = load(name, 0.25)
    assert (len(data.train), len(data.validation), len(data.test), data.classes) == (9, 3, 5, 3)
    everything = np.concatenate([data.train.pixels, data.validation.pixels])
    assert sorted(map(bytes, everything)) == sorted(map(bytes, content["x_train"]))
    assert np.array_equal(data.test.pixels, content["x_test"])
    assert data.mean == pytest.approx(tuple(content["x_train"].mean((0, 1, 2))))
    assert data.std == pytest.approx(tuple(content["x_train"].std((0, 1, 2))))
    assert (data.crop_padding, data.flip) == (0, False)
    assert training_samples(name, 0.25) == 9
    assert outline(name).__dict__ == {"train": 12, "test": 5, "height": 4, "width": 6, "channels": 3, "classes": 3}


def test_grey_images_need_no_channels(tmp_path):
    pixels = np.arange(240, dtype=np.uint8).reshape(-1, 4, 6)
    grey = {"x_train": pixels, "x_test": pixels[:2]}
    path = file(tmp_path, **grey, y_train=np.arange(10, dtype=np.uint8) % 2, y_test=np.zeros(2, np.int32))
    data = load(pin(str(path)), 0.0)
    assert data.train.pixels.shape == (10, 4, 6, 1)
    assert data.train.labels.dtype == np.int64


def test_labels_may_be_a_column(tmp_path):
    assert load(pin(str(file(tmp_path, y_train=np.arange(12)[:, None] % 3))), 0.0).train.labels.shape == (12,)


def test_a_pin_follows_the_content_and_not_the_place(tmp_path, monkeypatch):
    path = file(tmp_path)
    name = pin(str(path))
    monkeypatch.chdir(tmp_path)
    assert pin("images.npz") == name == pin(name)
    moved = tmp_path / "elsewhere.npz"
    moved.write_bytes(path.read_bytes())
    assert content_name(pin(str(moved))) == content_name(name) != content_name(pin(str(file(tmp_path))))
    with pytest.raises(ValueError, match=r"images.npz has changed since the sweep was made"):
        load(name, 0.0)
    check_name(name)


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "a#b.npz"
    folder.mkdir()
    name = pin(str(file(folder)))
    assert len(load(name, 0.0).train) == 12
    assert content_name(name).startswith("npz#12-")


def test_a_pinned_file_need_not_be_there_to_know_its_size(tmp_path):
    path = file(tmp_path)
    name = pin(str(path))
    path.unlink()
    assert training_samples(name, 0.5) == 6
    with pytest.raises(ValueError, match=r"images.npz cannot be read .No such file or directory.; every node reads"):
        load(name, 0.0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x_test": None}, "lacks x_test"),
        ({"x_train": None, "y_test": None}, "lacks x_train, y_test"),
        (
            {"x_train": np.zeros((12, 4, 6, 3))},
            "shape .* and type float64; it must hold images of type uint8",
        ),
        ({"x_train": np.zeros((12, 24), np.uint8)}, "x_train has shape .12, 24."),
        ({"x_train": np.zeros((0, 4, 6, 3), np.uint8), "y_train": np.zeros(0, int)}, "x_train has shape .0, 4, 6, 3."),
        ({"x_train": np.zeros((12, 3, 32, 32), np.uint8)}, "channels before the pixels; put them last"),
        ({"x_train": np.zeros((11, 4, 6, 3), np.uint8)}, "x_train holds 11 images, but y_train 12 labels"),
        ({"x_test": np.zeros((5, 4, 7, 3), np.uint8)}, "x_train and x_test have different shapes"),
        ({"y_test": np.array([0, 1, 2, 3, 0])}, "label 3 in y_test must be from 0 to 2"),
        ({"y_train": np.arange(12) - 1}, "label -1 in y_train must be from 0 to 10"),
        ({"y_train": np.arange(12) % 3 + 1}, "no image of y_train has label 0; number the labels"),
        ({"y_train": np.arange(12) * 10**8}, "label 1100000000 in y_train, of 12 images"),
        ({"y_train": np.zeros(12, int), "y_test": np.zeros(5, int)}, "one label only"),
        ({"y_train": np.linspace(0, 2, 12)}, "labels y_train have shape .12,. and type float64"),
        ({"y_train": np.eye(12, dtype=int)}, "labels y_train have shape .12, 12."),
        ({"y_train": np.array([object()] * 12)}, "is not a file of arrays that numpy.savez wrote, or damaged"),
    ],
)
def test_files_that_are_not_usable(tmp_path, changed, said):
    path = file(tmp_path, **changed)
    with pytest.raises(ValueError, match=said) as error:
        pin(str(path))
    assert str(path) in str(error.value)


def test_damaged_and_absent_files(tmp_path):
    path = file(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="or damaged"):
        pin(str(path))
    with pytest.raises(ValueError, match="cannot be read"):
        pin(str(tmp_path / "absent.npz"))


def test_a_channel_without_content(tmp_path):
    flat = arrays()["x_train"]
    flat[..., 1] = 7
    with pytest.raises(ValueError, match="channel 1 of x_train has the same value in all pixels"):
        load(pin(str(file(tmp_path, x_train=flat))), 0.0)


def test_sizes_of_named_data_are_known_without_loading():
    assert training_samples("CIFAR10", 0.0) == 50_000
    assert training_samples("FashionMNIST-14px-first6000", 0.1) == 5400
    assert outline("SVHN-16px").__dict__ == {
        "train": 73_257,
        "test": 26_032,
        "height": 16,
        "width": 16,
        "channels": 3,
        "classes": 10,
    }


def test_what_is_known_of_digits_is_true():
    data = load("digits", 0.0)
    known = PUBLISHED["digits"]
    assert (len(data.train), len(data.test)) == (known.images, known.test_images)
    assert data.train.pixels.shape[1:] == (known.side, known.side, known.channels)


def test_averaged_and_fewer_images():
    whole, part = load("digits", 0.0), load("digits-4px-first100", 0.0)
    assert part.train.pixels.shape == (100, 4, 4, 1)
    blocks = whole.train.pixels[:100].reshape(100, 4, 2, 4, 2, 1).astype(float).mean((2, 4))
    assert np.abs(part.train.pixels - blocks).max() <= 0.5
    assert len(part.test) == len(whole.test)
    assert part.mean == pytest.approx((part.train.pixels.mean(),))


def test_published_augmentation():
    assert (load("digits", 0.0).crop_padding, load("digits", 0.0).flip) == (1, False)
    names = ("CIFAR10", "CIFAR10-16px", "FashionMNIST", "FashionMNIST-14px-first6000", "MNIST-7px", "digits")
    assert [own_crop_padding(name) for name in names] == [4, 2, 2, 1, 0, 1]
    assert own_crop_padding(f"/a/b.npz#10-{'0' * 20}") == 0


def test_published_normalisation():
    """Zhou et al. 2023: means and standard deviations of the CIFARs and of SVHN."""
    assert PUBLISHED["CIFAR10"].mean == PUBLISHED["CIFAR100"].mean == (0.4914, 0.4822, 0.4465)
    assert PUBLISHED["SVHN"].std == (0.1980, 0.2010, 0.1970)
    assert (PUBLISHED["CIFAR10"].crop_padding, PUBLISHED["CIFAR10"].flip) == (4, True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cifar10", "unknown data set 'cifar10'; the data sets are: digits, CIFAR10"),
        ("CIFAR10-", "unknown data set"),
        ("CIFAR10-33px", "side 33"),
        ("CIFAR10-0px", "side 0"),
        ("CIFAR10-first50001", "first 50001 of 50000"),
        ("images.npz", "images.npz is not pinned"),
    ],
)
def test_names_that_are_no_data(name, said):
    with pytest.raises(ValueError, match=said):
        check_name(name)
