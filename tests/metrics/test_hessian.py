"""Curvature against closed forms, an exact Hessian and another library."""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian

from metrics.hessian import SMALL, hessian_product, top_eigenvalue, trace

IMAGES, FEATURES, CLASSES = 60, 9, 4


def data(features=FEATURES):
    stream = torch.Generator().manual_seed(3)
    x = torch.randn(IMAGES, features, generator=stream, dtype=torch.float64)
    return x, torch.randint(CLASSES, (IMAGES,), generator=stream)


def network(seed=0):
    """A net of two layers, in float64; with more parameters than are computed whole."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(FEATURES, 12), nn.Tanh(), nn.Linear(12, CLASSES)).double()
    assert sum(p.numel() for p in model.parameters()) > SMALL
    return model


def product_of(model, x, y):
    """Products with the Hessian of the mean cross entropy, in parts of unequal sizes."""

    def parts():
        for images, labels in zip(x.split(25), y.split(25), strict=True):
            yield nn.functional.cross_entropy(model(images), labels, reduction="sum") / len(x)

    return hessian_product(model.parameters(), parts)


def exact(model, x, y):
    """The whole Hessian of the mean cross entropy."""
    names, values = zip(*((name, p.detach()) for name, p in model.named_parameters()), strict=True)
    sizes = [value.numel() for value in values]

    def loss(flat):
        own = {n: f.view_as(v) for n, f, v in zip(names, flat.split(sizes), values, strict=True)}
        return nn.functional.cross_entropy(functional_call(model, own, x), y)

    return hessian(loss)(torch.cat([value.flatten() for value in values]))


@pytest.mark.parametrize("features", [5, 80])
def test_least_squares_has_the_hessian_two_nths_of_x_transposed_x(features):
    x, _ = data(features)
    w = torch.zeros(features, dtype=torch.float64, requires_grad=True)
    product = hessian_product([w], lambda: [(x @ w - 1).square().sum() / IMAGES])
    whole = 2 / IMAGES * x.T @ x
    assert top_eigenvalue(product, features) == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-6)
    found = trace(product, features, 3 * features)
    assert found.value == pytest.approx(float(whole.trace()), rel=1e-12)
    assert found.standard_error == 0


def test_softmax_regression_has_its_closed_form():
    x, y = data()
    model = nn.Linear(FEATURES, CLASSES, bias=False).double()
    p = model(x).softmax(1).detach()
    whole = sum(
        torch.kron(torch.diag(own) - torch.outer(own, own), torch.outer(row, row))
        for own, row in zip(p, x, strict=True)
    )
    whole = whole / IMAGES
    product, count = product_of(model, x, y), FEATURES * CLASSES
    assert top_eigenvalue(product, count) == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-6)
    closed = float(((p * (1 - p)).sum(1) * x.square().sum(1)).mean())
    assert trace(product, count, 3 * count).value == pytest.approx(closed, rel=1e-12)


def test_products_eigenvalue_and_trace_are_those_of_the_exact_hessian():
    x, y = data()
    model = network()
    whole, product = exact(model, x, y), product_of(model, x, y)
    vector = torch.randn(len(whole), dtype=torch.float64)
    assert torch.allclose(product(vector), whole @ vector, atol=1e-12)
    assert top_eigenvalue(product, len(whole)) == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-6)
    found = trace(product, len(whole), 60)
    assert found.standard_error > 0
    assert abs(found.value - float(whole.trace())) < 4 * found.standard_error
    assert found.standard_error < 0.2 * float(whole.trace())


def test_the_largest_eigenvalue_is_not_the_largest_in_magnitude():
    spectrum = torch.linspace(-50, 3, 60, dtype=torch.float64)
    assert top_eigenvalue(lambda vector: spectrum * vector, 60) == pytest.approx(3, rel=1e-3)


def test_another_library_has_the_same_products():
    curvlinops = pytest.importorskip("curvlinops")
    (x, y), model = data(), network(1)
    batches = list(zip(x.split(25), y.split(25), strict=True))
    other = curvlinops.HessianLinearOperator(model, nn.CrossEntropyLoss(), list(model.parameters()), batches)
    product, vector = product_of(model, x, y), torch.randn(sum(p.numel() for p in model.parameters())).double()
    assert torch.allclose(product(vector), other @ vector, atol=1e-12)
    found = trace(product, len(vector), 90)
    theirs = float(curvlinops.hutchpp_trace(other, num_matvecs=90))
    assert abs(found.value - theirs) < 6 * found.standard_error + 0.05 * abs(theirs)


def test_the_standard_error_is_the_spread_over_seeds():
    """Estimates that are independent spread as the error of each says, and their mean is the trace."""
    (x, y), model = data(), network(2)
    whole = exact(model, x, y)
    estimates = [trace(lambda vector: whole @ vector, len(whole), 18, seed) for seed in range(400)]
    values = torch.tensor([each.value for each in estimates])
    mean_square = torch.tensor([each.standard_error for each in estimates]).square().mean().sqrt()
    assert float(values.std() / mean_square) == pytest.approx(1, abs=0.15)
    assert abs(float(values.mean() - whole.trace())) < 4 * float(values.std()) / math.sqrt(len(values))


def test_what_a_loss_does_not_depend_on_has_zeros_and_so_has_a_linear_loss():
    used, unused = (torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    product = hessian_product([used, unused], lambda: [used.square().sum()])
    assert torch.equal(product(torch.ones(6).double()), torch.tensor([2.0, 2, 2, 0, 0, 0]).double())
    assert torch.equal(hessian_product([used], lambda: [used.sum()])(torch.ones(3).double()), torch.zeros(3).double())


def test_a_function_that_can_be_differentiated_once_is_told():
    """Torch's own gradient would leave out its part."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, gradient):
            return 3 * ctx.saved_tensors[0] ** 2 * gradient

    w = torch.ones(4, dtype=torch.float64, requires_grad=True)
    product = hessian_product([w], lambda: [Cube.apply(w).square().sum()])
    with pytest.raises(RuntimeError, match="marked as once_differentiable"):
        product(torch.ones(4).double())


@pytest.mark.parametrize("parameters", [4, 50])
def test_a_product_that_is_not_finite_gives_nan(parameters):
    broken = lambda vector: vector * math.nan  # noqa: E731
    assert math.isnan(top_eigenvalue(broken, parameters))
    assert all(map(math.isnan, trace(broken, parameters, 12)))


@pytest.mark.parametrize("parameters", [4, 50])
def test_a_loss_that_is_flat_has_no_curvature(parameters):
    """As of a model so sure of itself that its gradients are 0 in float32."""
    assert top_eigenvalue(torch.zeros_like, parameters) == 0
    assert trace(torch.zeros_like, parameters, 12) == (0, 0)


def test_products_that_are_not_finite_later_give_nan_too():
    taken = []

    def product(vector):
        taken.append(vector)
        return torch.arange(50).double() * vector * (math.nan if len(taken) > 3 else 1)

    assert math.isnan(top_eigenvalue(product, 50))
    assert all(map(math.isnan, trace(product, 50, 12)))


def test_an_eigenvalue_that_is_not_found_is_not_looked_for_forever():
    """None is above 0, and many are nearly 0, where no accuracy relative to the eigenvalue can be reached."""
    spectrum, taken = -(torch.linspace(0, 1, 100, dtype=torch.float64) ** 4), []

    def product(vector):
        taken.append(vector)
        return spectrum * vector

    assert math.isnan(top_eigenvalue(product, 100))
    assert len(taken) < 1000


def test_of_many_parameters_no_more_than_the_products_is_in_memory():
    """Of a third of the products a vector each: nothing else is as large."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            found = function(*arguments, **(named or {}))
            largest.extend(each.nbytes for each in [found] if isinstance(each, torch.Tensor))
            return found

    with Sizes():
        trace(lambda vector: 2 * vector, 10_000, 30)
    assert max(largest) == 10 * 10_000 * 8


def test_gradients_of_the_model_stay_as_they_are():
    (x, y), model = data(), network()
    product_of(model, x, y)(torch.ones(sum(p.numel() for p in model.parameters())).double())
    assert all(p.grad is None for p in model.parameters())
