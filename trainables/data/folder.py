"""A folder of images: ``train/<class>/...`` and ``test/<class>/...``, as torchvision's ImageFolder has them."""

import json
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from trainables.data.decoded import GROUP, Decoded, Example, Examples, cache_errors, decode, is_pinned, pinned
from trainables.data.decoded_kind import DecodedKind
from trainables.data.kind import OWN_COPY, content_hash
from trainables.data.pictures import Picture, decoded
from trainables.data.staging import alone

LAYOUT = "a folder needs train/<class>/<image> and test/<class>/<image>"

TEST_NAMES = ("test", "val")
"""Folders of test images; the first one with folders of classes. ImageNet calls its val, and has a test without any."""

NO_IMAGES = ("Thumbs.db", "desktop.ini")
"""Files that systems put beside images."""

DECODING = 1
"""Raised when images begin to be decoded otherwise: what a folder held is looked up by its list of files."""


class Listed(NamedTuple):
    """An image file.

    Attributes:
        path: Where it is, below the folder.
        label: Number of its class.
        size: Bytes.
        changed: When, in nanoseconds.
    """

    path: str
    label: int
    size: int
    changed: int


class Folder(DecodedKind):
    """The kind. It is decoded once on each machine; what it holds is known again by names, sizes and times of files."""

    def takes(self, data: str) -> bool:
        """A path that is there, or looks like one."""
        return "/" in data or data.startswith("~") or os.path.isdir(data)

    def place(self, data: str) -> str:
        """Its absolute path."""
        return str(Path(os.path.expanduser(data)).absolute())

    def decoded(self, place: str, base: Path, image_size: int | None, known: Decoded | None = None) -> Decoded:
        """As :meth:`DecodedKind.decoded`."""
        splits, classes = _listing(Path(place))
        state = json.dumps([DECODING, place, image_size, splits]).encode()
        note = base / f"folder-{content_hash(state)}.txt"
        if found := _noted(note, base):
            return found
        with cache_errors(base), alone(base, f"folder-{content_hash(os.fsencode(place))}") as temporary:
            if found := _noted(note, base):
                return found  # another process did it
            with ThreadPoolExecutor() as pool:  # PIL decodes without Python's lock
                examples = {
                    name: Examples(len(files), _examples(place, files, image_size, pool))
                    for name, files in splits.items()
                }
                found = decode(examples, classes, place, temporary, base)
            (temporary / "note").write_text(f"folder#{found}")
            os.replace(temporary / "note", note)
        return found


def _noted(note: Path, base: Path) -> Decoded | None:
    """What was found last time, if it is still kept."""
    try:
        text = note.read_text()
    except OSError:
        return None
    return pinned(text)[1] if is_pinned(text) and (base / pinned(text)[1].hash).is_dir() else None


def _examples(
    place: str, files: Sequence[Listed], image_size: int | None, pool: ThreadPoolExecutor
) -> Iterator[Example]:
    """Decode files, some at a time."""
    for first in range(0, len(files), GROUP):
        group = files[first : first + GROUP]
        pictures = pool.map(partial(_picture, image_size=image_size), [Path(place, file.path) for file in group])
        for file, picture in zip(group, pictures, strict=True):
            yield Example(picture, file.label, file.path)


def _picture(path: Path, image_size: int | None) -> Picture:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return decoded(image, image_size)
    except MemoryError:
        raise
    except Exception as error:  # PIL raises many kinds, by what is damaged
        reason = "it is none" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise ValueError(
            f"{path} cannot be read as an image ({reason}); mend it or take it out of the folder"
        ) from None


def _listing(place: Path) -> tuple[dict[str, list[Listed]], int]:
    """Image files of each split, by class and name, and the number of classes.

    Raises:
        ValueError: If the folder is not as it should be; one sentence for the user.
    """
    try:
        if not place.exists():
            raise ValueError(f"there is no folder {place}; {OWN_COPY}")
        if not place.is_dir():
            raise ValueError(f"{place} is no folder of images, and a file of arrays ends in .npz; {LAYOUT}")
        there = [name for name in TEST_NAMES if (place / name).is_dir()]
        with_classes = [name for name in there if any(entry.is_dir() for entry in os.scandir(place / name))]
        test = next(iter(with_classes + there), None)
        if test is None or not (place / "train").is_dir():
            lacks = "train" if test else " or ".join(TEST_NAMES)
            text = "; of a text name the languages, too, as folder:de-en" if any(place.glob("train.*")) else ""
            raise ValueError(f"{place} has no folder {lacks}; {LAYOUT}{text}")
        classes = {name: _classes(place / name) for name in ("train", test)}
        if other := set(classes["train"]) ^ set(classes[test]):
            name = min(other)
            has, lacks = ("train", test) if name in classes["train"] else (test, "train")
            raise ValueError(f"{place}: class {name!r} is in {has}, but not in {lacks}; both need the same folders")
        if len(classes["train"]) < 2:
            names = ", ".join(map(repr, classes["train"])) or "none"
            raise ValueError(f"{place} needs folders of two classes or more in train, and has {names}; {LAYOUT}")
        splits = {
            split: [file for label, name in enumerate(classes[at]) for file in _files(place, f"{at}/{name}", label)]
            for split, at in (("train", "train"), ("test", test))
        }
    except OSError as error:
        raise ValueError(f"{error.filename or place} cannot be read ({error.strerror}); {OWN_COPY}") from None
    return splits, len(classes["train"])


def _classes(split: Path) -> list[str]:
    names = []
    for entry in os.scandir(split):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            raise ValueError(f"{entry.path} lies beside the folders of classes; put it into one, or take it away")
        names.append(entry.name)
    return sorted(names)


def _files(place: Path, below: str, label: int) -> list[Listed]:
    """All files of a class, also in folders below that of the class; hidden ones do not count."""
    found = []
    for root, folders, names in os.walk(place / below, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".") and name not in NO_IMAGES):
            path = os.path.join(root, name)
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{path} is no file that can be read as an image; take it out of the folder")
            found.append(Listed(os.path.relpath(path, place), label, status.st_size, status.st_mtime_ns))
    if not found:
        raise ValueError(f"{place / below} holds no image")
    return found


def _raise(error: OSError) -> None:
    raise error
