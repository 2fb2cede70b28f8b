"""Pruning rules, by the names people write: which weights of a dense model its siblings keep. Imports no torch.

A rule is a function in a file of this folder and a line of :data:`RULES`, from which help, checks and errors take its
name. It is called again after a resume, and for siblings that are added later, perhaps on another machine, so what it
decides may depend on nothing but what it is given.

What the first rule of its kind will have to bring along:

- Gradients round differently on another machine. A point whose rule takes them has to keep its masks in a file.
- A rule that trains in rounds of its own is a stage (:mod:`trainables.stages`), which keeps pruned models of several
  densities as a dense training keeps those of several epochs. Its line is of another kind of :class:`Rule`, which says
  that points need this stage, and whose ``prune`` takes what it kept.
- Models that come out smaller, and masks that change while siblings train, are fields of
  :class:`~trainables.pruning.context.Pruned`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.pruning.context import Pruned, PruningContext


@dataclass(frozen=True)
class Rule:
    """A function ``rule(context) -> Pruned`` of :mod:`trainables.pruning.context`.

    Attributes:
        location: ``package.module:function``, imported when it is needed.
        keeps: Which weights are kept, for a person.
        epochs: Other epochs of the dense training whose models it takes, such as 0 for the initial weights: points
            need these, too.
    """

    location: str
    keeps: str
    epochs: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.keeps

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        module, _, name = self.location.partition(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function

    def prune(self, context: "PruningContext") -> "Pruned":
        """Call it."""
        pruned: Pruned = self.function(context)
        return pruned


class WeightsRule(Rule):
    """The simplest: a function ``rule(weights, density) -> masks`` of tensors by parameter name.

    Siblings begin with the weights that the dense model has.
    """

    def prune(self, context: "PruningContext") -> "Pruned":
        """Call it."""
        from trainables.pruning.context import Pruned

        return Pruned(self.function(context.weights, context.density), context.state)


RULES: dict[str, Rule] = {
    "magnitude-uniform": WeightsRule("trainables.pruning.magnitude:per_layer", "the largest weights of every layer"),
    "magnitude-global": WeightsRule("trainables.pruning.magnitude:all_layers", "the largest of all layers together"),
    "random": Rule("trainables.pruning.random:per_layer", "as many weights of every layer, drawn at random"),
}
"""Pruning rules by name."""


def prune(name: str, context: "PruningContext") -> "Pruned":
    """Prune by the rule called ``name``.

    Raises:
        ValueError: If its masks are not boolean tensors of the prunable weights' names and shapes.
    """
    pruned = RULES[name].prune(context)
    wanted = {name: (weight.shape, "torch.bool") for name, weight in context.weights.items()}
    found = {name: (mask.shape, str(mask.dtype)) for name, mask in pruned.masks.items()}
    if wrong := [each for each in sorted(wanted.keys() | found.keys()) if wanted.get(each) != found.get(each)]:
        raise ValueError(f"pruning rule {name} gives no mask that fits {wrong[0]}")
    return pruned
