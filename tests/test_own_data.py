"""The real commands on a folder of images, and on a function that returns the same images."""

import re
import shutil
import sys
from contextlib import chdir
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image
from support import run, run_here

from sweeps.results.store import Store
from sweeps.spec.presets import PRESETS
from trainables.data import load, pin

MODULE = """
from PIL import Image
from beside import labels_of

def mine():
    from trainables.data import load
    digits = load("digits-first300", 0.0)
    return tuple(
        [(Image.fromarray(15 * split.pixels[index, ..., 0]), label) for label, index in labels_of(split)]
        for split in (digits.train, digits.test)
    )
"""
BESIDE = """
def labels_of(split):
    return sorted((int(label), index) for index, label in enumerate(split.labels))
"""
KEPT = ("--preset", "smoke", "--data-folder", "cache", "--out", "out")
OWN = (*KEPT, "--image-size", "12", "--model", "preresnet8-w0.5", "--epochs", "1", "--temperatures", "1")


@pytest.fixture
def typed(tmp_path):
    """Folder of a user, with digits as images and a module."""
    digits = load("digits-first300", 0.0)
    for split in ("train", "test"):
        images = getattr(digits, split)
        for index, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
            place = tmp_path / "photos" / split / f"digit-{label}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(15 * pixels[..., 0]).save(place / f"{index:04d}.png")
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "beside.py").write_text(BESIDE)
    yield tmp_path
    for name in ("mine", "beside"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_a_function_and_a_folder_with_the_same_images_have_the_same_results(typed, without_ray_and_torch):
    """Swept as one, found as the other; read when both are gone."""
    done = run("grid", *OWN, "--data", "mine:mine", cwd=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Decoding mine:mine: 800 images") == 1
    runs = pd.read_parquet(typed / "out" / "runs")
    assert runs["data"].str.fullmatch(r"mine:mine#300\+500-12x12x1-10-[0-9a-f]{20}").all()
    assert set(runs["status"]) == {"ok"}
    again = run("grid", *OWN, "--data", "photos", "--dry-run", cwd=typed)
    assert "Decoding" in again.stdout
    assert "points: 2 wanted, 2 stored, 0 to do" in again.stdout
    shutil.rmtree(typed / "photos")
    shutil.rmtree(typed / "cache")
    (typed / "mine.py").unlink()
    for command in ("report", "status"):
        done = run(command, "out", cwd=typed, env=without_ray_and_torch)
        assert done.returncode == 0, done.stderr
    assert "Phase diagram: mine:mine, preresnet8-w0.5, mag" in (typed / "out" / "phase_diagram.html").read_text()


def test_data_that_are_others_than_in_the_latest_sweep_are_told(typed):
    store = Store(str(typed / "out"))
    options = (*KEPT, "--data", "photos", "--image-size", "12", "--dry-run")
    assert "Note" not in run_here("grid", *options, cwd=typed).stdout
    with chdir(typed):
        store.set_spec(replace(PRESETS["smoke"], data=pin("photos", "cache", 12), image_size=12))
    assert "Note" not in run_here("grid", *options, cwd=typed).stdout
    next((typed / "photos" / "train").rglob("*.png")).unlink()
    done = run_here("grid", *options, cwd=typed)
    assert done.returncode == 0, done.stderr
    note = r"Note: .*/photos is not what it was in the latest sweep in .*out, so these are other points"
    assert re.search(note, done.stdout)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "photos", "--image-size", "0"], "--image-size 0: it is from 1 to 4096 pixels."),
        (["--data", "digits", "--image-size", "8"], "--image-size 8 with digits: it is for a folder"),
        (["--data", "photos/train"], "photos/train has no folder test or val; a folder needs train/<class>/<image>"),
        (["--data", "phtos/"], "there is no folder .*/phtos; every node reads its own copy there."),
        (["--data", "mine:other"], "module 'mine' .* has no function 'other' for data mine:other."),
        (["--data", "mime:mine"], "module 'mime' of data mime:mine cannot be imported .ModuleNotFoundError"),
        (["--data", "photo"], "unknown data set 'photo'; the data sets are: .* .npz, a folder of images, or package."),
    ],
)
def test_mistakes_are_one_sentence(typed, options, said):
    for more in ([], ["--dry-run"], ["--estimate"]):
        done = run_here("grid", *KEPT, *options, *more, cwd=typed)
        assert done.returncode == 2
        assert re.search(said, done.stderr), done.stderr
        assert done.stderr.count("\n") == 1
        assert not (typed / "out").exists()
