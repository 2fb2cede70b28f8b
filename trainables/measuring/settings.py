"""How models are measured. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CurvatureSettings:
    """Settings of the curvature of a dense model; the number of images is Yang et al.'s (2021, arXiv 2107.11228).

    Attributes:
        images: Training samples, of every class as many, whose mean loss the Hessian is of; all if there are fewer.
        products: With the Hessian, from which its trace is estimated, at least 6.
    """

    images: int = 200
    products: int = 30


@dataclass(frozen=True)
class MeasurementSettings:
    """Settings of the metrics; the defaults are the paper's (Zhou et al. 2023, section 4.1).

    Attributes:
        path_points: Positions on the line between two siblings at which the error is taken, ends included.
        batch_norm_batch_size: Images in a batch when batch-norm statistics are re-estimated on the line.
        cka_images: CKA is taken on this many training images, or on all if there are fewer.
    """

    path_points: int = 11
    batch_norm_batch_size: int = 64
    cka_images: int = 6400
