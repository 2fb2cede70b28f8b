import numpy as np
import pytest
import torch

from trainables.data import DataSet, Images, load
from trainables.tasks.image_classification.batches import Split, TrainingBatches
from trainables.tasks.random_numbers import random_stream

CPU = torch.device("cpu")


@pytest.fixture
def numbered():
    """Images whose pixels tell which image and pixel they are; mean 1 and std 2 in each of two channels."""
    pixels = np.arange(1, 1 + 5 * 4 * 4 * 2, dtype=np.uint8).reshape(5, 4, 4, 2)
    images = Images(pixels, np.arange(5))
    return DataSet(images, images[:0], images, 5, (1.0, 2.0), (2.0, 4.0), crop_padding=1, flip=True)


def test_splits_are_normalised_by_channel(numbered):
    split = Split(numbered, numbered.test, CPU)
    first, last = split.batches(4)
    assert (first.shape, last.shape) == ((4, 2, 4, 4), (1, 2, 4, 4))
    assert first[0, :, 0, 1].tolist() == [(3 - 1) / 2, (4 - 2) / 4]
    assert [len(batch) for batch in split.batches(2, images=3)] == [2, 1]


@pytest.mark.parametrize(
    ("count", "chosen"),
    [
        (0, []),
        (1, [0]),
        (2, [0, 1]),
        (3, [0, 1, 4]),
        (5, [0, 1, 4, 2, 3]),  # of the second ones that of class 2 comes first
        (7, [0, 1, 4, 2, 3, 6, 5]),
        (8, [0, 1, 4, 2, 3, 6, 5, 7]),  # of classes 0 and 1 there is no more
        (99, [0, 1, 4, 2, 3, 6, 5, 7]),
    ],
)
def test_a_balanced_sample_has_as_many_of_every_class_as_there_are(count, chosen):
    pixels = np.arange(8, dtype=np.uint8)[::-1].reshape(8, 1, 1, 1)
    images = Images(pixels.copy(), np.array([1, 2, 2, 1, 0, 2, 0, 2]), order=np.arange(8)[::-1].copy())
    split = Split(DataSet(images, images, images, 3, (0.0,), (1.0,), 0, False), images, CPU)
    sample = split.balanced(count)
    assert torch.cat([*sample.batches(3), torch.empty(0, 1, 1, 1)]).flatten().tolist() == chosen
    assert sample.labels.tolist() == split.labels[chosen].tolist()
    assert len(sample) == len(chosen)
    assert len(split) == len(next(split.batches(9))) == 8


def test_every_model_sees_every_image_once_an_epoch_with_its_label(numbered):
    batches = list(TrainingBatches(numbered, CPU).epoch([random_stream("a"), random_stream("b")], 2))
    assert [images.shape for images, _ in batches] == [(2, 2, 2, 4, 4), (2, 2, 2, 4, 4), (2, 1, 2, 4, 4)]
    for model in range(2):
        assert sorted(torch.cat([labels[model] for _, labels in batches]).tolist()) == [0, 1, 2, 3, 4]
    for images, labels in batches:
        middle = images[:, :, 0] * 2 + 1  # (models, batch, h, w): first channel's pixels
        number = (middle[:, :, 1:3, 1:3].amax((2, 3)) - 1) // 32  # which image the inner pixels come from
        assert torch.equal(number, labels.float())


def test_augmentation_is_a_crop_of_the_black_bordered_image_perhaps_mirrored(numbered):
    original = np.pad(numbered.train.pixels, ((0, 0), (1, 1), (1, 1), (0, 0)))
    seen = set()
    for epoch in range(40):
        for images, labels in TrainingBatches(numbered, CPU).epoch([random_stream(epoch)], 5):
            pixels = (
                images[0] * torch.tensor([2.0, 4.0])[:, None, None] + torch.tensor([1.0, 2.0])[:, None, None]
            ).round()
            for image, label in zip(pixels.permute(0, 2, 3, 1).numpy(), labels[0], strict=True):
                found = [
                    (top, left, mirrored)
                    for top in range(3)
                    for left in range(3)
                    for mirrored in (False, True)
                    if np.array_equal(
                        image, original[label, top : top + 4, left : left + 4][:, :: -1 if mirrored else 1]
                    )
                ]
                assert len(found) == 1
                seen.add(found[0])
    assert len(seen) == 18  # every shift, mirrored and not


def test_a_models_batches_depend_on_its_own_stream_alone(numbered):
    alone = list(TrainingBatches(numbered, CPU).epoch([random_stream("b")], 2))
    together = list(TrainingBatches(numbered, CPU).epoch([random_stream("a"), random_stream("b")], 2))
    for (images, labels), (both, both_labels) in zip(alone, together, strict=True):
        assert torch.equal(images[0], both[1])
        assert torch.equal(labels[0], both_labels[1])


def test_streams_differ_by_every_name():
    numbers = {
        tuple(torch.rand(2, generator=random_stream(*names)).tolist())
        for names in (("dense", 1, 0), ("dense", 1, 1), ("dense", 2, 0), ("retrain", 1, 0))
    }
    assert len(numbers) == 4


def test_digits_are_real_balanced_and_divided_as_said():
    data = load("digits", 0.1)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1167, 130, 500]
    assert data.train.pixels.shape[1:] == (8, 8, 1)
    assert data.train.pixels.max() == 16
    assert np.bincount(data.train.labels).min() > 100
    together = np.concatenate([split.pixels for split in (data.train, data.validation, data.test)])
    assert len(np.unique(together.reshape(1797, -1), axis=0)) == 1797  # no image in two splits


def test_the_test_images_do_not_depend_on_the_validation_fraction():
    assert np.array_equal(load("digits", 0.0).test.pixels, load("digits", 0.5).test.pixels)
    assert len(load("digits", 0.0).validation) == 0


def test_unknown_data():
    with pytest.raises(ValueError, match="unknown data set 'cifar11'; the data sets are: digits"):
        load("cifar11", 0.1)
