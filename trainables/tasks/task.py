"""What models are trained for: the one interface between a kind of data and training, pruning and measuring."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from metrics.intrinsic_dimension import IntrinsicDimension
from trainables.models.smaller import Shapes, resized, shapes
from trainables.stacks import memory
from trainables.stacks.factory import StackFactory
from trainables.stacks.inputs import Inputs, ModelInputs
from trainables.stacks.stack import Stack

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Batch:
    """What a stack is trained on in a step.

    Attributes:
        inputs: Of every model.
        targets: What the task compares the outputs with, in whatever form it likes.
        samples: Of each model, or of the first where they differ; they tell how fast a training is, nothing else.
    """

    inputs: Inputs
    targets: Any
    samples: int


class Evaluation(NamedTuple):
    """How well models do on a split: a number for each of them, or for each position on the line between two.

    Attributes:
        errors: In [0, 1]; NaN for a diverged model or an empty split.
        losses: Mean cross entropy over the targets, in nats, at least 0; NaN where the error is.
    """

    errors: list[float]
    losses: list[float]


class Task(ABC):
    """Data on a device, the models that suit them, and what is asked of these.

    A *sample* is what the data are counted in: an image, a sentence. Batches of different models of a stack, and of
    different steps, may have different shapes.

    Args:
        device: Where data and stacks are.
        room: Bytes for the largest activation of a measured batch (:mod:`trainables.stacks.memory`).

    Attributes:
        kernels: Whether stacks may compute with kernels of our own.
    """

    def __init__(self, device: torch.device, room: int = memory.ROOM_ON_CPU) -> None:
        self.device, self._room, self.kernels = device, room, True
        self._makers: dict[tuple[str, Shapes], StackFactory] = {}

    @abstractmethod
    def model(self, name: str) -> nn.Module:
        """Make a plain model for these data, on the CPU, initialised from torch's global random state."""

    @abstractmethod
    def example_inputs(self, samples: int) -> ModelInputs:
        """Made-up inputs of one model, on the CPU, always the same; torch's global random state stays as it is."""

    @abstractmethod
    def check_model(self, model: nn.Module, called: str, smallest_batch: int) -> None:
        """Raise ValueError, in one sentence for the user, unless a model can be trained on these data.

        Args:
            model: On the CPU; left in evaluation mode.
            called: How the sentence calls it.
            smallest_batch: Samples in the smallest batch that occurs in training or measuring.
        """

    @abstractmethod
    def steps_per_epoch(self, batch_size: int, drop_last: bool = False) -> int:
        """Steps of an epoch; arguments as of :meth:`batches`."""

    @abstractmethod
    def batches(self, streams: Sequence[torch.Generator], batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        """One pass over the training samples for every model, augmented if they are.

        Args:
            streams: One stream of random numbers for each model; it alone decides that model's batches.
            batch_size: Of a recipe.
            drop_last: Leave out the last batch if it is smaller.
        """

    @abstractmethod
    def losses(self, stack: Stack, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss of every model on its own part of a batch: float32, shape (models,), with a graph for gradients.

        Args:
            stack: In training mode; perhaps under autocast, which is to decide about the forward pass alone.
            batch: One of :meth:`batches`.
            label_smoothing: Share of each target, in [0, 1), that is spread evenly over all classes.
        """

    @abstractmethod
    def loss_parts(self, model: nn.Module, samples: int, at_once: int) -> Iterator[Tensor]:
        """Mean loss of a plain model on the first training samples, not augmented, in parts that add up to it.

        Args:
            model: On the device.
            samples: How many, always the same; all if there are fewer.
            at_once: Samples in a part.

        Yields:
            float32 scalars with a graph: the summed loss of a part's samples over the number of all.
        """

    @abstractmethod
    def evaluation(self, stack: Stack, split: SplitName) -> Evaluation:
        """Errors and losses of every model, in one pass in evaluation mode; NaN for a diverged one or an empty split.

        Losses are the cross entropy of the split's targets, whatever training minimizes: no label smoothing, no weight
        decay, not the user's own loss. Samples are not augmented.
        """

    def errors(self, stack: Stack, split: SplitName) -> list[float]:
        """The errors of :meth:`evaluation`."""
        return self.evaluation(stack, split).errors

    @abstractmethod
    def outputs(self, stack: Stack, samples: int, mixed_up: bool = False) -> Tensor:
        """What CKA compares, of the first so many training samples, in evaluation mode.

        Training samples that are measured are not augmented, and always in the same order.

        Args:
            stack: The models.
            samples: How many, or all if there are fewer.
            mixed_up: Whether samples are mixed up in pairs, always the same, so that there is no fitting them.

        Raises:
            ValueError: If samples of this task cannot be mixed up; one sentence for the user.

        Returns:
            Floating point, shape (models, rows, features); a row is a sample or a part of one.
        """

    @abstractmethod
    def statistics_inputs(self, models: int, batch_size: int) -> Iterator[tuple[Inputs, int]]:
        """Training samples by which batch-norm statistics are re-estimated, the same for every model of a stack.

        They are asked for only where models have batch-norm.

        Args:
            models: Of the stack.
            batch_size: Samples in a batch.

        Yields:
            Inputs of a batch, and its number of samples.
        """

    def scores(self, stack: Stack) -> list[dict[str, Any]]:
        """Further columns of each model's rows, taken once when its training has ended; for most tasks none.

        Args:
            stack: The models.

        Returns:
            For each model values by the names of columns of ``dense`` and ``runs``; numbers are NaN if it diverged.
        """
        return [{} for _ in range(stack.models)]

    def intrinsic_dimension(self, neighbours: int) -> IntrinsicDimension | None:
        """Intrinsic dimension of the training samples, not augmented; None where a task has no notion of it.

        Args:
            neighbours: As of :func:`metrics.intrinsic_dimension.intrinsic_dimension`. None is given, too, for data of
                fewer distinct samples.
        """
        return None

    def stack(
        self,
        name: str,
        models: int,
        masks: Mapping[str, Tensor] | None = None,
        like: Mapping[str, Tensor] | None = None,
    ) -> Stack:
        """Make a stack of so many copies of a new model.

        Args:
            name: Of the architecture.
            models: How many.
            masks: Weights that will not be zero, by parameter name, where float32 is wanted: kernels of our own may
                compute without the others. None for torch's layers alone.
            like: State dictionary of a plain model that may have fewer channels than the architecture: the stack's
                have as many. None for all channels.
        """
        model = self._plain(name, like)
        return self._maker(name, model).stack(model, models, masks if self.kernels else None)

    def models_at_once(self, name: str, models: int, batch_size: int, like: Mapping[str, Tensor] | None = None) -> int:
        """How many of so many models are to be in a stack that is measured in batches of so many samples.

        Args:
            name: Of the architecture.
            models: How many.
            batch_size: Samples in a batch.
            like: As of :meth:`stack`.
        """
        return self._maker(name, self._plain(name, like)).models_at_once(models, batch_size)

    def samples_at_once(self, name: str, tensors: int) -> int:
        """Samples of a batch in which so many tensors of the size of a model's largest activation are in memory."""
        return self._maker(name, self._plain(name, None)).samples_at_once(tensors)

    def _plain(self, name: str, like: Mapping[str, Tensor] | None) -> nn.Module:
        model = self.model(name)
        return model if like is None else resized(model, like)

    def _maker(self, name: str, model: nn.Module) -> StackFactory:
        key = name, shapes(model.state_dict())
        if key not in self._makers:
            self._makers[key] = StackFactory(model, self.example_inputs, self.device, self._room)
        return self._makers[key]
