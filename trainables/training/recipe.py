"""How a model is trained: everything that decides a training but its data, model and seed."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with step decay.

    The defaults are those of Zhou et al. 2023 for CIFAR-10 and PreResNet-20 (section 4.1 and appendix A).

    Attributes:
        epochs: Passes over the training data of the whole schedule.
        batch_size: Images in a step; the last, smaller batch of an epoch is used too.
        lr: Learning rate at the start.
        momentum: Of SGD, in [0, 1).
        weight_decay: L2 penalty on all parameters.
        milestones: Shares of the schedule after which the learning rate is multiplied by ``decay``.
        decay: Factor at each milestone.
        iterations: Steps of the whole schedule. If given, the schedule counts in steps, and the last, smaller batch of
            an epoch is dropped; ``epochs`` are then those it takes, the last perhaps in part.
        rho: Radius of the perturbation of sharpness-aware minimization (SAM; Foret et al. 2021, arXiv 2010.01412);
            0 for plain SGD.
        precision: Of the forward and backward pass in training; weights and all evaluation are float32.
    """

    epochs: int = 160
    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    milestones: tuple[float, ...] = (0.5, 0.75)
    decay: float = 0.1
    iterations: int | None = None
    rho: float = 0.0
    precision: Precision = "float32"

    def lr_at(self, done: int) -> float:
        """Learning rate after so many epochs, or with ``iterations`` after so many steps."""
        whole = self.epochs if self.iterations is None else self.iterations
        return self.lr * self.decay ** sum(done >= round(share * whole) for share in self.milestones)
