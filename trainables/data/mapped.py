"""Arrays in files that all processes of a machine map: their pixels lie in its memory once, not in each process."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.images import Images
from trainables.data.staging import alone

SPLITS = ("train", "test")


def mapped(path: Path) -> NDArray[Any]:
    """An array of a file that is not read yet. What is written stays here."""
    return np.asarray(np.load(path, mmap_mode="c"))


def mapped_splits(place: Path) -> list[Images]:
    """Training and test images of a folder with ``x_train.npy`` and the others."""
    return [Images(*(mapped(place / f"{kind}_{split}.npy") for kind in "xy")) for split in SPLITS]


def kept(name: str, base: Path, load: Callable[[], tuple[Images, Images]]) -> tuple[Images, Images]:
    """Training and test images that take long to load, by one process of this machine for all.

    Args:
        name: What they are; others of this name are the same.
        base: Folder where they are kept. If it cannot be written, each process loads its own.
        load: Loads them.
    """
    place = base / name
    try:
        if not place.is_dir():
            with alone(base, name) as temporary:
                if not place.is_dir():
                    _write(temporary / "arrays", load())
                    os.rename(temporary / "arrays", place)
    except OSError:
        return load()
    try:
        train, test = mapped_splits(place)
    except (OSError, EOFError, ValueError):  # damaged
        return load()
    return train, test


def _write(folder: Path, splits: tuple[Images, Images]) -> None:
    folder.mkdir()
    for name, split in zip(SPLITS, splits, strict=True):
        np.save(folder / f"x_{name}.npy", split.pixels)
        np.save(folder / f"y_{name}.npy", split.labels)
