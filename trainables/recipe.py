"""How a model is trained: everything that decides a training but its data, model and seed."""

from dataclasses import dataclass


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
        milestones: Shares of ``epochs`` after which the learning rate is multiplied by ``decay``.
        decay: Factor at each milestone.
    """

    epochs: int = 160
    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    milestones: tuple[float, ...] = (0.5, 0.75)
    decay: float = 0.1

    def lr_at(self, epoch: int) -> float:
        """Learning rate of the epoch with this number, counted from 0."""
        return self.lr * self.decay ** sum(epoch >= round(share * self.epochs) for share in self.milestones)
