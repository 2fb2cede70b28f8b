"""A made-up language: twelve words, whose translation is the sentence backwards."""

import random

import torch

from trainables.data import pin
from trainables.stages import finish
from trainables.tasks import load_task
from trainables.training.recipe import Recipe

WORDS = "abcdefghijkl"
VOCABULARY = "bpe29"
"""Each word is a token: four that are no pieces, twelve words, and the characters."""

MODEL = "transformer1x32-h2"
RECIPE = Recipe(epochs=20, batch_size=128, lr=0.01, weight_decay=0.0, optimizer="adamw", betas=(0.9, 0.98), warmup=0.1)


def sentences(count, seed=0, longest=6):
    """So many, of 3 to 6 words."""
    chosen = random.Random(seed)
    return [chosen.choices(WORDS, k=chosen.randint(3, longest)) for _ in range(count)]


def write(folder, **splits):
    """Write sentences, each a list of words, and their translations; the languages are ``xx`` and ``yy``."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        (folder / f"{split}.xx").write_text("".join(f"{' '.join(row)}\n" for row in rows))
        (folder / f"{split}.yy").write_text("".join(f"{' '.join(row[::-1])}\n" for row in rows))
    return f"{folder}:xx-yy"


def toy(folder, train=1000, valid=40, test=40, cache=None):
    """Write a text, and give its pinned name; its vocabulary is in ``cache``, or else in the folder ``cache`` in it."""
    splits = {"train": sentences(train, 1), "valid": sentences(valid, 2), "test": sentences(test, 3)}
    name = write(folder, **{split: rows for split, rows in splits.items() if rows})
    return pin(f"{name}-{VOCABULARY}", str(cache or folder / "cache"))


def toy_task(folder, validation_fraction=0.0, loss=None, **sizes):
    """Task of such a text, on the CPU."""
    name = toy(folder, **sizes)
    return load_task(name, validation_fraction, torch.device("cpu"), folder=str(folder / "cache"), loss=loss)


def carry_out_all(stage, machine):
    """Rows of a stage, after all that it needs."""
    for needed in stage.needs:
        carry_out_all(needed, machine)
    return finish(stage.execute(machine))
