import math

import pytest
import torch

from metrics.sparsity import P, Q, density, density_by_layer, pq_index, pq_index_by_layer

ORDERS = pytest.mark.parametrize(("p", "q"), [(P, Q), (1.0, 2.0), (0.2, 3.0)])


def test_density_weighs_layers_by_their_size():
    masks = {"a": torch.tensor([True, False]), "b": torch.tensor([[True] * 3, [False] * 3])}
    assert density_by_layer(masks) == {"a": 0.5, "b": 0.5}
    assert density(masks | {"c": torch.zeros(8, dtype=torch.bool)}) == 4 / 16


@pytest.mark.parametrize(("p", "q", "expected"), [(0.5, 1.0, 0.75), (1.0, 2.0, 0.5)])
def test_one_weight_of_four_has_the_largest_index(p, q, expected):
    assert pq_index(torch.tensor([0.0, 0.0, -3.0, 0.0]), p, q) == expected


@ORDERS
@pytest.mark.parametrize("size", [1e-40, 0.1, -7.0, 1e38])
def test_equal_magnitudes_have_the_index_zero(p, q, size):
    weights = torch.full((3, 5), size)
    weights[1] *= -1
    assert pq_index(weights, p, q) == 0.0


def test_the_index_of_three_and_four():
    """||w||_1 = 7 and ||w||_2 = 5; the square of the sum of the roots of 1 and 4 is 9."""
    assert pq_index(torch.tensor([3.0, -4.0]), 1, 2) == pytest.approx(1 - 7 / (5 * math.sqrt(2)), abs=1e-15)
    assert pq_index(torch.tensor([1.0, -4.0])) == pytest.approx(1 - 9 / (2 * 5), abs=1e-15)


@ORDERS
def test_the_index_is_one_minus_the_ratio_of_norms(p, q):
    weights = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    sizes = [abs(weight) for weight in weights.flatten().tolist()]
    norms = [sum(size**order for size in sizes) ** (1 / order) for order in (p, q)]
    assert pq_index(weights, p, q) == pytest.approx(1 - 60 ** (1 / q - 1 / p) * norms[0] / norms[1], rel=1e-12)


@ORDERS
@pytest.mark.parametrize(
    "change",
    [
        lambda w: 1e-307 * w,
        lambda w: -1e305 * w,
        lambda w: w.flip(0),
        lambda w: torch.cat([w, w]),
        lambda w: w.view(10, 10),
    ],
    ids=["tiny", "huge", "another order", "twice", "another shape"],
)
def test_size_order_number_and_shape_do_not_count(p, q, change):
    weights = torch.randn(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert pq_index(change(weights), p, q) == pytest.approx(pq_index(weights, p, q), rel=1e-12)


@ORDERS
def test_magnitudes_that_are_nearly_equal_have_no_index_below_zero(p, q):
    weights = 1 + 1e-16 * torch.randn(1000, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert all(0 <= pq_index(each, p, q) < 1e-14 for each in weights)


def test_no_weights_and_zeros_alone_have_the_index_zero():
    assert pq_index(torch.empty(0)) == pq_index(torch.zeros(3)) == 0.0


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_weights_that_are_not_finite_have_none(wrong):
    assert math.isnan(pq_index(torch.tensor([1.0, wrong, 2.0])))


def test_each_layer_has_an_index_of_its_own():
    layers = {"a": torch.eye(2), "b": torch.ones(2, 2, 1), "c": torch.tensor([1.0])}
    assert pq_index_by_layer(layers) == {"a": 0.5, "b": 0.0, "c": 0.0}
