"""How a model is trained: everything that decides a training but its data, model and seed. Imports no torch."""

from dataclasses import dataclass, field
from typing import Literal

Precision = Literal["float32", "bfloat16"]
PrecisionOption = Literal["float32", "bfloat16", "auto"]
"""What a user may ask for; auto is one of the others before anything is trained."""


@dataclass(frozen=True)
class Recipe:
    """An optimizer with a schedule of its learning rate.

    The defaults are those of Zhou et al. 2023 for CIFAR-10 and PreResNet-20 (section 4.1 and appendix A): stochastic
    gradient descent (SGD) with step decay.

    Attributes:
        epochs: Passes over the training data of the whole schedule.
        batch_size: Images in a step; the last, smaller batch of an epoch is used too.
        lr: Learning rate that the schedule multiplies: its highest.
        momentum: Of SGD, in [0, 1); other optimizers have none.
        weight_decay: Of all parameters; an L2 penalty with SGD, decoupled from the gradients with AdamW.
        milestones: Shares of the schedule, in (0, 1) and ascending, after which step decay multiplies the learning rate
            by ``decay``; other schedules have none.
        decay: Factor at each milestone.
        iterations: Steps of the whole schedule. If given, the schedule counts in steps, and the last, smaller batch of
            an epoch is dropped; ``epochs`` are then those it takes, the last perhaps in part.
        rho: Radius of the perturbation of sharpness-aware minimization (SAM; Foret et al. 2021, arXiv 2010.01412)
            around the optimizer; 0 for none.
        precision: Of the forward and backward pass in training; weights and all evaluation are float32.
        optimizer: A name of :data:`trainables.training.optimizers.OPTIMIZERS`.
        schedule: A name of :data:`trainables.training.schedules.SCHEDULES`.
        warmup: Share of the schedule, in [0, 1), in which the learning rate rises step by step from 0.
        label_smoothing: Share of each target, in [0, 1), that is spread evenly over all classes in the training loss.
        gradient_clipping: Largest L2 norm of the gradients of all parameters of a model that are not pruned; larger
            ones are scaled down to it. 0 for no such limit.
        betas: Of AdamW, each in [0, 1); the defaults are those of Kingma and Ba 2015 (arXiv 1412.6980).
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
    optimizer: str = field(default="sgd", metadata={"added": True})
    schedule: str = field(default="step", metadata={"added": True})
    warmup: float = field(default=0.0, metadata={"added": True})
    label_smoothing: float = field(default=0.0, metadata={"added": True})
    gradient_clipping: float = field(default=0.0, metadata={"added": True})
    betas: tuple[float, float] = field(default=(0.9, 0.999), metadata={"added": True})

    @property
    def length(self) -> int:
        """The whole schedule, in what it counts in: epochs, or steps if ``iterations`` are given."""
        return self.epochs if self.iterations is None else self.iterations
