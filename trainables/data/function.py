"""A user's own function, ``package.module:function``, that returns training and test images with their labels."""

import operator
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.decoded import Decoded, Example, Examples, cache_errors, decode, is_pinned, pinned
from trainables.data.decoded_kind import DecodedKind
from trainables.data.file import ARRAYS
from trainables.data.pictures import WrongPictureError, picture
from trainables.data.staging import alone
from trainables.functions import call, find, is_function, taken

PURPOSE = "data"
"""What such a function is for, in sentences."""

RETURNS = f"it returns (train, test), (train, test, classes), or a dict with train and test or {', '.join(ARRAYS)}"

EXAMPLE = "an example is (image, label), or a dict with image (or img) and label"


class Function(DecodedKind):
    """The kind. It is called by every command, as what it returns may change, and by workers if that is not there."""

    def takes(self, data: str) -> bool:
        """A function's name, unless it is a folder's."""
        return is_function(data) and not os.path.isdir(data)

    def place(self, data: str) -> str:
        """The function."""
        return data

    def pin(self, data: str, folder: str, image_size: int | None) -> str:
        """As :meth:`Kind.pin`."""
        if is_pinned(data):
            find(pinned(data)[0], PURPOSE)  # so that its sources can go to workers
        return super().pin(data, folder, image_size)

    def decoded(self, place: str, base: Path, image_size: int | None, known: Decoded | None = None) -> Decoded:
        """As :meth:`DecodedKind.decoded`."""
        function = find(place, PURPOSE)
        with cache_errors(base), alone(base, f"function-{place.replace('/', '-')}") as temporary:
            if known and (base / known.hash).is_dir():
                return known
            arguments = taken(function, {"data_folder": str(base.parent)})
            train, test, classes = _splits(place, call(place, function, **arguments))
            splits = {"train": _examples(place, "train", train, image_size)}
            splits["test"] = _examples(place, "test", test, image_size)
            return decode(splits, classes, place, temporary, base)


def _splits(location: str, returned: Any) -> tuple[Any, Any, int | None]:
    """Training and test split, and the number of classes if it is said."""
    classes = None
    if isinstance(returned, Mapping):
        classes = returned.get("classes")
        if all(name in returned for name in ARRAYS):
            train, test = ((returned[f"x_{split}"], returned[f"y_{split}"]) for split in ("train", "test"))
        elif all(name in returned for name in ("train", "test")):
            train, test = returned["train"], returned["test"]
        else:
            raise ValueError(
                f"{location} returned a dict with {', '.join(map(repr, returned)) or 'nothing'}; {RETURNS}"
            )
    elif isinstance(returned, (tuple, list)) and len(returned) in (2, 3):  # a list is what random_split gives
        train, test, *more = returned
        classes = more[0] if more else None
    else:
        number = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
        raise ValueError(f"{location} returned a {type(returned).__name__}{number}; {RETURNS}")
    if classes is not None:
        classes = _whole(classes)
        if classes is None or classes < 2:
            raise ValueError(f"{location} returned something else than a number of classes from 2 on; {RETURNS}")
    return train, test, classes


def _examples(location: str, name: str, split: Any, image_size: int | None) -> Examples:
    """Examples of a split: a pair of images and labels, or a data set whose items are examples."""
    where = f"{location}: {name}"
    is_pair = isinstance(split, tuple) and len(split) == 2 and not isinstance(split[0], (tuple, Mapping))
    parts = split if is_pair else (split,)
    for part in parts:
        if not hasattr(part, "__len__") or not hasattr(part, "__getitem__"):
            said = "a sequence of examples that has a length, or a pair of images and labels"
            raise ValueError(f"{where} is a {type(part).__name__}; it must be {said}")
    number, *labels = (call(location, len, part) for part in parts)
    if labels not in ([], [number]):
        raise ValueError(f"{where} has {number} images, but {labels[0]} labels")

    def example(index: int) -> Example:
        items = [call(location, part.__getitem__, index) for part in parts]
        image, label = items if is_pair else _taken_apart(where, index, items[0])
        try:
            return Example(picture(image, image_size), _label(where, index, label), f"{name} image {index}")
        except WrongPictureError as error:
            raise ValueError(f"{where} image {index} {error}") from None
        except (OSError, SyntaxError, EOFError) as error:  # PIL opens files, and finds them damaged later
            raise ValueError(f"{where} image {index} cannot be decoded ({error})") from None

    def examples() -> Iterator[Example]:
        for index in range(number):
            own = example(index)
            if index == 0 and not np.array_equal(own.picture.pixels, example(0).picture.pixels):
                said = "is another image when it is asked for again; leave random changes to --augmentation"
                raise ValueError(f"{where} image 0 {said}")
            yield own

    return Examples(number, examples())


def _taken_apart(where: str, index: int, item: Any) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        image = item.get("image", item.get("img"))
        if image is not None and "label" in item:
            return image, item["label"]
        raise ValueError(f"{where} example {index} is a dict with {', '.join(map(repr, item))}; {EXAMPLE}")
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    raise ValueError(f"{where} example {index} is a {type(item).__name__}; {EXAMPLE}")


def _label(where: str, index: int, label: Any) -> int:
    whole = _whole(label)
    if whole is None:
        raise ValueError(f"{where} image {index} has the label {label!r}; number the classes from 0")
    return whole


def _whole(value: Any) -> int | None:
    """A whole number, also of numpy or torch, that can be a label or a number of classes; None if it is none."""
    try:
        whole = operator.index(value)
    except TypeError:
        return None
    return whole if abs(whole) < 2**31 else None
