"""What the gradient of the training loss says about a model's parameters, on a fixed sample of examples.

All are of all parameters, biases and batch-norm, too, by parameter name, and signed: a rule for filters may add up
those of a filter before it takes a magnitude (Lubana and Dick 2021, arXiv 2009.11839, section 3). The model is plain,
on the device and in evaluation mode. It stays as it is, with the gradients that it holds. Results have the parameters'
shapes, types and device; NaN is where the loss or a weight is not finite.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from trainables.pruning.context import PruningContext

EXAMPLES = 2560
"""Training examples in the published sample (Lubana and Dick 2021)."""

TEMPERATURE = 200.0
"""What logits are divided by before their loss, for GraSP (Wang et al. 2020, arXiv 2002.07376; Lubana, Dick 2021)."""


class Tempered(nn.Module):
    """A model whose logits are divided by a temperature.

    Args:
        model: Whose outputs are logits.
        temperature: Above 0.
    """

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits over the temperature."""
        logits: Tensor = self.model(*inputs)
        return logits / self.temperature


def gradients(context: PruningContext, model: nn.Module, examples: int = EXAMPLES) -> dict[str, Tensor]:
    """Gradient g of the mean training loss.

    Args:
        context: That has the loss.
        model: As said above.
        examples: How many, of every class as many; all if there are fewer.
    """
    return loss_and_gradients(context, model, examples)[1]


def loss_and_gradients(
    context: PruningContext, model: nn.Module, examples: int = EXAMPLES
) -> tuple[float, dict[str, Tensor]]:
    """The mean training loss, in nats where it is cross entropy, and its gradient, in one pass.

    Args:
        context: That has the loss.
        model: As said above.
        examples: As of :func:`gradients`.
    """
    losses: list[Tensor] = []

    def gradient(part: Tensor) -> Iterable[Tensor]:
        losses.append(part.detach())
        return _gradient(part, model)

    found = _summed(model, context.loss_parts(model, examples), gradient)
    return float(torch.stack(losses).double().sum()), found


def hessian_gradient(context: PruningContext, model: nn.Module, examples: int = EXAMPLES) -> dict[str, Tensor]:
    """Product Hg of the mean training loss's Hessian with its gradient.

    In two passes over the examples: g, which then is constant, and the gradient of each part's gradient times g. So
    both are of the whole sample, however large the parts are.

    Args:
        context: That has the loss.
        model: As said above.
        examples: As of :func:`gradients`.
    """
    along = gradients(context, model, examples).values()

    def product(part: Tensor) -> Iterable[Tensor]:
        own = _gradient(part, model, create_graph=True)
        return _gradient(torch.stack([(g * v).sum() for g, v in zip(own, along, strict=True)]).sum(), model)

    return _summed(model, context.loss_parts(model, examples), product)


def first_order(context: PruningContext, model: nn.Module, examples: int = EXAMPLES) -> dict[str, Tensor]:
    """Theta g: how much the loss falls where a parameter becomes 0, to first order (Lubana and Dick 2021, section 3).

    Args:
        context: That has the loss.
        model: As said above.
        examples: As of :func:`gradients`.
    """
    gradient = gradients(context, model, examples)
    return {name: parameter.detach() * gradient[name] for name, parameter in model.named_parameters()}


def second_order(context: PruningContext, model: nn.Module, examples: int = EXAMPLES) -> dict[str, Tensor]:
    """Theta Hg: half of how much the squared norm of the gradient falls where a parameter becomes 0, to first order.

    With logits over :data:`TEMPERATURE`, for GraSP and for what preserves the norm of the gradient alike (Wang et al.
    2020, section 4; Lubana and Dick 2021, section 3, and their code).

    Args:
        context: That has the loss.
        model: As said above; its outputs are logits.
        examples: As of :func:`gradients`.
    """
    product = hessian_gradient(context, Tempered(model, TEMPERATURE), examples)
    return {name: parameter.detach() * product[f"model.{name}"] for name, parameter in model.named_parameters()}


def fisher_information(context: PruningContext, model: nn.Module, examples: int = EXAMPLES) -> dict[str, Tensor]:
    """theta^2 E[g^2], at least 0: the diagonal of the empirical Fisher information, times the squared parameter.

    With the gradients of single examples, as of Theis et al. 2018 (arXiv 1801.05787), whom Lubana and Dick 2021 follow;
    their code squares the gradients of batches, which depends on the batch size. A pass of as many steps as examples.

    Args:
        context: That has the loss.
        model: As said above.
        examples: As of :func:`gradients`.
    """
    parts = 0

    def squared(part: Tensor) -> Iterable[Tensor]:
        nonlocal parts
        parts += 1
        return (gradient.square() for gradient in _gradient(part, model))

    sums = _summed(model, context.loss_parts(model, examples, at_once=1), squared)
    # A part is the loss of its example over the number of all, n: the mean of n^2 squares is n times their sum.
    return {name: parameter.detach().square() * sums[name] * parts for name, parameter in model.named_parameters()}


def _gradient(loss: Tensor, model: nn.Module, create_graph: bool = False) -> tuple[Tensor, ...]:
    """Gradients of all parameters; zeros where the loss does not depend on one."""
    parameters = tuple(model.parameters())
    return torch.autograd.grad(loss, parameters, create_graph=create_graph, materialize_grads=True)


def _summed(
    model: nn.Module, parts: Iterable[Tensor], of_part: Callable[[Tensor], Iterable[Tensor]]
) -> dict[str, Tensor]:
    """Sums over parts of what a part has for each parameter, by parameter name."""
    sums = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    for part in parts:
        for total, each in zip(sums.values(), of_part(part), strict=True):
            total += each
    return sums
