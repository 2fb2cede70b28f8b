"""Tasks: what models are trained for. The one place that knows which there are, and which data are of which task."""

import torch

from trainables.data import CACHE, load, outline
from trainables.stacks import memory
from trainables.tasks.image_classification.task import ImageClassification, random_images
from trainables.tasks.task import Task


def load_task(
    data: str,
    validation_fraction: float,
    device: torch.device,
    room: int = memory.ROOM_ON_CPU,
    folder: str = CACHE,
    crop_padding: int | None = None,
    flip: bool | None = None,
) -> Task:
    """Load data, and give the task that they are for. Today all data are images with a class each.

    Args:
        data: As of :func:`trainables.data.load`, like the others.
        validation_fraction: Share of the training samples to hold out.
        device: Where data and stacks are to be.
        room: Bytes for the largest activation of a measured batch (:mod:`trainables.stacks.memory`).
        folder: Where data that are not part of the package are kept.
        crop_padding: Of augmentation, instead of the data's own.
        flip: Likewise.

    Raises:
        ValueError: If there is no such data, or they are not usable; one sentence for the user.
    """
    return ImageClassification(load(data, validation_fraction, folder, crop_padding, flip), device, room)


def lookalike_task(data: str, device: torch.device, samples: int = 1) -> Task:
    """The same task with so many random training samples that only look like the data, none of which is loaded.

    Raises:
        ValueError: As of :func:`trainables.data.outline`.
    """
    return ImageClassification(random_images(outline(data), samples), device)
