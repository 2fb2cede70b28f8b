"""Tasks: what models are trained for. The one place that knows which there are, and which data are of which task."""

import torch

from trainables.data import AS_PUBLISHED, CACHE, Augmentation, DataSet, Outline, load, outline, training_samples
from trainables.stacks import memory
from trainables.tasks.image_classification.task import ImageClassification, random_images
from trainables.tasks.task import Task
from trainables.tasks.translation.task import MEASURED_PAIRS, Translation, random_pairs


def load_task(
    data: str,
    validation_fraction: float,
    device: torch.device,
    room: int = memory.ROOM_ON_CPU,
    folder: str = CACHE,
    augmentation: Augmentation = AS_PUBLISHED,
    loss: str | None = None,
) -> Task:
    """Load data, and give the task that they are for: of images with a class each, or of pairs of sentences.

    Args:
        data: As of :func:`trainables.data.load`, like the others.
        validation_fraction: Share of the training samples to hold out.
        device: Where data and stacks are to be.
        room: Bytes for the largest activation of a measured batch (:mod:`trainables.stacks.memory`).
        folder: Where data that are not part of the package are kept.
        augmentation: How training images are changed at random.
        loss: The user's own, a pinned function's name; None for the task's.

    Raises:
        ValueError: If there is no such data or function, or they are not usable; one sentence for the user.
    """
    loaded = load(data, validation_fraction, folder)
    if isinstance(loaded, DataSet):
        return ImageClassification(loaded, device, room, augmentation, loss)
    return Translation(loaded, device, room, loss)


def lookalike_task(
    data: str,
    device: torch.device,
    samples: int = 1,
    augmentation: Augmentation = AS_PUBLISHED,
    loss: str | None = None,
) -> Task:
    """The same task with so many random training samples that only look like the data, none of which is loaded.

    Raises:
        ValueError: As of :func:`trainables.data.outline`, or if there is no such function; one sentence for the user.
    """
    like = outline(data)
    if isinstance(like, Outline):
        return ImageClassification(random_images(like, samples), device, augmentation=augmentation, loss=loss)
    return Translation(random_pairs(like, samples), device, loss=loss)


def measured_samples(data: str, validation_fraction: float) -> int:
    """Training samples that errors and losses are taken of, known without loading them.

    Raises:
        ValueError: As of :func:`trainables.data.training_samples`.
    """
    samples = training_samples(data, validation_fraction)
    return samples if isinstance(outline(data), Outline) else min(samples, MEASURED_PAIRS)
