"""What a pruning rule is given, and what it gives."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from trainables.models.smaller import resized
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.inputs import ModelInputs

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Pruned:
    """A pruned model, from which all siblings are retrained.

    Attributes:
        masks: Boolean tensors by parameter name, on the CPU, True where a weight is kept; of all prunable weights.
            Empty if the model came out smaller and nothing of it is masked.
        state: State dictionary of the plain model that siblings begin with, but for zeros where a weight is dropped.
            Its shapes say how small the model is.
        before: How many weights of each prunable parameter there were before, by name; None if masks tell that.
    """

    masks: Mapping[str, Tensor]
    state: State
    before: Mapping[str, int] | None = None


class PruningContext(ABC):
    """What a rule may use of a dense model. What takes time is done when it is asked for.

    Args:
        density: Fraction of the prunable weights to keep, in (0, 1].
        epoch: Epochs of dense training after which the model is pruned.
    """

    def __init__(self, density: float, epoch: int) -> None:
        self.density, self.epoch = density, epoch

    @abstractmethod
    def state_at(self, epoch: int) -> State:
        """State dictionary of the plain model after so many epochs of the same dense training. Not to be changed.

        Raises:
            ArtifactError: If it is not kept.
        """

    @abstractmethod
    def plain_model(self) -> nn.Module:
        """Make a plain model of this architecture, with any weights, on the device."""

    @abstractmethod
    def example_inputs(self, samples: int) -> ModelInputs:
        """Made-up inputs of the model, on the CPU, always the same."""

    @abstractmethod
    def random_stream(self, *names: str | int) -> torch.Generator:
        """Random numbers, on the CPU, that depend on the dense model's seed and these names alone.

        Not on temperature, density or machine, nor on what was drawn before.
        """

    @abstractmethod
    def loss_parts(self, model: nn.Module, examples: int, at_once: int = 64) -> Iterator[Tensor]:
        """Mean training loss of a model on a fixed sample, in parts that add up to it.

        Each part can be differentiated by itself, also twice: gradients and Hessian-vector products are sums over
        parts, in the memory that one of them takes, and parts of one example give the gradients of each. It has no
        weight decay, label smoothing and augmentation in it. On a GPU convolutions use TensorFloat-32, as in training.

        Args:
            model: Plain, of :meth:`model_at`; in the mode in which it is.
            examples: How many training examples, always the same; of every class as many, where there are classes and
                as far as they have them; all if there are fewer.
            at_once: Examples in a part.

        Yields:
            float32 scalars: the summed loss of a part's examples over the number of all.
        """

    @cached_property
    def state(self) -> State:
        """State dictionary of the model that is pruned. Not to be changed."""
        return self.state_at(self.epoch)

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Prunable weights of the model that is pruned, by parameter name, on the CPU. Not to be changed."""
        return {name: weight.cpu() for name, weight in prunable_weights(self.model_at(self.epoch)).items()}

    def model_at(self, epoch: int) -> nn.Module:
        """Make the plain model as it was after so many epochs: the caller's own, in evaluation mode, on the device.

        All of its parameters have gradients, also those that its training left as they were.

        Raises:
            ArtifactError: If it is not kept.
        """
        return self.model_of(self.state_at(epoch))

    def model_of(self, state: State) -> nn.Module:
        """As :meth:`model_at`, with these weights.

        Args:
            state: State dictionary of the plain model, which may be smaller than the architecture.
        """
        model = resized(self.plain_model(), state)
        model.load_state_dict(state)
        return model.eval().requires_grad_()


def masked(state: State, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dictionary with zeros for the weights that masks, boolean tensors by parameter name, do not keep."""
    return dict(state) | {name: state[name] * mask for name, mask in masks.items()}
