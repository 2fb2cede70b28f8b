"""Pixels that lie in a machine's memory once, for all processes."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.data import Images, load
from trainables.data.mapped import kept
from trainables.tasks.image_classification.batches import Split, TrainingBatches
from trainables.tasks.random_numbers import random_stream

MAPS = Path("/proc/self/maps")
CPU = torch.device("cpu")


@pytest.fixture
def splits():
    digits = load("digits", 0.0)
    return digits.train, digits.test


def test_one_process_loads_and_all_map(splits, tmp_path):
    loaded = []

    def once():
        loaded.append(True)
        return splits

    for _ in range(3):
        found = kept("digits", tmp_path / "decoded", once)
        for there, expected in zip(found, splits, strict=True):
            assert np.array_equal(there.pixels, expected.pixels)
            assert np.array_equal(there.labels, expected.labels)
    assert not MAPS.exists() or str(tmp_path / "decoded" / "digits" / "x_train.npy") in MAPS.read_text()
    assert loaded == [True]


def test_where_nothing_can_be_kept_each_process_loads_its_own(splits, tmp_path):
    (tmp_path / "file").write_text("")
    assert kept("digits", tmp_path / "file" / "decoded", lambda: splits) == splits


def test_what_was_kept_and_is_damaged_is_loaded_again(splits, tmp_path):
    kept("digits", tmp_path, lambda: splits)
    (tmp_path / "digits" / "y_test.npy").write_bytes(b"no array")
    assert kept("digits", tmp_path, lambda: splits) == splits


def test_holding_out_copies_no_pixels(splits, tmp_path):
    everything = kept("digits", tmp_path, lambda: splits)[0]
    order = np.random.default_rng(0).permutation(len(everything))
    some, others = everything[order[100:]], everything[order[:100]][10:20]
    assert np.shares_memory(some.stored, everything.stored)
    assert np.array_equal(others.pixels, everything.pixels[order[10:20]])
    assert (len(others), others.nbytes) == (10, others.pixels.nbytes)


def test_batches_of_a_selection_are_those_of_a_copy_without_a_warning(splits, tmp_path):
    everything = kept("digits", tmp_path, lambda: splits)[0]
    some = everything[np.arange(len(everything))[::-3]]
    data = replace(load("digits", 0.0), train=some)
    copied = replace(data, train=Images(some.pixels.copy(), some.labels))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for makes in (
            lambda each: TrainingBatches(each, CPU).epoch([random_stream("a"), random_stream("b")], 64),
            lambda each: ((images, images) for images in Split(each, each.train, CPU).batches(64)),
        ):
            for (images, labels), (others, other_labels) in zip(makes(data), makes(copied), strict=True):
                assert torch.equal(images, others)
                assert images.stride() == others.stride()
                assert torch.equal(labels, other_labels)
