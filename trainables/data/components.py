"""Images of fewer dimensions: what their first principal components leave of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.images import COUNTED, DataSet, Images


def projected(data: DataSet, dimension: int) -> tuple[Images, Images]:
    """Training and test images of the same shape, in the space of the training images' first principal components.

    An image x becomes m + V V' (x - m), with m the mean of the training images and the columns of V their first
    principal components, by an exact decomposition in float64. Pixels are float32 then, near [0, 255]: nothing is
    rounded or cut off, which would bring the other dimensions back.

    Args:
        data: With no image held out.
        dimension: Number of components, from 1 to the smaller of the numbers of training images and of pixels.
    """
    from sklearn.decomposition import PCA  # a second that is spent once on each machine

    flat = data.train.pixels.reshape(len(data.train), -1).astype(np.float64)
    solver = "covariance_eigh" if len(flat) >= flat.shape[1] else "full"  # auto may approximate
    fitted = PCA(dimension, svd_solver=solver).fit(flat)
    del flat
    return _projected(data.train, fitted), _projected(data.test, fitted)


def _projected(images: Images, fitted: Any) -> Images:
    pixels = np.empty((len(images), *images.shape), dtype=np.float32)
    for first in range(0, len(images), COUNTED):
        group: NDArray[Any] = images[first : first + COUNTED].pixels
        flat = group.reshape(len(group), -1).astype(np.float64)
        pixels[first : first + COUNTED] = fitted.inverse_transform(fitted.transform(flat)).reshape(group.shape)
    return Images(pixels, images.labels)
