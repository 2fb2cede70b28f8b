"""A point as published code does it: plain PyTorch, images through PIL and a DataLoader, one model after the other.

Written from the definitions, as a competent researcher would: it takes architectures and pruning masks from this
project, and nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from reference_case import SETTINGS, Work
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from trainables.data import SPLIT_SEED, Images, load
from trainables.functions.torchvision_import import import_torchvision
from trainables.models import build
from trainables.pruning.magnitude import per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.training.recipe import Recipe

State = Mapping[str, Tensor]
Batches = DataLoader[Any]
EVALUATION_BATCH = 128


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets give them: each through PIL and its transforms when it is asked for."""

    def __init__(self, images: Images, transform: Callable[[Image.Image], Tensor]) -> None:
        pixels = images.pixels
        self._pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        self._labels, self._transform = images.labels.tolist(), transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


class PublishedWay:
    """The parts of a point, and the whole.

    Args:
        work: What is to be done.
        dense: State dictionary of the dense model.
        siblings: Of the models of which parts of the measuring are timed.
        device: Where models are.
        workers: Processes of each DataLoader.
    """

    def __init__(self, work: Work, dense: State, siblings: list[State], device: torch.device, workers: int = 2) -> None:
        self._work, self._dense, self._siblings, self._device = work, dense, siblings, device
        self._workers = workers
        self._recipe = work.recipe
        data = load(work.data, work.dense.validation_fraction)
        self._channels, self._classes = data.train.pixels.shape[-1], data.classes
        transforms = import_torchvision("torchvision.transforms")
        mean, std = ([value / 255 for value in values] for values in (data.mean, data.std))
        plain = [transforms.ToTensor(), transforms.Normalize(mean, std)]
        augmentation = work.dense.augmentation
        augmented = [transforms.RandomHorizontalFlip(), *plain] if augmentation.flip else plain
        if augmentation.crop_padding:
            size = data.train.pixels.shape[1:3]
            augmented = [transforms.RandomCrop(size, padding=augmentation.crop_padding), *augmented]

        def loader(images: Images, steps: list[Callable], size: int, shuffle: bool = False) -> Batches:
            of = PilImages(images, transforms.Compose(steps))
            pinned = device.type == "cuda"
            return DataLoader(of, size, shuffle, num_workers=workers, persistent_workers=workers > 0, pin_memory=pinned)

        self._train = loader(data.train, augmented, self._recipe.batch_size, shuffle=True)
        # Statistics of batches depend on the order of the images; this is the service's.
        order = np.random.default_rng(SPLIT_SEED).permutation(len(data.train))
        self._plain = loader(data.train[order], plain, SETTINGS.batch_norm_batch_size)
        self._test = loader(data.test, plain, EVALUATION_BATCH)
        self._model, self._masks = self._pruned()
        self._optimizer = optimizer_of(self._model, self._recipe)

    def on(self, work: Work) -> "PublishedWay":
        """The same dense model on other work."""
        return PublishedWay(work, self._dense, [], self._device, self._workers)

    def warm_up(self) -> None:
        """Start the loaders' processes, and see every shape once."""
        self.epoch()
        self.evaluation()
        self.errors_of(self._siblings[0], self._plain)

    def epoch(self) -> float:
        """Train one sibling for an epoch; its mean loss."""
        return train_epoch(self._model, self._train, self._optimizer, self._masks, self._device)

    def evaluation(self) -> float:
        """Test error of one sibling."""
        return self.errors_of(self._model.state_dict(), self._test)

    def path(self) -> list[float]:
        """Errors on the line between the first two siblings."""
        return self._path_errors(*self._siblings[:2])

    def similarity(self) -> list[float]:
        """CKA of all pairs of siblings."""
        outputs = [self._outputs(state) for state in self._siblings]
        return [linear_cka(first, second) for first, second in combinations(outputs, 2)]

    def retraining(self, epochs: int | None = None) -> list[list[float]]:
        """Prune the dense model and retrain all siblings; the mean losses of their epochs."""
        epochs = epochs or self._recipe.epochs
        self._siblings, losses = [], []
        for seed in range(self._work.siblings):
            torch.manual_seed(seed)
            model, masks = self._pruned()
            optimizer = optimizer_of(model, self._recipe)
            milestones = [int(share * epochs) for share in self._recipe.milestones]
            schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, self._recipe.decay)
            own = []
            for _ in range(epochs):
                own.append(train_epoch(model, self._train, optimizer, masks, self._device))
                error(model, self._test, self._device)
                schedule.step()
            losses.append(own)
            self._siblings.append(model.state_dict())
        return losses

    def measuring(self) -> list[tuple[float, float]]:
        """LMC and CKA of all pairs of siblings."""
        lines = [self._path_errors(first, second) for first, second in combinations(self._siblings, 2)]
        return list(zip(map(connectivity, lines), self.similarity(), strict=True))

    def errors_of(self, state: State, batches: Batches) -> float:
        """Error of a model on these batches."""
        return error(self._loaded(state), batches, self._device)

    def _loaded(self, state: State) -> nn.Module:
        model = build(self._work.case.model, self._channels, self._classes).to(self._device)
        model.load_state_dict(state)
        return model

    def _pruned(self) -> tuple[nn.Module, dict[nn.Parameter, Tensor]]:
        """The pruned model, and the mask of each pruned parameter."""
        model = self._loaded(self._dense)
        parameters = dict(model.named_parameters())
        kept = per_layer(prunable_weights(model), self._work.density)
        masks = {parameters[name]: mask.to(parameters[name]) for name, mask in kept.items()}
        apply(masks)
        return model, masks

    @torch.no_grad()
    def _path_errors(self, start: State, end: State) -> list[float]:
        errors, model = [], self._loaded(start)
        for step in range(SETTINGS.path_points):
            position = step / (SETTINGS.path_points - 1)
            model.load_state_dict({name: start[name] + position * (end[name] - start[name]) for name in start})
            reestimate_batch_norm(model, self._plain, self._device)
            errors.append(error(model, self._plain, self._device))
        return errors

    @torch.no_grad()
    def _outputs(self, state: State) -> Tensor:
        """Softmax outputs on the first so many training images, as many batches of them as that takes."""
        model, found, images = self._loaded(state).eval(), [], 0
        for batch, _ in on_device(self._plain, self._device):
            found.append(model(batch).softmax(1))
            images += len(batch)
            if images >= SETTINGS.cka_images:
                break
        return torch.cat(found)[: SETTINGS.cka_images]


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Stochastic gradient descent of a recipe."""
    return torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)


def on_device(batches: Batches, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches, brought there."""
    for images, labels in batches:
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


def train_epoch(
    model: nn.Module,
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    masks: Mapping[nn.Parameter, Tensor],
    device: torch.device,
) -> float:
    """Train for an epoch, and give the mean of the batches' losses."""
    model.train()
    total = torch.zeros((), device=device)
    for images, labels in on_device(batches, device):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        apply(masks)
        total += loss.detach()
    return float(total) / len(batches)


@torch.no_grad()
def apply(masks: Mapping[nn.Parameter, Tensor]) -> None:
    """Set pruned weights to zero."""
    for parameter, mask in masks.items():
        parameter.mul_(mask)


@torch.no_grad()
def error(model: nn.Module, batches: Batches, device: torch.device) -> float:
    """Share of images that are given another class than their own."""
    model.eval()
    wrong, images = torch.zeros((), device=device), 0
    for batch, labels in on_device(batches, device):
        wrong += (model(batch).argmax(1) != labels).sum()
        images += len(batch)
    return float(wrong) / images


@torch.no_grad()
def reestimate_batch_norm(model: nn.Module, batches: Batches, device: torch.device) -> None:
    """Replace batch-norm statistics by the average of those of the batches, weighted by their images."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
    model.train()
    done = 0
    for images, _ in on_device(batches, device):
        done += len(images)
        for norm in norms:
            norm.momentum = len(images) / done
        model(images)


def connectivity(errors: list[float]) -> float:
    """LMC of the errors on a line."""
    ends = (errors[0] + errors[-1]) / 2
    return max((ends - value for value in errors), key=abs)


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear CKA of two models' outputs, shape (images, classes)."""
    x, y = (outputs.double() - outputs.double().mean(0) for outputs in (first, second))
    return float((y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()))
