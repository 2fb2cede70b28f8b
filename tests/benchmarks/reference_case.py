"""What :mod:`reference` compares: a point of a sweep, its data, and how often each part occurs in the whole."""

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from sweeps.spec.presets import PRESETS
from trainables.data import PUBLISHED, Augmentation, DataSet, Images, load, outline, pin, training_samples
from trainables.data.torchvision_sets import PLACES
from trainables.stages import DenseRun, Label, MeasurementSettings, Point, PointStage
from trainables.stages.point import TEST_EPOCHS
from trainables.tasks.image_classification.task import random_images
from trainables.training.recipe import Precision, Recipe

SETTINGS = MeasurementSettings()
SHORT_EPOCHS = 4
"""Of the training whose losses are compared."""

OF_TRAINING, OF_MEASURING = ("retraining", "epoch", "evaluation"), ("measuring", "path", "similarity")
"""Parts of a point; the first of each is the whole, where that is run outright."""


@dataclass(frozen=True)
class Case:
    """A data set and a model.

    Attributes:
        preset: Whose recipe siblings are retrained by.
        data: Name of the data set.
        model: Name of the architecture.
        images: Training images of which the parts are timed on a CPU, and as many test images; None for a whole point,
            run outright on all of them.
    """

    preset: str
    data: str
    model: str
    images: int | None


CASES = {
    "digits": Case("digits", "digits", "preresnet8-w0.5", None),
    "fashion-preresnet20": Case("paper-epochs", "FashionMNIST", "preresnet20", 512),
    "cifar10-preresnet20": Case("paper-epochs", "CIFAR10", "preresnet20", 512),
    "cifar10-vgg13-bn": Case("paper-epochs", "CIFAR10", "vgg13-bn", 256),
    "cifar10-densenet40-k12": Case("paper-epochs", "CIFAR10", "densenet40-k12", 128),
}


@dataclass(frozen=True)
class Work:
    """A case with its data, as both ways are given it.

    Attributes:
        case: The case.
        data: Pinned name of the file that holds its images.
        real: Whether these are images of the data set, not made up.
        recipe: How siblings are retrained.
        siblings: Retrained from each pruned model.
        density: That models are pruned to.
        augmented: Whether training images are cropped and mirrored at random, as is published for the data set.
    """

    case: Case
    data: str
    real: bool
    recipe: Recipe
    siblings: int
    density: float
    augmented: bool = True

    @property
    def dense(self) -> DenseRun:
        """The dense model, as it is before any training: what it has learnt changes no time."""
        published, spec = PUBLISHED[self.case.data], PRESETS[self.case.preset]
        padding, flip = (published.crop_padding, published.flip) if self.augmented else (0, False)
        fraction = spec.validation_fraction if self.case.images is None else 0.0
        return DenseRun(self.data, fraction, self.case.model, self.recipe, 1, Augmentation(padding, flip))

    def stage(self, precision: Precision, first_seed: int = 1, epochs: int | None = None) -> PointStage:
        """The point; with a schedule of so many epochs instead of all."""
        recipe = replace(self.recipe, precision=precision, epochs=epochs or self.recipe.epochs)
        point = Point(self.dense, 0, self.density, "magnitude-uniform", recipe)
        seeds = tuple(range(first_seed, first_seed + self.siblings))
        return PointStage(point, seeds, Label("epochs", 0, "density", self.density))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Siblings that are compared, by their place."""
        return list(combinations(range(self.siblings), 2))

    def sizes(self, whole: bool) -> tuple[int, int, int, int]:
        """Training, validation and test images, and those that CKA is taken on: of what is timed, or the data set's."""
        name, fraction = self.case.data if whole else self.data, self.dense.validation_fraction
        train = training_samples(name, fraction)
        return train, outline(name).train - train, outline(name).test, min(SETTINGS.cka_images, train)

    def times_published(self) -> dict[str, float]:
        """How often each timed part occurs in a whole point: siblings and pairs are done one by one."""
        if self.case.images is None:
            return {"retraining": 1, "measuring": 1}
        (train, _, test, cka), (all_train, _, all_test, all_cka) = self.sizes(False), self.sizes(True)
        epochs = self.recipe.epochs * self.siblings
        return {
            "epoch": epochs * all_train / train,
            "evaluation": epochs * all_test / test,
            "path": len(self.pairs) * all_train / train,
            "similarity": all_cka / cka,
        }

    def times_here(self, processes: int) -> dict[str, float]:
        """Likewise, where a part is done for all siblings at a time, and so many processes do it at once."""
        if self.case.images is None:
            return dict.fromkeys(self.times_published(), 1 / processes)
        _, _, test, _ = self.sizes(False)
        all_train, _, all_test, _ = self.sizes(True)
        times = self.times_published()
        times["epoch"] /= self.siblings
        times["path"] /= max(1, len(self.pairs))
        times["evaluation"] = (TEST_EPOCHS * all_test + all_train) / test  # test errors of the last epochs, train error
        return {part: each / processes for part, each in times.items()}

    def images(self) -> tuple[float, float]:
        """Images that pass through a model in a whole point here, in training and otherwise."""
        train, validation, test, cka = self.sizes(True)
        evaluated = TEST_EPOCHS * (validation + test) + train
        positions = self.siblings + (SETTINGS.path_points - 2) * len(self.pairs)  # ends are shared
        on_paths = 2 * positions * train  # for the statistics, and for the errors
        epochs = self.recipe.epochs * self.siblings
        return epochs * train, self.siblings * (evaluated + cka) + on_paths


def work_of(case: Case, folder: Path, data_folder: str, siblings: int, density: float = 0.1) -> Work:
    """Write the images of a case into a file in a folder; the first ones where it asks for a number."""
    data = _data_set(case.data, data_folder)
    count = case.images
    if data is None:
        assert count is not None
        made_up = random_images(outline(case.data), 2 * count).train
        train, test = made_up[:count], made_up[count:]
    else:
        train, test = data.train[:count], data.test[:count]
    file = _written(train, test, folder / "images.npz")
    return Work(case, file, data is not None, PRESETS[case.preset].retrain_recipe, siblings, density)


def whole_batch_work(work: Work, images: int, folder: Path) -> Work:
    """The same on few images, not augmented, all in one batch: then no random number has a say in a training.

    With a tenth of the learning rate, or rounding would soon decide about the losses of large models.
    """
    data = load(work.data, 0.0)
    file = _written(data.train[:images], data.test[:images], folder / "few.npz")
    case = replace(work.case, images=images)
    recipe = replace(work.recipe, batch_size=images, lr=work.recipe.lr / 10)
    return replace(work, case=case, data=file, recipe=recipe, siblings=1, augmented=False)


def _data_set(name: str, folder: str) -> DataSet | None:
    """A data set if it is there, as torchvision's files or as a file of arrays such as ``cifar10.npz``."""
    base = Path(folder).expanduser()
    if name == "digits" or base.joinpath(*PLACES[name]).exists():
        return load(name, 0.0, folder)
    own = base / f"{name.lower()}.npz"
    return load(pin(str(own)), 0.0) if own.exists() else None


def _written(train: Images, test: Images, file: Path) -> str:
    """Pinned name of a file with these images."""
    np.savez(file, x_train=train.pixels, y_train=train.labels, x_test=test.pixels, y_test=test.labels)
    return pin(str(file))
