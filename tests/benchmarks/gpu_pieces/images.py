"""Images that the pieces train on, and taking them along in parts."""

import io
import zipfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_pieces.session import Session
from trainables.data import ARRAYS, pin

TALLEST = 16383
"""Pixels of a WebP image's side."""


def pinned_data(session: Session) -> str:
    """Name of the data for a training; what is packed or made up is first written as one file to the results."""
    if session.data is not None and session.data.suffix == ".npz":
        return pin(str(session.data))
    path = session.out / ("made-up.npz" if session.data is None else "images.npz")
    if not path.exists():
        arrays = _made_up(64 if session.tiny else 50_000) if session.data is None else unpacked(session)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path.with_suffix(".tmp.npz"), **arrays)  # type: ignore[arg-type]  # numpy's types take allow_pickle for one
        path.with_suffix(".tmp.npz").rename(path)
    return pin(str(path))


def _made_up(count: int) -> dict[str, NDArray[np.generic]]:
    """Random images that are a little brighter the higher their class, so that there is something to learn."""
    random, side = np.random.default_rng(0), 8 if count < 1000 else 32
    arrays: dict[str, NDArray[np.generic]] = {}
    for split, size in (("train", count), ("test", count // 4)):
        labels = np.arange(size) % 10
        pixels = random.integers(160, size=(size, side, side, 3)) + 9 * labels[:, None, None, None]
        arrays |= {f"x_{split}": pixels.astype(np.uint8), f"y_{split}": labels}
    return arrays


def pack(session: Session) -> None:
    """Write the images of a file as lossless WebP, a column of them in each, in so many zip files of about one size."""
    assert session.data is not None, "pack needs --data FILE.npz"
    with np.load(session.data) as file:
        arrays = {name: file[name] for name in ARRAYS}
    members: list[tuple[str, bytes]] = []
    for name, array in arrays.items():
        content = io.BytesIO()
        if array.ndim != 4 or array.shape[-1] != 3:
            np.save(content, array)
            members.append((f"{name}.npy", content.getvalue()))
            continue
        _, height, width, channels = array.shape
        column = TALLEST // height
        np.save(content, np.array(array.shape))
        members.append((f"{name}.shape.npy", content.getvalue()))
        for number, first in enumerate(range(0, len(array), column)):
            picture = io.BytesIO()
            pixels = array[first : first + column].reshape(-1, width, channels)
            Image.fromarray(pixels).save(picture, "webp", lossless=True, quality=80, method=4)
            members.append((f"{name}.{number:05d}.webp", picture.getvalue()))
    session.out.mkdir(parents=True, exist_ok=True)
    each, number = -(-sum(len(content) for _, content in members) // session.parts), 0
    sizes = [0] * session.parts
    files = [session.out / f"part-{part + 1}-of-{session.parts}.zip" for part in range(session.parts)]
    zips = [zipfile.ZipFile(path, "w") for path in files]
    for name, data in members:
        number += sizes[number] >= each and number + 1 < session.parts
        zips[number].writestr(name, data)
        sizes[number] += len(data)
    for path, part in zip(files, zips, strict=True):
        part.close()
        print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB")


def unpacked(session: Session) -> dict[str, NDArray[np.generic]]:
    """The arrays of all parts."""
    assert session.data is not None
    members: dict[str, bytes] = {}
    parts = sorted(session.data.glob("part-*.zip"))
    wanted = int(parts[0].stem.rpartition("-")[2]) if parts else 1
    if len(parts) != wanted:
        raise SystemExit(f"{session.data} has {len(parts)} of {wanted} parts")
    for path in parts:
        with zipfile.ZipFile(path) as part:
            members |= {name: part.read(name) for name in part.namelist()}
    arrays: dict[str, NDArray[np.generic]] = {}
    for name in ARRAYS:
        if f"{name}.npy" in members:
            arrays[name] = np.load(io.BytesIO(members[f"{name}.npy"]))
            continue
        pictures = sorted(member for member in members if member.startswith(f"{name}.") and member.endswith(".webp"))
        columns = [np.asarray(Image.open(io.BytesIO(members[picture]))) for picture in pictures]
        arrays[name] = np.concatenate(columns).reshape(np.load(io.BytesIO(members[f"{name}.shape.npy"])))
    return arrays
