"""Image classification: cross entropy or the user's own loss, share of wrong classes, softmax outputs."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metrics.cross_entropy import cross_entropy
from metrics.error import error
from metrics.intrinsic_dimension import IntrinsicDimension, TooFewPointsError, intrinsic_dimension
from trainables.data import AS_PUBLISHED, SPLIT_SEED, Augmentation, DataSet, Images, Outline
from trainables.models import build
from trainables.stacks import memory
from trainables.stacks.inputs import Inputs
from trainables.stacks.stack import Stack
from trainables.tasks.evaluation import evaluate
from trainables.tasks.image_classification.augmentation import OwnAugmentation
from trainables.tasks.image_classification.batches import Split, TrainingBatches
from trainables.tasks.image_classification.mixing import mixed
from trainables.tasks.image_classification.suitability import check_model
from trainables.tasks.own_loss import OwnLoss
from trainables.tasks.task import Batch, Evaluation, SplitName, Task

MOST_PIXELS = 2**28
"""Of which the intrinsic dimension is taken, times channels: a gigabyte as float32. All named data sets are smaller."""


class ImageClassification(Task):
    """A data set of images with a class each, on the device.

    Args:
        data: The data set.
        device: As in :class:`trainables.tasks.task.Task`.
        room: Likewise.
        augmentation: How training images are changed at random.
        loss: The user's own, a pinned function's name; None for cross entropy.

    Raises:
        ValueError: If a function is not there, or has changed; one sentence for the user.
    """

    def __init__(
        self,
        data: DataSet,
        device: torch.device,
        room: int = memory.ROOM_ON_CPU,
        augmentation: Augmentation = AS_PUBLISHED,
        loss: str | None = None,
    ) -> None:
        super().__init__(device, room)
        self._data, self._augmentation = data, augmentation
        self._own_augmentation = None if augmentation.function is None else OwnAugmentation(augmentation.function)
        self._own_loss = None if loss is None else OwnLoss(loss)
        self._splits: dict[SplitName, Split] = {}

    def model(self, name: str) -> nn.Module:
        """As :meth:`Task.model`."""
        height, width, channels = self._data.train.shape
        return build(name, channels, self._data.classes, (height, width))

    def example_inputs(self, samples: int) -> Tensor:
        """Images of shape (samples, channels, h, w), standard normal."""
        height, width, channels = self._data.train.shape
        return torch.randn(samples, channels, height, width, generator=torch.Generator().manual_seed(0))

    def check_model(self, model: nn.Module, called: str, smallest_batch: int) -> None:
        """As :meth:`Task.check_model`; the user's own augmentation and loss are tried, too."""
        check_model(model, called, self.example_inputs, self._data.classes, smallest_batch)
        if self._own_augmentation is not None:
            height, width, channels = self._data.train.shape
            self._own_augmentation.check((channels, height, width), smallest_batch)
        if self._own_loss is not None:
            self._own_loss.check(self._data.classes, smallest_batch)

    def steps_per_epoch(self, batch_size: int, drop_last: bool = False) -> int:
        """As :meth:`Task.steps_per_epoch`."""
        whole, part = divmod(len(self._data.train), batch_size)
        return whole + (part > 0 and not drop_last)

    def batches(self, streams: Sequence[torch.Generator], batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        """As :meth:`Task.batches`; a batch has as many images of each model, but for the last of an epoch."""
        for images, labels in self._training_batches.epoch(streams, batch_size, drop_last):
            yield Batch(images, labels, labels.shape[1])

    def losses(self, stack: Stack, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Cross entropy; or the user's own loss, of which there is no label smoothing."""
        logits, labels = _logits(stack, batch.inputs).float(), batch.targets
        if self._own_loss is not None:
            return torch.stack([self._own_loss(logits[model], labels[model]) for model in range(stack.models)])
        flat = F.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), reduction="none", label_smoothing=label_smoothing
        )
        return flat.unflatten(0, labels.shape).mean(1)

    def loss_parts(self, model: nn.Module, samples: int, at_once: int) -> Iterator[Tensor]:
        """Cross entropy; or the user's own loss, the mean over a part times its share of the samples.

        Of every class as many images, as far as there are, as published (Lubana and Dick 2021, arXiv 2009.11839).
        """
        sample = self.split("train").balanced(samples)
        for images, own in zip(sample.batches(at_once), sample.labels.split(at_once), strict=True):
            if self._own_loss is None:
                yield F.cross_entropy(model(images), own, reduction="sum") / len(sample)
            else:
                yield self._own_loss(model(images), own) * (len(own) / len(sample))

    def evaluation(self, stack: Stack, split: SplitName) -> Evaluation:
        """Share of images that are given another class than their own, and cross entropy of their own."""
        own = self.split(split)
        logits = self._evaluated(stack, own)
        return Evaluation(error(logits, own.labels).tolist(), cross_entropy(logits, own.labels).tolist())

    def outputs(self, stack: Stack, samples: int, mixed_up: bool = False) -> Tensor:
        """Softmax outputs, as Zhou et al. 2023 compare them: shape (models, images, classes)."""
        split = self.split("train")
        batches = mixed(split, samples) if mixed_up else None
        return self._evaluated(stack, split, samples, batches).softmax(-1)

    def statistics_inputs(self, models: int, batch_size: int) -> Iterator[tuple[Inputs, int]]:
        """As :meth:`Task.statistics_inputs`; the last batch may be smaller."""
        for images in self.split("train").batches(batch_size):
            yield _same(images, models), len(images)

    def intrinsic_dimension(self, neighbours: int) -> IntrinsicDimension | None:
        """As :meth:`Task.intrinsic_dimension`: of images as their pixel values, with the Euclidean distance.

        Of data that are larger than :data:`MOST_PIXELS` a random choice of images, always the same, stands for all.
        """
        images = self._data.train
        most = max(1, MOST_PIXELS // math.prod(images.shape))
        if len(images) > most:
            images = images[np.sort(np.random.default_rng(SPLIT_SEED).choice(len(images), most, replace=False))]
        try:
            return intrinsic_dimension(images.pixels, neighbours)
        except TooFewPointsError:
            return None

    def split(self, name: SplitName) -> Split:
        """A split on the device.

        Training images are in a random order that depends on their number alone: what is measured in batches, or on
        some of them, must not depend on how somebody sorted a file.
        """
        if name not in self._splits:
            images: Images = getattr(self._data, name)
            if name == "train":
                images = images[np.random.default_rng(SPLIT_SEED).permutation(len(images))]
            self._splits[name] = Split(self._data, images, self.device)
        return self._splits[name]

    @cached_property
    def _training_batches(self) -> TrainingBatches:
        return TrainingBatches(self._data, self.device, self._augmentation, self._own_augmentation)

    def _evaluated(
        self, stack: Stack, split: Split, images: int | None = None, instead: Tensor | None = None
    ) -> Tensor:
        """Logits of shape (models, images, classes), of all images of a split or the first so many, or of others."""

        def logits(at_once: int) -> Tensor:
            own = split.batches(at_once, images) if instead is None else instead.split(at_once)
            batches = [_logits(stack, _same(batch, stack.models)) for batch in own]
            return torch.cat(batches, 1) if batches else torch.empty(stack.models, 0, 1, device=self.device)

        return evaluate(stack, logits)


def random_images(like: Outline, samples: int) -> DataSet:
    """A data set with so many random training images, of the shape of another's."""
    random = np.random.default_rng(0)
    pixels = random.integers(256, size=(samples, like.height, like.width, like.channels), dtype=np.uint8)
    images = Images(pixels, random.integers(like.classes, size=samples))
    mean, std = (127.5,) * like.channels, (73.9,) * like.channels
    return DataSet(images, images[:0], images[:0], like.classes, mean, std, crop_padding=1, flip=True)


def _logits(stack: Stack, images: Inputs) -> Tensor:
    """Logits of shape (models, batch, classes)."""
    logits = stack(images)
    return logits if isinstance(logits, Tensor) else torch.stack(logits)


def _same(images: Tensor, models: int) -> Tensor:
    """The same images for every model: shape (models, batch, channels, h, w), in memory once."""
    return images.expand(models, *images.shape)
