"""Images on a random manifold: made up by a fixed random network from a few numbers, which decide the labels, too."""

import numpy as np
from numpy.typing import NDArray

from trainables.data.images import COUNTED, Images, Outline

SEED = 20230515
"""Of the latent numbers and of both networks. ``RandomState`` draws the same in every version of numpy."""

HIDDEN = 256
"""Units between latent numbers and pixels, or twice as many as latent numbers: a bottleneck they are not."""

CONTRAST = 3.0
"""Standard deviation, roughly, of what the sigmoid makes pixels of."""

TEACHER_UNITS = 32

ROUNDS = 300
"""In which the classes are brought to the same frequency."""


def random_manifold(like: Outline, dimension: int) -> tuple[Images, Images]:
    """Training and test images, as many and of the same shape as others, of so many dimensions, with as many classes.

    Each image has latent numbers z, independent and standard normal. Its pixels are 255 sigmoid(W2 tanh(W1 z)), as
    float32, and its label is the largest output of a teacher, W4 tanh(W3 z + b), standardised, minus an offset for each
    class, by which the classes are about equally frequent among the training images. All weights are normal, scaled by
    the number of a unit's inputs, and fixed.

    After the hidden manifold model of Goldt et al. 2020 (arXiv 1909.11500, section II), in which inputs are one random
    layer of the latent numbers, and labels are a teacher's of these; sizes, the sigmoid and the offsets are ours.

    Args:
        like: Sizes of the others.
        dimension: Number of latent numbers, from 1 on.
    """
    random = np.random.RandomState(SEED)
    hidden = max(HIDDEN, 2 * dimension)
    latent = random.standard_normal((like.train + like.test, dimension))
    first = random.standard_normal((dimension, hidden)) / np.sqrt(dimension)
    shape = like.height, like.width, like.channels
    second = CONTRAST * random.standard_normal((hidden, np.prod(shape))) / np.sqrt(hidden)
    pixels = np.empty((len(latent), *shape), dtype=np.float32)
    for begin in range(0, len(latent), COUNTED):
        group = np.tanh(latent[begin : begin + COUNTED] @ first) @ second
        pixels[begin : begin + COUNTED] = (255 / (1 + np.exp(-group))).reshape(-1, *shape)
    labels = _labels(latent, like, random)
    return Images(pixels[: like.train], labels[: like.train]), Images(pixels[like.train :], labels[like.train :])


def _labels(latent: NDArray[np.float64], like: Outline, random: np.random.RandomState) -> NDArray[np.int64]:
    weights = random.standard_normal((latent.shape[1], TEACHER_UNITS)) / np.sqrt(latent.shape[1])
    units = np.tanh(latent @ weights + random.standard_normal(TEACHER_UNITS))
    outputs = units @ random.standard_normal((TEACHER_UNITS, like.classes))
    outputs = (outputs - outputs[: like.train].mean(0)) / outputs[: like.train].std(0)
    offsets = np.zeros(like.classes)
    for done in range(ROUNDS):  # what is too frequent is made less likely, in steps that become smaller
        counts = np.bincount((outputs[: like.train] - offsets).argmax(1), minlength=like.classes)
        offsets += 0.3 * (np.minimum(counts * like.classes / like.train, 2) - 1) / np.sqrt(1 + done)
    return (outputs - offsets).argmax(1)
