"""Curvature of a loss: the largest eigenvalue of its Hessian and its trace, from products with vectors alone."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""Product of the Hessian with a vector: float64 on the CPU, shape (parameters,), as what it returns."""

SMALL = 32
"""Hessians of up to so many parameters are computed whole: what finds one eigenvalue of many needs more of them."""

TOLERANCE = 1e-4
"""Relative accuracy of the eigenvalue; products in float32 give no more."""


VECTORS = 12
"""Lanczos vectors before a restart: so many products are taken at least, and for trained models they suffice."""

RESTARTS = 100
"""At most. What is not found then is nearly 0, one of many, where no accuracy relative to itself can be reached."""


class Trace(NamedTuple):
    """An estimate of a trace.

    Attributes:
        value: Of the trace; NaN if a product is not finite.
        standard_error: Over the random vectors of the estimate, at least 0; NaN likewise.
    """

    value: float
    standard_error: float


def hessian_product(parameters: Iterable[Tensor], loss_parts: Callable[[], Iterable[Tensor]]) -> Product:
    """Products with the Hessian of a loss, each by two backward passes over all of its parts (Pearlmutter 1994).

    Args:
        parameters: Of which the loss is a function, of any shapes and one floating point type, on one device. They
            stay as they are. Where the loss does not depend on one, its rows are zero.
        loss_parts: Gives scalars with graphs that add up to the loss, anew for each product.

    Raises:
        RuntimeError: Where a product is taken and a part of the loss cannot be differentiated twice.
    """
    own = list(parameters)
    sizes = [each.numel() for each in own]

    def product(vector: Tensor) -> Tensor:
        along = [part.view_as(each).to(each) for part, each in zip(vector.split(sizes), own, strict=True)]
        total = torch.zeros_like(vector)
        for loss in loss_parts():
            gradients = torch.autograd.grad(loss, own, create_graph=True, materialize_grads=True)
            slope = torch.stack([(g * v).sum() for g, v in zip(gradients, along, strict=True)]).sum()
            if slope.requires_grad:  # not where the loss is linear
                _check_graph(slope)
                rows = torch.autograd.grad(slope, own, materialize_grads=True)
                total += torch.cat([row.flatten() for row in rows]).to(total)
        return total

    return product


def _check_graph(of: Tensor) -> None:
    """Raise RuntimeError for a ``once_differentiable`` function: torch leaves it out of a gradient without a word."""
    nodes, seen = [of.grad_fn], {of.grad_fn}
    while nodes:
        node = nodes.pop()
        assert node is not None  # as none is put in
        if node.name().endswith("Error"):
            raise RuntimeError("a function that is marked as once_differentiable cannot be differentiated twice")
        following = {each for each, _ in node.next_functions if each is not None} - seen
        seen |= following
        nodes += following


def top_eigenvalue(product: Product, parameters: int) -> float:
    """Largest eigenvalue of a symmetric matrix, by the Lanczos method (scipy's ``eigsh``) from a fixed vector.

    Args:
        product: With the matrix.
        parameters: Its rows.

    Returns:
        Algebraically largest, to :data:`TOLERANCE` of itself. NaN if a product is not finite, or if it is not found in
        :data:`RESTARTS`.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh  # a quarter of a second

    if parameters <= SMALL:
        whole = torch.stack([product(row) for row in torch.eye(parameters, dtype=torch.float64)])
        return float(torch.linalg.eigvalsh((whole + whole.T) / 2)[-1]) if whole.isfinite().all() else math.nan
    start = _direction(_signs(parameters, 1)[:, 0])
    first = product(start)
    if not first.isfinite().all():
        return math.nan
    if not first.any():  # the loss is flat to the last bit, which ARPACK takes for a mistake
        return 0.0

    def times(vector):  # type: ignore[no-untyped-def]  # numpy's arrays, in shapes that scipy chooses
        found = product(torch.from_numpy(vector.reshape(-1).astype("float64")))
        if not found.isfinite().all():
            raise FloatingPointError  # or ARPACK would give some number
        return found.numpy()

    operator = LinearOperator((parameters, parameters), matvec=times, dtype="float64")
    own = {"v0": start.numpy(), "tol": TOLERANCE, "ncv": VECTORS, "maxiter": RESTARTS}
    try:
        return float(eigsh(operator, k=1, which="LA", return_eigenvectors=False, **own)[0])
    except (ArpackNoConvergence, FloatingPointError):
        return math.nan


def trace(product: Product, parameters: int, products: int, seed: int = 0) -> Trace:
    """Trace of a symmetric matrix by Hutch++ (Meyer et al. 2021, arXiv 2010.09649, algorithm 1), from fixed vectors.

    A third of the products finds where the matrix is large, a third gives the trace there exactly, and the mean of a
    third of random ones that of the rest. The standard error is that of this mean, the one thing that is random once
    the first is done. It is 0 where nothing is left for the rest.

    Args:
        product: With the matrix.
        parameters: Its rows.
        products: How many to take, at least 6, fewer where there are not so many parameters.
        seed: Of the vectors.
    """
    each = min(products // 3, parameters)
    signs = _signs(parameters, 2 * each, seed)
    sketch = torch.empty(each, parameters, dtype=torch.float64)  # and what comes of it: all that is large
    for row, own in zip(sketch, signs[:, :each].T, strict=True):
        row.copy_(product(_direction(own)))
    if not sketch.isfinite().all():
        return Trace(math.nan, math.nan)
    basis = torch.linalg.qr(sketch.T).Q
    del sketch
    exact = sum(float(vector @ product(vector)) for vector in basis.T)
    if each == parameters:
        return Trace(exact, 0.0)
    found = torch.empty(each, dtype=torch.float64)
    for index, own in enumerate(signs[:, each:].T):
        vector = _direction(own)
        vector -= basis @ (basis.T @ vector)
        found[index] = vector @ product(vector)
    return Trace(exact + float(found.mean()), float(found.std()) / math.sqrt(each))


def _signs(parameters: int, count: int, seed: int = 0) -> Tensor:
    """Random signs of vectors, always the same, 0 for negative: int8, shape (parameters, count)."""
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(2, (parameters, count), generator=stream, dtype=torch.int8)


def _direction(signs: Tensor) -> Tensor:
    """The vector of these signs: float64, shape (parameters,)."""
    return signs.double() * 2 - 1
