"""Pruning at once that is not the same everywhere: by gradients, or by a function of the user's own."""

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from trainables.functions import call, place, taken
from trainables.functions import pinned as pinned_function
from trainables.methods.method import Method
from trainables.pruning import PURPOSE, check_masks
from trainables.pruning.context import Pruned, PruningContext
from trainables.pruning.on_gradients import fisher, grasp, loss
from trainables.pruning.ranking import highest_of_all
from trainables.training.progress import Progress

ALIKE = 0.01
"""By so much of itself the density of a rule's masks may differ from the one wanted, beside a weight for each layer."""

SCORES = {"loss": loss, "grasp": grasp, "fisher": fisher}
"""What weights are ranked by, by the names of rules."""


class OnGradients(Method):
    """Keep the weights that score highest of all layers together."""

    def until(self, density: float) -> Iterator[Progress]:
        """Nothing is before it."""
        return iter(())

    def pruned(self, density: float) -> Pruned:
        """By the same scores for all densities."""
        return Pruned(highest_of_all(self._scores, density), self.work.context.state)

    @cached_property
    def _scores(self) -> dict[str, Tensor]:
        return SCORES[self.work.pruner](self.work.context)


class Own(Method):
    """Masks as the user's function gives them."""

    @classmethod
    def check(cls, pruner: str, context: PruningContext, densities: Sequence[float]) -> None:
        """Call it for each density."""
        for density in densities:
            own_masks(pruner, _at(context, density))

    def until(self, density: float) -> Iterator[Progress]:
        """Nothing is before it."""
        return iter(())

    def pruned(self, density: float) -> Pruned:
        """Call it, and see whether its masks are such."""
        context = self.work.context
        return Pruned(own_masks(self.work.pruner, _at(context, density)), context.state)


def own_masks(name: str, context: PruningContext) -> Mapping[str, Tensor]:
    """Call a pinned function ``rule(weights, density) -> masks``, which may also take ``model`` and ``context``.

    Args:
        name: Of the function.
        context: The model to be pruned, and the density.

    Raises:
        ValueError: If there is no such function, it has changed or fails, takes something else, or its masks are not
            boolean tensors of the weights' names and shapes, or not of this density; one sentence.
    """
    location, function = place(name), pinned_function(name, PURPOSE)
    weights = {name: weight.clone() for name, weight in context.weights.items()}  # it may change them
    possible = {"weights": weights, "density": context.density, "context": context}
    parameters = inspect.signature(function).parameters.values()
    needed = [each.name for each in parameters if each.default is each.empty and each.kind < each.VAR_KEYWORD]
    if strange := [each for each in needed if each not in {*possible, "model"} and not each.startswith("*")]:
        raise ValueError(f"{location} takes {strange[0]}; what it may take is {', '.join(possible)} and model")
    if "model" in inspect.signature(function).parameters:
        possible["model"] = context.model_at(context.epoch)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(context.random_stream("own").initial_seed())
        masks = call(location, function, **taken(function, possible))
    if not isinstance(masks, Mapping):
        raise ValueError(
            f"{location} returned {type(masks).__name__}, which is no dictionary of masks, tensors by name"
        )
    if strange := [name for name, mask in masks.items() if not isinstance(mask, Tensor)]:
        kind = type(masks[strange[0]]).__name__
        raise ValueError(f"{location} returned a {kind} as the mask for {strange[0]}, which is to be a tensor")
    masks = {name: mask.cpu() for name, mask in masks.items()}
    check_masks(location, masks, context.weights)
    kept = sum(int(mask.count_nonzero()) for mask in masks.values())
    wanted = context.density * sum(mask.numel() for mask in masks.values())
    if abs(kept - wanted) > ALIKE * wanted + len(masks):
        raise ValueError(f"{location} kept {kept} weights, and density {context.density:g} is {wanted:.0f} of them")
    return masks


def _at(context: PruningContext, density: float) -> PruningContext:
    """The same, with another density."""
    other = copy.copy(context)
    other.density = density
    return other
