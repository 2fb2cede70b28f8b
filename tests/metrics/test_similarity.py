import math

import pytest
import torch

from metrics.similarity import linear_cka


def gram_cka(x, y):
    """HSIC with n x n Gram matrices, as CKA was first defined."""
    n = len(x)
    centre = torch.eye(n).double() - 1 / n
    k, l = centre @ (x @ x.T) @ centre, centre @ (y @ y.T) @ centre  # noqa: E741
    return float((k * l).sum() / ((k * k).sum() * (l * l).sum()).sqrt())


@pytest.fixture
def outputs():
    torch.manual_seed(0)
    x = torch.randn(50, 7).double() + 3
    return x, 0.5 * x.roll(1, 1) + torch.randn(50, 7).double()


def test_equals_the_brute_force_gram_definition(outputs):
    assert linear_cka(*outputs) == pytest.approx(gram_cka(*outputs), abs=1e-12)
    x, y = outputs
    assert linear_cka(x, y[:, :4]) == pytest.approx(gram_cka(x, y[:, :4]), abs=1e-12)


@pytest.mark.parametrize(("rows", "features"), [(7, (8, 9)), (8, (8, 9)), (9, (8, 9)), (20, (50, 30)), (20, (5, 50))])
def test_with_fewer_rows_than_features_it_is_the_same_number(rows, features):
    torch.manual_seed(0)
    x = torch.rand(rows, features[0]).double()
    y = torch.randn(rows, features[1]).double() + x[:, :1]
    assert linear_cka(x, y) == pytest.approx(gram_cka(x, y), abs=1e-12)
    assert linear_cka(y, x) == pytest.approx(gram_cka(x, y), abs=1e-12)
    assert linear_cka(x, 3 * x - 2) == pytest.approx(1, abs=1e-12)


def test_outputs_of_images_are_compared_by_products_of_classes_as_ever():
    torch.manual_seed(0)
    x, y = (torch.randn(64, 10).softmax(-1) for _ in range(2))
    a, b = (each.double() - each.double().mean(0) for each in (x, y))
    assert linear_cka(x, y) == float((a.T @ b).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm()))


def test_memory_is_of_the_smaller_products():
    torch.manual_seed(0)
    x, y = torch.rand(4, 10).double(), torch.rand(4, 10).double()
    wide = x.repeat(1, 20_000), y.repeat(1, 20_000)  # whose other products have 320 GB each
    assert linear_cka(*wide) == pytest.approx(gram_cka(x, y), abs=1e-12)


def test_invariant_to_rotation_scale_and_shift(outputs):
    x, y = outputs
    rotation = torch.linalg.qr(torch.randn(7, 7).double())[0]
    assert linear_cka(x, 3 * x @ rotation - 2) == pytest.approx(1)
    assert linear_cka(x, 0.01 * y @ rotation + 9) == pytest.approx(linear_cka(x, y))
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x))


def test_not_invariant_to_what_it_should_see(outputs):
    x, _ = outputs
    shuffled = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    assert linear_cka(x, shuffled) < 0.5


def test_a_constant_output_is_undefined_also_after_rounding(outputs):
    x, _ = outputs
    assert math.isnan(linear_cka(x, torch.full((50, 3), 0.1)))
    assert math.isnan(linear_cka(torch.full((50, 3), 1 / 3).softmax(-1), x))
    few, same = x[:5], torch.full((5, 9), 0.1)
    assert math.isnan(linear_cka(few, same))
    assert math.isnan(linear_cka(same, few))
    assert math.isnan(linear_cka(few, few * math.inf))


def test_an_output_that_is_constant_but_for_the_rounding_of_float32_is_undefined(outputs):
    noisy = torch.full((50, 3), 1 / 3)
    noisy[25:] = torch.nextafter(noisy[25:], torch.tensor(1.0))  # as another batch might round it
    assert math.isnan(linear_cka(noisy, noisy))
    assert not math.isnan(linear_cka(outputs[0] * 1e-5, outputs[1]))  # a small output is not a constant one


def test_outputs_on_different_images_are_refused(outputs):
    with pytest.raises(ValueError, match="50 and 49"):
        linear_cka(outputs[0], outputs[1][:49])
