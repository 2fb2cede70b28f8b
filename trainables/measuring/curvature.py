"""Curvature of the training loss at a trained model. Imports torch when something is measured."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from trainables.measuring.settings import CurvatureSettings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.tasks.task import Task

GRAPH = 8
"""Times as large as an evaluation the graph of a second derivative is taken to be, in memory."""


class Curvature(NamedTuple):
    """What the Hessian of the training loss says of a model, in nats per squared unit of weight.

    Attributes:
        eigenvalue: Its largest; NaN if a product with it is not finite.
        trace: An estimate of its trace; NaN likewise.
        trace_standard_error: Of that estimate.
    """

    eigenvalue: float
    trace: float
    trace_standard_error: float


def curvature(name: str, state: "Mapping[str, Tensor]", task: "Task", settings: CurvatureSettings) -> Curvature:
    """Curvature of the mean training loss on a fixed sample, not augmented, in evaluation mode, over all parameters.

    Without weight decay and label smoothing (Yang et al. 2021, section 2.3).

    Args:
        name: Of the architecture.
        state: State dictionary of a plain model with all of its channels.
        task: Whose training samples and loss these are.
        settings: How much is measured.

    Raises:
        RuntimeError: If a layer has no second derivative.
    """
    from metrics.hessian import hessian_product, top_eigenvalue, trace
    from trainables.tasks.evaluation import in_float32

    model = task.model(name)
    model.load_state_dict(state)
    model = model.to(task.device).eval().requires_grad_()
    parameters = list(model.parameters())
    count = sum(parameter.numel() for parameter in parameters)
    at_once = task.samples_at_once(name, GRAPH)
    product = hessian_product(parameters, lambda: task.loss_parts(model, settings.images, at_once))
    with in_float32():
        return Curvature(top_eigenvalue(product, count), *trace(product, count, settings.products))
