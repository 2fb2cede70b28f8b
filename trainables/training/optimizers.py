"""Optimizers by name, alone or inside sharpness-aware minimization. Imports torch only where one is made."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainables.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True)
class OptimizerKind:
    """An optimizer that treats every weight by itself, as those of several models in one tensor need it.

    Attributes:
        torch_name: Of its class in ``torch.optim``; what no setting says is torch's default.
        settings: Fields of a recipe that are its own, and the names of its arguments; all have lr and weight_decay.
        moments: Numbers that it keeps for each weight.
    """

    torch_name: str
    settings: tuple[str, ...]
    moments: int


OPTIMIZERS = {
    "sgd": OptimizerKind("SGD", ("momentum",), moments=1),
    "adamw": OptimizerKind("AdamW", ("betas",), moments=2),
}
"""Optimizers by the names that recipes and commands have for them."""


def make_optimizer(parameters: "Iterable[nn.Parameter]", recipe: Recipe) -> "Optimizer":
    """The optimizer of a recipe or, for one with ``rho``, SAM around it; the latter's ``step`` needs a closure.

    SAM's perturbation is rho * g / (||g||_2 + 1e-12) with the norm over all parameters (Zhou et al. 2023, after Foret
    et al. 2021, arXiv 2010.01412), so the parameters must be those of a single model. The optimizer then takes its
    step with the gradients at the perturbed weights, and sees no others.
    """
    import torch

    kind = OPTIMIZERS[recipe.optimizer]
    own = {name: getattr(recipe, name) for name in kind.settings}
    settings: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": True} | own
    optimizer = getattr(torch.optim, kind.torch_name)
    if not recipe.rho:
        return optimizer(parameters, **settings)
    from pytorch_optimizer import SAM  # slow to import

    return SAM(parameters, optimizer, rho=recipe.rho, **settings)
