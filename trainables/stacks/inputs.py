"""What goes into the models of a stack and comes out of them; shapes are the task's affair."""

from collections.abc import Callable, Sequence

from torch import Tensor

ModelInputs = Tensor | tuple[Tensor, ...]
"""What the ``forward`` of one model takes: a tensor, or several."""

Inputs = Tensor | Sequence[ModelInputs]
"""Those of every model of a stack: as many as there are models, of whatever shapes; or one tensor whose first dimension
is the models."""

Outputs = Tensor | Sequence[Tensor]
"""What every model gives: likewise."""

Example = Callable[[int], ModelInputs]
"""Makes up inputs of one model, of so many samples: random, and of a usual size."""


def arguments(inputs: ModelInputs) -> tuple[Tensor, ...]:
    """Arguments of a model's ``forward``."""
    return (inputs,) if isinstance(inputs, Tensor) else inputs
