"""Data as arrays in memory: images by name, from a file, a folder or a function; pairs of sentences. Imports no torch.

``digits`` comes with the package. The others by name are torchvision's, fetched once for each machine. What is the
user's own is *pinned* (:func:`pin`) when a sweep is made, so that its results are known by its content.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from trainables.data.amount import FirstImages
from trainables.data.augmentation import AS_PUBLISHED, AUGMENTATIONS, Augmentation, augmentation_of
from trainables.data.dimension import GENERATORS, OfDimension, with_dimension
from trainables.data.file import ARRAYS, File
from trainables.data.folder import Folder
from trainables.data.function import Function
from trainables.data.images import DataSet, Images, Normalisation, Outline
from trainables.data.kind import Kind
from trainables.data.made_from import without_suffixes
from trainables.data.memory import check_room
from trainables.data.published import PUBLISHED, SPLIT_SEED, Named, crop_padding_of, parse
from trainables.data.text.pairs import Pairs, ParallelText, TextOutline
from trainables.data.text.parallel import Parallel, share_vocabulary, vocabulary_file

__all__ = [
    "ARRAYS",
    "AS_PUBLISHED",
    "AUGMENTATIONS",
    "CACHE",
    "GENERATORS",
    "PUBLISHED",
    "SPLIT_SEED",
    "Augmentation",
    "DataSet",
    "Images",
    "Normalisation",
    "Outline",
    "Pairs",
    "ParallelText",
    "TextOutline",
    "augmentation_of",
    "check_loadable",
    "check_name",
    "content_name",
    "held_out_samples",
    "is_text",
    "load",
    "normalisation",
    "outline",
    "own_crop_padding",
    "pin",
    "share_vocabulary",
    "short_name",
    "training_samples",
    "vocabulary_file",
    "with_amount",
    "with_dimension",
    "without_suffixes",
]

CACHE = "~/.cache/three-regime-sweeps"
"""Folder of the data sets that are not part of the package, and of decoded images, unless another is named."""

_BY_NAME = Named()
_MADE = (OfDimension(lambda: KINDS), FirstImages(lambda: KINDS))

KINDS: tuple[Kind, ...] = (*_MADE, File(), Parallel(), _BY_NAME, Function(), Folder())
"""The kinds of data; the first that takes a name has it."""


def check_name(data: str) -> None:
    """Raise ValueError, in one sentence for the user, unless ``data`` is a data set's name or pinned."""
    _kind(data)


def pin(data: str, folder: str = CACHE, image_size: int | None = None) -> str:
    """Tie a user's own data to their content; see the kinds for the names. Names of data sets stay as they are.

    Args:
        data: A name, pinned or not.
        folder: Where decoded images are kept.
        image_size: Height and width to which images are brought; None for as they are.

    Raises:
        ValueError: If there are no such data, or they are not usable, in one sentence for the user.
    """
    return _kind(data, pinned=False).pin(data, folder, image_size)


def content_name(data: str) -> str:
    """What decides results of a data set's name: of what is pinned its content, not where it lies."""
    return next((kind.content_name(data) for kind in KINDS if kind.takes(data) and kind.is_pinned(data)), data)


def short_name(data: str) -> str:
    """Name for a title: of what is pinned the file's, the folder's or the function's, with its suffixes."""
    base = without_suffixes(data)
    return (base.rpartition("#")[0].rpartition("/")[2] or base) + data.removeprefix(base)


def is_text(data: str) -> bool:
    """Whether a name, pinned or not, is of pairs of sentences."""
    return isinstance(next((kind for kind in KINDS if kind.takes(data)), None), Parallel)


def training_samples(data: str, validation_fraction: float) -> int:
    """Number of training samples that are left after holding out, known without loading them.

    Raises:
        ValueError: As :func:`check_name`, if none is left, or if there are validation samples and others are to be held
            out.
    """
    kind = _kind(data)
    samples, held_out = kind.samples(data), round(validation_fraction * kind.samples(data))
    if held_out == samples:
        said = f"leaves none of {samples} {kind.holds} to train on"
        raise ValueError(f"a validation fraction of {validation_fraction} {said}")
    if held_out and kind.validation(data):
        said = f"{short_name(data)} has {kind.validation(data)} validation samples of its own; take 0"
        raise ValueError(f"a validation fraction of {validation_fraction}: {said}")
    return samples - held_out


def with_amount(data: str, amount: int) -> str:
    """Name of the first ``amount`` training samples of data, before any are held out; of all of them that of the data.

    Raises:
        ValueError: As :func:`check_name`, or if there are fewer; one sentence for the user.
    """
    kind = _kind(data)
    there = kind.samples(data)
    if not 1 <= amount <= there:
        raise ValueError(f"amount {amount} of {data!r}: it is from 1 to its {there} training {kind.holds}")
    return data if amount == there else kind.first(data, amount)


def held_out_samples(data: str, validation_fraction: float) -> int:
    """Number of validation samples: the data's own, or of the training samples as many as are held out.

    Known without loading them; ValueError as :func:`check_name`.
    """
    kind = _kind(data)
    return kind.validation(data) or round(validation_fraction * kind.samples(data))


def own_crop_padding(data: str) -> int:
    """Pixels of random shift in augmentation that are published for a data set; 0 for a user's own."""
    return crop_padding_of(parse(data)) if isinstance(_kind(data), Named) else 0


@cache
def outline(data: str) -> Outline | TextOutline:
    """Sizes of a data set; only a file is read for them.

    Raises:
        ValueError: As :func:`check_name`, or if the file cannot be read.
    """
    return _kind(data).outline(data)


def normalisation(data: str, folder: str = CACHE) -> Normalisation:
    """How images of a data set are normalised, as far as that is known on this machine; no user's code is run.

    Raises:
        ValueError: As :func:`check_name`, or if it is not known; one sentence for the user.
    """
    return _kind(data).normalisation(data, folder)


def check_loadable(data: str, folder: str) -> int:
    """Fetch or decode data if need be, and see whether they fit into memory.

    Returns:
        The smallest batch size that there can be: 1, or of sentences, whose tokens count, the longest training pair's.

    Raises:
        ValueError: If they are not usable; one sentence for the user.
    """
    loaded = _kind(data).load(data, folder)
    check_room(short_name(data), loaded)
    return 1 if isinstance(loaded, DataSet) else int(loaded.train.longest.max())


def load(data: str, validation_fraction: float, folder: str = CACHE) -> DataSet | ParallelText:
    """Load data and hold out round(validation_fraction * n) of their n training samples.

    Which samples are held out depends on nothing but their number.

    Args:
        data: A name of :data:`PUBLISHED`, optionally with ``-<side>px`` for images averaged over blocks to this side,
            and with ``-first<n>`` for only the first n training images; or a pinned name.
            Either optionally with ``-components<d>`` or ``-manifold<d>`` (:mod:`trainables.data.dimension`), and what
            has no ``-first<n>`` of its own with that (:mod:`trainables.data.amount`).
            Of sentences a pinned name (:mod:`trainables.data.text.parallel`).
        validation_fraction: In [0, 1).
        folder: Where torchvision's data sets and decoded images are kept.

    Raises:
        ValueError: If there is no such data, or it is not usable; one sentence for the user.
    """
    count = training_samples(data, validation_fraction)
    loaded = _kind(data).load(data, folder)
    check_room(short_name(data), loaded)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(loaded.train))
    train, held_out = np.sort(order[len(order) - count :]), np.sort(order[: len(order) - count])
    if isinstance(loaded, DataSet):
        return replace(loaded, train=loaded.train[train], validation=loaded.train[held_out])
    if not len(held_out):
        return loaded
    return replace(loaded, train=loaded.train[train], validation=loaded.train[held_out])


def _kind(data: str, pinned: bool = True) -> Kind:
    """Kind of a name.

    Raises:
        ValueError: If there is none, or if the name is not pinned although it has to be; one sentence for the user.
    """
    kind = next((kind for kind in KINDS if kind.takes(data)), _BY_NAME)
    if isinstance(kind, Named):
        parse(data)
    if pinned and not kind.is_pinned(data):
        raise ValueError(f"{data} is not pinned to its content")
    return kind
