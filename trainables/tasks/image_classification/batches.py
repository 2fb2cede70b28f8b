"""Images on the device: batches for training, augmented there, and whole splits for evaluation."""

from collections.abc import Iterator, Sequence
from copy import copy

import torch
from torch import Tensor

from trainables.data import AS_PUBLISHED, Augmentation, DataSet, Images
from trainables.tasks.image_classification.augmentation import OwnAugmentation


class Split:
    """A split of a data set, not augmented. It stays on the device as bytes and is normalised batch by batch.

    Args:
        data: The data set.
        split: Of it.
        device: Where they are.

    Attributes:
        labels: int64, shape (images,).
    """

    def __init__(self, data: DataSet, split: Images, device: torch.device) -> None:
        self._pixels, self._order = _on(device, split)
        self._normalised = _Normalisation(data, device)
        self.labels = torch.from_numpy(split.labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, batch_size: int, images: int | None = None) -> Iterator[Tensor]:
        """Normalised images in their order, all or the first so many; float32, shape (batch, channels, h, w)."""
        for batch in self._order[:images].split(batch_size) if len(self) else ():
            yield self._normalised(self._pixels[batch]).permute(0, 3, 1, 2)

    def balanced(self, images: int) -> "Split":
        """So many of the images, of every class as many as far as there are; all if there are fewer.

        The first image of every class, then the second of every class, and so on, each time in their order: so classes
        whose next image comes first have one more, and a larger sample has all that a smaller one has.
        """
        by_class, sizes = self.labels.argsort(stable=True), self.labels.bincount()
        place = torch.empty_like(by_class)  # of an image among those of its class
        place[by_class] = (
            torch.arange(len(self), device=place.device) - (sizes.cumsum(0) - sizes)[self.labels[by_class]]
        )
        chosen = place.argsort(stable=True)[:images]
        sample = copy(self)
        sample._order, sample.labels = self._order[chosen], self.labels[chosen]
        return sample


class TrainingBatches:
    """Batches of the training images for a stack of models, each with its own order and augmentation.

    Args:
        data: The data set.
        device: Where they are.
        augmentation: How they are changed at random.
        own: Its function, if it has one.
    """

    def __init__(
        self,
        data: DataSet,
        device: torch.device,
        augmentation: Augmentation = AS_PUBLISHED,
        own: OwnAugmentation | None = None,
    ) -> None:
        padding = data.crop_padding if augmentation.crop_padding is None else augmentation.crop_padding
        self._padding = padding
        self._height, self._width, _ = data.train.shape
        self._pixels, self._order = _on(device, data.train)
        self._normalised = _Normalisation(data, device)
        self._labels = torch.from_numpy(data.train.labels).to(device)
        self._flip = data.flip if augmentation.flip is None else augmentation.flip
        self._own = own

    def __len__(self) -> int:
        """Number of training images."""
        return len(self._labels)

    def epoch(
        self, streams: Sequence[torch.Generator], batch_size: int, drop_last: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the training images for every model.

        In memory the models' images lie side by side, pixel by pixel, as a grouped stack wants them.

        Args:
            streams: One stream of random numbers for each model; it alone decides that model's batches.
            batch_size: Images of each model in a batch.
            drop_last: Leave out the last batch if it is smaller.

        Yields:
            Images of shape (models, batch, channels, h, w) and labels of shape (models, batch).
        """
        device = self._labels.device
        plans = zip(*map(self._plan, streams), strict=True)
        orders, top, left, mirrored = (torch.stack(plan).to(device) for plan in plans)
        # Of every image its rows and columns, written out on the device: a twentieth is copied to it.
        rows, columns = (torch.arange(size, device=device) for size in (self._height, self._width))
        rows, columns = top + rows, left + torch.where(mirrored, columns.flip(0), columns)
        end = len(self) - len(self) % batch_size if drop_last else len(self)
        for first in range(0, end, batch_size):
            batch = slice(first, first + batch_size)
            order = orders[:, batch]
            pixels = self._cropped(order.T, rows[:, batch].permute(1, 2, 0), columns[:, batch].permute(1, 2, 0))
            if self._own is not None:
                pixels = _changed(self._own, pixels, streams)
            yield self._normalised(pixels).permute(3, 0, 4, 1, 2), self._labels[order]

    def _cropped(self, order: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Pixels of shape (batch, h, w, models, channels), black outside of an image.

        Black before they are normalised, as published, not grey. All padded images would be a copy of them, and larger.

        Args:
            order: Which images, shape (batch, models).
            rows: Of each, shape (batch, h, models), some outside.
            columns: Likewise, shape (batch, w, models).
        """
        inside_rows, inside_columns = rows.clamp(0, self._height - 1), columns.clamp(0, self._width - 1)
        # Indices of shape (batch, h, w, models): one gather.
        pixels = self._pixels[
            self._order[order][:, None, None, :], inside_rows[:, :, None, :], inside_columns[:, None, :, :]
        ]
        if self._padding == 0:
            return pixels
        inside = (rows == inside_rows)[:, :, None, :] & (columns == inside_columns)[:, None, :, :]
        return pixels.mul_(inside[..., None])

    def _plan(self, stream: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Order of the images, and for each in turn the first row and column of its crop and whether it is mirrored."""
        order = torch.randperm(len(self), generator=stream)
        top, left = torch.randint(2 * self._padding + 1, (2, len(self), 1), generator=stream) - self._padding
        mirrored = torch.zeros(len(self), 1, dtype=torch.bool)
        if self._flip:
            mirrored = torch.rand(len(self), 1, generator=stream) < 0.5
        return order, top, left, mirrored


def _on(device: torch.device, images: Images) -> tuple[Tensor, Tensor]:
    """Pixels on the device, and which of them the images are: on a CPU no copy, elsewhere of these images alone."""
    if device.type == "cpu" and images.order is not None:
        return torch.from_numpy(images.stored), torch.from_numpy(images.order)
    return torch.from_numpy(images.pixels).to(device), torch.arange(len(images), device=device)


def _changed(own: OwnAugmentation, pixels: Tensor, streams: Sequence[torch.Generator]) -> Tensor:
    """Pixels in [0, 255], shape (batch, h, w, models, channels), as the user's function changes those of each model."""
    images = [(each / 255).permute(0, 3, 1, 2).contiguous() for each in pixels.unbind(3)]
    changed = [own(each, stream) for each, stream in zip(images, streams, strict=True)]
    return 255 * torch.stack(changed).permute(1, 3, 4, 0, 2)


class _Normalisation:
    """Maps pixels in [0, 255], of shape (..., channels), to float32."""

    def __init__(self, data: DataSet, device: torch.device) -> None:
        self._mean, self._std = torch.tensor(data.mean, device=device), torch.tensor(data.std, device=device)

    def __call__(self, pixels: Tensor) -> Tensor:
        return (pixels.float() - self._mean) / self._std
