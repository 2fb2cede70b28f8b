"""A folder of images, train/<class>/... and test/<class>/..., as data."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.data import check_loadable, check_name, content_name, load, memory, outline, pin, short_name
from trainables.data import folder as folder_module
from trainables.data.pictures import picture
from trainables.functions.torchvision_import import import_torchvision

RANDOM = np.random.default_rng(0)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def grey(*shape):
    return RANDOM.integers(256, size=shape or (4, 6), dtype=np.uint8)


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


@pytest.fixture
def photos(tmp_path):
    """Six training and four test images, grey, of 4x6 pixels, in the classes cat and dog."""
    place = tmp_path / "photos"
    for split, number in (("train", 3), ("test", 2)):
        for kind in ("dog", "cat"):
            for index in range(number):
                write(place / split / kind / f"{index}.png", grey())
    return place


def pixels_of(path):
    return np.asarray(Image.open(path))


def test_a_folder_of_grey_images(photos, cache):
    for name in (".hidden", "Thumbs.db"):
        (photos / "train" / "cat" / name).write_text("as a file manager leaves")
    name = pin(str(photos), cache)
    check_name(name)
    data = load(name, 0.0, cache)
    files = [photos / "train" / kind / f"{index}.png" for kind in ("cat", "dog") for index in range(3)]
    assert np.array_equal(data.train.pixels[..., 0], np.stack(list(map(pixels_of, files))))
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert data.mean == pytest.approx((data.train.pixels.mean(),))
    assert data.std == pytest.approx((data.train.pixels.std(),))
    assert (data.classes, data.crop_padding, data.flip) == (2, 0, False)
    assert outline(name).__dict__ == {"train": 6, "test": 4, "height": 4, "width": 6, "channels": 1, "classes": 2}
    assert short_name(name) == "photos"
    held_out = load(name, 0.5, cache)
    assert (len(held_out.train), len(held_out.validation)) == (3, 3)


def test_one_image_with_colours_gives_all_three_channels(photos, cache):
    colours = grey(4, 6, 3)
    write(photos / "test" / "dog" / "1.png", colours)
    data = load(pin(str(photos), cache), 0.0, cache)
    assert np.array_equal(data.test.pixels[-1], colours)
    assert (data.train.pixels == data.train.pixels[..., :1]).all()
    assert data.train.pixels.shape == (6, 4, 6, 3)


def test_the_folder_of_test_images_may_be_called_val_and_test_comes_first(photos, cache):
    name = pin(str(photos), cache)
    (photos / "test").rename(photos / "val")
    assert pin(str(photos), cache) == name
    (photos / "test").mkdir()
    write(photos / "test" / "unlabelled.png", grey())  # as in ImageNet
    assert pin(str(photos), cache) == name
    shutil.copytree(photos / "train", photos / "test", dirs_exist_ok=True)
    (photos / "test" / "unlabelled.png").unlink()
    assert outline(pin(str(photos), cache)).test == 6


def test_images_in_folders_below_a_class_and_folders_that_are_links(photos, cache, tmp_path):
    name = pin(str(photos), cache)
    (photos / "train" / "cat" / "zoo").mkdir()
    (photos / "train" / "cat" / "2.png").rename(photos / "train" / "cat" / "zoo" / "a.png")
    (photos / "train" / "dog").rename(tmp_path / "dogs")
    (photos / "train" / "dog").symlink_to(tmp_path / "dogs")
    assert pin(str(photos), cache) == name


@pytest.mark.parametrize("shape", [(40, 30, 3), (30, 41, 3), (7, 9), (16, 16, 3), (90, 31)])
def test_images_are_brought_to_a_size_as_torchvision_does_it(shape):
    transforms = import_torchvision("torchvision.transforms")
    image = Image.fromarray(grey(*shape))
    expected = np.asarray(transforms.Compose([transforms.Resize(16), transforms.CenterCrop(16)])(image))
    ours, is_grey = picture(image, 16)
    assert is_grey == (len(shape) == 2)
    assert np.array_equal(ours, np.broadcast_to(expected.reshape(16, 16, -1), (16, 16, 3)))


def test_images_of_all_kinds(tmp_path):
    """As torchvision's loader has them, which converts to RGB."""
    colours, deep = grey(4, 6, 3), np.array([[0, 257, 65535, 128, 300, 40000]], dtype=np.uint16)
    alpha = np.concatenate([colours, np.zeros((4, 6, 1), np.uint8)], axis=-1)
    frames = [Image.fromarray(grey(4, 6, 3)) for _ in range(2)]
    palette = Image.fromarray(colours).quantize(8)
    see_through = palette.copy()
    see_through.info["transparency"] = bytes(8)
    write(tmp_path / "deep.png", deep)
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    cmyk = Image.fromarray(colours).convert("CMYK")
    expected = [
        (Image.fromarray(alpha), colours),
        (Image.fromarray(alpha[..., 2:]), alpha[..., 2]),
        (Image.fromarray(colours[..., 0] > 99), 255 * (colours[..., 0] > 99)),
        (Image.open(tmp_path / "deep.png"), np.array([[0, 1, 255, 0, 1, 156]])),
        (Image.open(tmp_path / "moving.png"), np.asarray(frames[0])),
        (palette, np.asarray(palette.convert("RGB"))),
        (see_through, np.asarray(palette.convert("RGB"))),
        (cmyk, np.asarray(cmyk.convert("RGB"))),
    ]
    for image, pixels in expected:
        ours, is_grey = picture(image, None)
        assert is_grey == (pixels.ndim == 2)
        assert np.array_equal(ours, pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1))


def test_a_folder_is_decoded_again_only_if_its_files_changed(photos, cache, monkeypatch, capsys):
    name = pin(str(photos), cache)
    assert capsys.readouterr().out == f"Decoding {photos}: 10 images\n"
    assert pin(str(photos), cache) == name
    assert capsys.readouterr().out == ""
    os.utime(photos / "train" / "dog" / "0.png")
    assert pin(str(photos), cache) == name
    assert capsys.readouterr().out.startswith("Decoding")
    write(photos / "train" / "dog" / "0.png", grey())
    other = pin(str(photos), cache)
    assert content_name(other) != content_name(name)
    assert np.array_equal(load(other, 0.0, cache).train.pixels[3, ..., 0], pixels_of(photos / "train/dog/0.png"))
    assert not np.array_equal(load(name, 0.0, cache).train.pixels[3], load(other, 0.0, cache).train.pixels[3])
    monkeypatch.setattr(folder_module, "DECODING", 2)
    pin(str(photos), cache)
    assert capsys.readouterr().out.startswith("Decoding")


def test_a_pin_follows_the_content_and_not_the_place(photos, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = pin("photos", cache)
    assert pin("photos/", cache) == name == pin(name, cache)
    shutil.copytree(photos, tmp_path / "copy:of#photos")
    copied = pin("copy:of#photos", cache)
    assert copied.startswith(f"{tmp_path}/copy:of#photos#6+4-4x6x1-2-")
    assert content_name(copied) == content_name(name) == "images#" + name.partition("#")[2]
    assert short_name(copied) == "copy:of#photos"
    assert len(load(copied, 0.0, cache).train) == 6


def test_another_image_size_is_other_data(photos, cache):
    names = {content_name(pin(str(photos), cache, size)) for size in (None, 4, 5)}
    assert len(names) == 3
    small = pin(str(photos), cache, 4)
    assert outline(small).height == outline(small).width == 4
    assert pin(small, cache, 4) == small
    with pytest.raises(ValueError, match=r"--image-size 5: .* has images of 4x4 pixels"):
        pin(small, cache, 5)


@pytest.mark.parametrize("size", [None, 5])
def test_a_machine_that_has_not_decoded_a_folder_does_it(photos, cache, tmp_path, size):
    name, elsewhere = pin(str(photos), cache, size), str(tmp_path / "elsewhere")
    there = load(name, 0.0, elsewhere)
    assert np.array_equal(load(name, 0.0, cache).train.pixels, there.train.pixels)
    shutil.rmtree(photos)
    assert np.array_equal(load(name, 0.0, elsewhere).train.pixels, there.train.pixels)
    with pytest.raises(ValueError, match=r"there is no folder .*photos; every node reads its own copy there"):
        load(name, 0.0, str(tmp_path / "third"))


def test_a_machine_whose_folder_holds_something_else_says_so(photos, cache, tmp_path):
    name = pin(str(photos), cache)
    write(photos / "train" / "dog" / "0.png", grey())
    with pytest.raises(ValueError, match=r"photos gives other images here than when the sweep was made"):
        load(name, 0.0, str(tmp_path / "elsewhere"))


def test_what_a_killed_process_left_is_not_taken(photos, cache, tmp_path):
    name = pin(str(photos), cache)
    decoded = tmp_path / "cache" / "decoded"
    (hashed,) = (each for each in decoded.iterdir() if each.is_dir())
    (lock,) = decoded.glob(".*.lock")
    half = decoded / f"{lock.stem}-half"
    hashed.rename(half)
    assert len(load(name, 0.0, cache).train) == 6
    assert not half.exists()
    (hashed / "x_train.npy").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"decoded images in .* are damaged .*; remove that folder"):
        load(name, 0.0, cache)


def test_processes_of_a_machine_wait_for_the_one_that_decodes(photos, cache, tmp_path, capsys):
    name = pin(str(photos), cache)
    capsys.readouterr()
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: load(name, 0.0, str(tmp_path / "elsewhere")), range(4)))
    assert capsys.readouterr().out.count("Decoding") == 1
    assert all(np.array_equal(each.train.pixels, loaded[0].train.pixels) for each in loaded)


def drop(place):
    shutil.rmtree(place)


def one_class(photos):
    drop(photos / "train" / "dog")
    drop(photos / "test" / "dog")


def text_file(photos):
    (photos / "train" / "cat" / "notes.txt").write_text("cats")


def half_a_file(photos):
    path = photos / "train" / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:60])


def empty_class(photos):
    for file in (photos / "test" / "cat").iterdir():
        file.unlink()


def one_colour(photos):
    for file in (photos / "train").rglob("*.png"):
        write(file, np.full((4, 6), 7, np.uint8))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop, "there is no folder .*photos; every node"),
        (lambda photos: drop(photos / "train"), "has no folder train; a folder needs train/<class>/<image> and test/"),
        (lambda photos: drop(photos / "test"), "has no folder test or val; a folder needs"),
        (lambda photos: drop(photos / "test" / "dog"), "class 'dog' is in train, but not in test"),
        (lambda photos: drop(photos / "train" / "dog"), "class 'dog' is in test, but not in train"),
        (one_class, "needs folders of two classes or more in train, and has 'cat'"),
        (empty_class, "photos/test/cat holds no image"),
        (lambda photos: write(photos / "train" / "a.png", grey()), "train/a.png lies beside the folders of classes"),
        (text_file, r"train/cat/notes.txt cannot be read as an image \(it is none\); mend it or take it out"),
        (
            lambda photos: os.mkfifo(photos / "train/cat/pipe.png"),
            "cat/pipe.png is no file that can be read",
        ),
        (half_a_file, "train/dog/1.png cannot be read as an image"),
        (lambda photos: (photos / "train/cat/9.png").symlink_to("gone.png"), "train/cat/9.png cannot be read .No such"),
        (
            lambda photos: write(photos / "test" / "dog" / "1.png", grey(5, 6)),
            "photos: images differ in height x width, train/cat/0.png has 4x6 and test/dog/1.png 5x6 pixels.*-size",
        ),
        (
            lambda photos: write(photos / "train" / "cat" / "0.tiff", grey().astype(np.float32)),
            "0.tiff cannot be read as an image .has pixels that are floats",
        ),
        (one_colour, "photos: channel 0 of the training images has the same value in all pixels"),
    ],
)
def test_folders_that_are_not_usable(photos, cache, damage, said):
    damage(photos)
    with pytest.raises(ValueError, match=said) as error:
        pin(str(photos), cache)
    assert str(photos) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_data_folder_that_cannot_be_written(photos, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot be kept in .*file/decoded \(Not a directory\).*--data-folder"):
        pin(str(photos), str(tmp_path / "file"))


def test_images_that_do_not_fit_into_memory(photos, cache, monkeypatch):
    name = pin(str(photos), cache)
    needs = (6 + 4) * 24  # training and test images, as bytes
    monkeypatch.setattr(memory, "available_bytes", lambda: needs)
    check_loadable(name, cache)
    monkeypatch.setattr(memory, "available_bytes", lambda: needs - 1)
    elsewhere = f"{cache}2"  # where they would have to be decoded: that is said before, which may take hours
    for load_it in (
        lambda: check_loadable(name, cache),
        lambda: load(name, 0.0, cache),
        lambda: pin(str(photos), elsewhere),
    ):
        with pytest.raises(ValueError, match=r"photos: its images need 0.00 GB of memory, and 0.00 GB are") as error:
            load_it()
        assert "available; take fewer or smaller images" in str(error.value)
    assert not [each for each in Path(elsewhere, "decoded").iterdir() if each.is_dir()]


def test_memory_that_is_available(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   4000 kB\n",
        "/sys/fs/cgroup/memory.max": "2000000\n",
        "/sys/fs/cgroup/memory.current": "1500000\n",
        "/sys/fs/cgroup/memory.stat": "anon 3\ninactive_file 300000\n",
    }
    monkeypatch.setattr(memory, "_text", lambda path: files.get(path, ""))
    assert memory.available_bytes() == 800_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert memory.available_bytes() == 4_096_000
    files.clear()
    assert memory.available_bytes() is None


@pytest.mark.parametrize("data", ["digits", "CIFAR10-16px"])
def test_data_of_their_own_size(data):
    with pytest.raises(ValueError, match=f"--image-size 16 with {data}: it is for a folder"):
        pin(data, image_size=16)
