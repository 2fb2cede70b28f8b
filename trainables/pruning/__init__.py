"""Pruning rules, by the names people write: which weights of a dense model its siblings keep. Imports no torch.

A rule is a function or a class somewhere, and a line of :data:`RULES`, from which help, checks and errors take its
name. There are two kinds:

- A plain :class:`Rule` is called by every point, again after a resume, and for siblings that are added later, perhaps
  on another machine: what it decides may depend on nothing but what it is given.
- A :class:`Method` trains, or takes gradients, which round differently on another machine, or is the user's own. It is
  a stage of its own between the dense model and the points (:mod:`trainables.stages.pruning`), whose pruned models are
  kept in files: one run gives those of all densities.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from trainables.functions import is_function
from trainables.functions import pin as pin_function

if TYPE_CHECKING:
    from trainables.pruning.context import Pruned, PruningContext

PURPOSE = "pruner"
"""What a user's own rule is for, in sentences."""


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


@dataclass(frozen=True)
class Method(Rule):
    """A class of :mod:`trainables.methods`, which is asked for pruned models, high densities first.

    Attributes:
        settings: Fields of :class:`trainables.pruning.settings.PruningSettings` that it takes.
        rounds: Default of the setting of that name.
        trains: What its trainings are like: each as the dense one, or with the recipe of retraining; or there are none.
        has_end: Whether what it does at first depends on the density that it ends with.
        is_of_filters: Whether densities are shares of the filters, and models come out smaller.
        is_in_rounds: Whether its trainings are rounds, which can also be wanted by their number.
        is_at_once: Whether only these rounds train: it prunes to a density without.
    """

    settings: tuple[str, ...] = ()
    rounds: int = 1
    trains: Literal["as dense", "as retraining", ""] = ""
    has_end: bool = False
    is_of_filters: bool = False
    is_in_rounds: bool = False
    is_at_once: bool = False


_ROUNDS, _MOVING = ("scope", "share"), ("scope", "mask_steps")
_LOTTERY = ("scope", "share", "rewind_epoch")
_SAP = ("scope", "rewind_epoch", "rounds", "sap_p", "sap_q", "sap_eta", "sap_gamma", "sap_beta")


def _rounds(name: str, keeps: str, settings: tuple[str, ...], trains: Any, rounds: int = 1) -> Method:
    location = f"trainables.methods.rounds:{name}"
    return Method(location, keeps, settings=settings, trains=trains, rounds=rounds, is_in_rounds=True)


def _moving(name: str, keeps: str) -> Method:
    location = f"trainables.methods.moving:{name}"
    return Method(location, keeps, settings=_MOVING, trains="as retraining", has_end=True)


def _filters(keeps: str, epochs: tuple[int, ...] = ()) -> Method:
    return Method(
        "trainables.methods.filters:Filters",
        keeps,
        epochs,
        settings=("rounds",),
        trains="as retraining",
        has_end=True,
        is_of_filters=True,
        is_in_rounds=True,
    )


RULES: dict[str, Rule] = {
    "magnitude-uniform": WeightsRule("trainables.pruning.magnitude:per_layer", "the largest weights of every layer"),
    "magnitude-global": WeightsRule("trainables.pruning.magnitude:all_layers", "the largest of all layers together"),
    "random": Rule("trainables.pruning.random:per_layer", "as many weights of every layer, drawn at random"),
    "loss": Method("trainables.methods.one_shot:OnGradients", "those that change the loss most, to first order"),
    "grasp": Method("trainables.methods.one_shot:OnGradients", "those that the gradient's norm needs"),
    "fisher": Method("trainables.methods.one_shot:OnGradients", "those of the most Fisher information"),
    "lottery": _rounds(
        "Lottery", "the largest, in rounds of training that begin with the initial weights", _LOTTERY, "as dense"
    ),
    "iterative": _rounds("Iterative", "the largest, in rounds of training that go on", _ROUNDS, "as retraining"),
    "sap": _rounds("Sap", "the largest, in rounds, as many as the PQ Index says", _SAP, "as dense", 30),
    "one-shot": replace(
        _rounds("OneShot", "the largest of the dense model at once, rewound as lottery", _LOTTERY, "as dense"),
        is_at_once=True,
    ),
    "gradual": _moving("Gradual", "the largest, fewer and fewer in one training"),
    "feedback": _moving("Feedback", "as gradual, and what was dropped may come back"),
    "movement": _moving("Movement", "as gradual, by scores that are learned"),
    "filter-magnitude": _filters("whole filters, as with all filter rules, those of the largest norm"),
    "filter-loss": _filters("those whose weights change the loss most, each by itself"),
    "filter-loss-signed": _filters("those that change the loss most"),
    "filter-loss-biased": _filters("as filter-loss, times the distance from the initial weights", (0,)),
    "filter-grasp": _filters("those that the gradient's norm needs"),
    "filter-gradnorm": _filters("those that change the gradient's norm most"),
    "filter-fisher": _filters("those of the most Fisher information"),
    "filter-bn": _filters("those of the largest batch-norm scales"),
}
"""Pruning rules by name."""

OWN = Method("trainables.methods.one_shot:Own", "as a function of the user's own says")
"""What rules of the user's own are."""


def rule_of(name: str) -> Rule:
    """The rule called so, which may be the user's own."""
    return OWN if is_function(name) else RULES[name]


def pin(name: str) -> str:
    """Tie a user's own rule to its source (:mod:`trainables.functions`); other names stay as they are."""
    return pin_function(name, PURPOSE) if is_function(name) else name


def prune(name: str, context: "PruningContext") -> "Pruned":
    """Prune by the plain rule called ``name``.

    Raises:
        ValueError: If its masks are not boolean tensors of the prunable weights' names and shapes.
    """
    pruned = RULES[name].prune(context)
    check_masks(name, pruned.masks, context.weights)
    return pruned


def check_masks(name: str, masks: Any, weights: Any) -> None:
    """Raise ValueError unless masks are boolean tensors of the prunable weights' names and shapes.

    Args:
        name: Of the rule that gave them.
        masks: By parameter name.
        weights: That they are of, by parameter name.
    """
    for each in sorted(weights.keys() | masks.keys()):
        if each not in masks:
            raise ValueError(f"pruning rule {name} gives no mask for {each}")
        if each not in weights:
            raise ValueError(f"pruning rule {name} gives a mask for {each}, which is no prunable weight")
        found = tuple(masks[each].shape), str(masks[each].dtype).removeprefix("torch.")
        if found != (tuple(weights[each].shape), "bool"):
            said = f"its mask for {each} has shape {found[0]} and type {found[1]}"
            raise ValueError(f"pruning rule {name}: {said}, not {tuple(weights[each].shape)} and bool")
