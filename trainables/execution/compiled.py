"""Models whose forward and backward pass ``torch.compile`` turns into code of their own.

Compiled code is kept in the folder ``torchinductor_<user>`` of the machine's folder for temporary files, or in
``TORCHINDUCTOR_CACHE_DIR``: trials, workers and sweeps of a user on a machine share it.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from trainables.stacks.stack import plainly

MOST_CODES = 512
"""Of that many kinds of models, batch sizes and precisions a process may have compiled code; torch's own is 8."""


class Compiled:
    """Computes a stack's models in training by compiled code, and plainly in evaluation.

    One code serves all models of an architecture. It is of the shapes of the first batch alone, since others would have
    to be compiled as well: the last, smaller batch of an epoch is computed plainly.

    Args:
        mode: As ``torch.compile`` takes it.

    Attributes:
        problem: Why it computes plainly after all; None if it does not.
    """

    def __init__(self, mode: str | None = None) -> None:
        self._mode = mode
        self._usual: list[torch.Size] | None = None
        self.problem: Exception | None = None

    def __call__(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """Outputs of a module."""
        if not module.training or self.problem is not None:
            return plainly(module, *inputs)
        shapes = [each.shape for each in inputs]
        self._usual = self._usual or shapes
        if shapes != self._usual:
            return plainly(module, *inputs)
        try:
            return _compiled_call(self._mode)(module, *inputs)
        except torch._dynamo.exc.TorchDynamoException as problem:  # of compiling: nothing was computed yet
            self.problem = problem
        return plainly(module, *inputs)


@cache
def _compiled_call(mode: str | None) -> Callable[..., Tensor]:
    """A call of a module, compiled once for each kind of module, not for each module."""
    import torch._dynamo

    torch._dynamo.config.recompile_limit = MOST_CODES
    torch._dynamo.config.accumulated_recompile_limit = MOST_CODES

    def call(module: nn.Module, *inputs: Tensor) -> Tensor:
        return plainly(module, *inputs)

    # Whole models, or none: where only parts can be compiled, as often as not it is slower.
    return torch.compile(call, mode=mode, fullgraph=True, dynamic=False)


def draws_random_numbers(work: Callable[[], object], device: torch.device) -> bool:
    """Whether work draws from torch's global random numbers; compiled code would draw others."""
    states = [torch.get_rng_state] + [torch.cuda.get_rng_state] * (device.type == "cuda")
    before = [state() for state in states]
    work()
    return any(not torch.equal(then, state()) for then, state in zip(before, states, strict=True))
