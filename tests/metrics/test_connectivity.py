import math

import pytest
import torch
from torch import nn

from metrics.connectivity import bezier, interpolate, linear_mode_connectivity, path_positions, reestimate_batch_norm


def test_formula_check_of_the_definitions():
    assert linear_mode_connectivity([0.2118, 0.2303, 0.3529, 0.2247, 0.2018]) == pytest.approx(-0.1461)


def test_sign_a_barrier_is_negative_and_a_better_path_positive():
    assert linear_mode_connectivity([0.1, 0.5, 0.3]) == pytest.approx(-0.3)
    assert linear_mode_connectivity([0.4, 0.1, 0.2]) == pytest.approx(0.2)
    assert linear_mode_connectivity([0.25, 0.25, 0.25]) == 0


def test_the_largest_deviation_counts_whatever_its_sign_and_the_ends_count_too():
    assert linear_mode_connectivity([0.3, 0.1, 0.35, 0.3]) == pytest.approx(0.2)
    assert linear_mode_connectivity([0.0, 0.2, 0.4]) == pytest.approx(0.2)  # t* is the first end


def test_an_undefined_error_makes_lmc_undefined():
    assert math.isnan(linear_mode_connectivity([0.1, math.nan, 0.1]))


def test_a_path_has_two_ends():
    with pytest.raises(ValueError, match="1 errors were given"):
        linear_mode_connectivity([0.1])


def test_positions_include_the_ends():
    assert path_positions(11) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])


def test_interpolation_is_linear_in_every_parameter_and_exact_at_the_ends():
    start, end = ({"w": torch.randn(3, 4), "b": torch.randn(4), "count": torch.tensor(n)} for n in (3, 5))
    for position in (0.0, 1.0):
        ends = interpolate(start, end, position)
        assert all(torch.equal(ends[name], (start, end)[int(position)][name]) for name in ("w", "b"))
    quarter = interpolate(start, end, 0.25)
    assert torch.allclose(quarter["w"], 0.75 * start["w"] + 0.25 * end["w"])
    assert quarter["count"] == 3


@pytest.mark.parametrize("last", [3, 1])
def test_batch_norm_statistics_are_the_average_over_batches_weighted_by_their_samples(last):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
    model(torch.randn(20, 2, 6, 6) * 5)  # statistics to be forgotten
    batches = [torch.randn(size, 2, 6, 6) + shift for size, shift in ((8, 0.0), (8, 2.0), (last, -1.0))]
    with torch.no_grad():
        reestimate_batch_norm(model, [(batch, len(batch)) for batch in batches])
        features = [model[0](batch) for batch in batches]
    share = torch.tensor([8.0, 8.0, last])[:, None] / (16 + last)
    means = (share * torch.stack([x.mean((0, 2, 3)) for x in features])).sum(0)
    variances = (share * torch.stack([x.var((0, 2, 3), unbiased=True) for x in features])).sum(0)
    assert torch.allclose(model[1].running_mean, means, atol=1e-5)
    assert torch.allclose(model[1].running_var, variances, atol=1e-5)
    assert model[1].momentum == 0.1
    assert model.training


def test_a_model_without_batch_norm_is_not_run_and_one_with_it_needs_samples():
    def never():
        raise AssertionError("asked for")
        yield

    reestimate_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), never())
    with pytest.raises(ValueError, match="a model with batch-norm needs samples"):
        reestimate_batch_norm(nn.BatchNorm1d(2), [])


def test_a_bezier_curve_has_exact_ends_its_formula_between_them_and_is_the_line_with_its_bend_in_the_middle():
    start, bend, end = ({"w": torch.randn(3, 4), "count": torch.tensor(n)} for n in (3, 4, 5))
    assert torch.equal(bezier(start, bend, end, 0.0)["w"], start["w"])
    assert torch.equal(bezier(start, bend, end, 1.0)["w"], end["w"])
    found = bezier(start, bend, end, 0.3)
    assert torch.allclose(found["w"], 0.49 * start["w"] + 0.42 * bend["w"] + 0.09 * end["w"], atol=1e-6)
    assert found["count"] == 3
    middle = interpolate(start, end, 0.5)
    for t in path_positions(11):
        assert torch.allclose(bezier(start, middle, end, t)["w"], interpolate(start, end, t)["w"], atol=1e-6)


@pytest.mark.parametrize(("bend", "points", "connectivity"), [(None, 11, -1), (2.0, 5, -0.1875), (2.0, 11, -0.2304)])
def test_on_a_ring_the_line_has_a_barrier_and_a_curve_a_lower_one(bend, points, connectivity):
    """Closed form: E = min(1, | |w|^2 - 1 |) between (1, 0) and (-1, 0), by the line, or by way of (0, 2)."""
    start, end = ({"w": torch.tensor([x, 0.0], dtype=torch.float64)} for x in (1.0, -1.0))
    curve = {"w": torch.tensor([0.0, bend or 0.0], dtype=torch.float64)}
    places = [bezier(start, curve, end, t)["w"] for t in path_positions(points)]
    errors = [min(1.0, abs(float(w @ w) - 1)) for w in places]
    assert linear_mode_connectivity(errors) == pytest.approx(connectivity, abs=1e-12)
