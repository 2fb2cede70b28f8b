import math
from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import make_swiss_roll

from metrics import intrinsic_dimension as module
from metrics.intrinsic_dimension import TooFewPointsError, distinct, intrinsic_dimension


def gaussian(rank, points=3000, seed=0):
    """Points of a Gaussian of this rank in 100 dimensions."""
    random = np.random.default_rng(seed)
    return random.standard_normal((points, rank)) @ random.standard_normal((rank, 100))


def test_four_points_on_a_line():
    """At 0, 1, 3 and 7: distances 1 3 7, 1 2 6, 2 3 4 and 4 6 7, of which the third are compared with the others."""
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    inverses = [math.log(7 * 7 / 3), math.log(6 * 6 / 2), math.log(4 * 4 / 6), math.log(7 * 7 / 24)]
    found = intrinsic_dimension(points, 3)
    mean = sum(inverses) / 4
    assert found.dimension == pytest.approx(1 / mean, rel=1e-12)
    spread = math.sqrt(sum((own - mean) ** 2 for own in inverses) / 3)
    assert found.standard_error == pytest.approx(spread / (2 * mean**2), rel=1e-12)
    assert (found.neighbours, found.duplicates) == (3, 0)


@pytest.mark.parametrize(("rank", "expected"), [(2, 1.9), (5, 4.7), (10, 8.6), (20, 14.2)])
def test_gaussians_of_known_rank(rank, expected):
    assert intrinsic_dimension(gaussian(rank)).dimension == pytest.approx(expected, rel=0.03)


def test_a_swiss_roll_is_a_surface():
    assert intrinsic_dimension(make_swiss_roll(3000, random_state=0)[0]).dimension == pytest.approx(1.95, abs=0.15)


def test_moving_and_scaling_points_changes_nothing():
    points = gaussian(5, 500)
    moved = intrinsic_dimension(-7 * points + 1000).dimension
    assert moved == pytest.approx(intrinsic_dimension(points).dimension, rel=1e-9)


def test_duplicates_are_dropped_and_counted():
    points = gaussian(5, 500)
    twice = np.concatenate([points, points[:100], points[:50]])
    found = intrinsic_dimension(twice)
    assert found == intrinsic_dimension(points)._replace(duplicates=150)


def test_distinct_points_keep_their_order_and_zero_has_one_sign():
    assert distinct(np.array([[3, 1], [2, 2], [3, 1], [0, 1]])).tolist() == [[3, 1], [2, 2], [0, 1]]
    assert len(distinct(np.array([[0.0], [-0.0], [1.0]]))) == 2


@pytest.mark.parametrize("neighbours", [2, 0, -1])
def test_fewer_than_three_neighbours_say_nothing(neighbours):
    with pytest.raises(ValueError, match=f"takes 3 neighbours or more, not {neighbours}"):
        intrinsic_dimension(gaussian(2, 10), neighbours)


@pytest.mark.parametrize("points", [gaussian(2, 20), np.ones((100, 4)), np.concatenate([gaussian(2, 20)] * 3)])
def test_as_many_neighbours_as_distinct_points_are_too_many(points):
    with pytest.raises(TooFewPointsError, match="20 neighbours of a point are not among"):
        intrinsic_dimension(points, 20)


def test_points_at_equal_distances_have_no_finite_dimension():
    found = intrinsic_dimension(np.eye(30), 5)
    assert found.dimension == math.inf
    assert math.isnan(found.standard_error)


def test_types_of_numbers():
    images = np.random.default_rng(0).integers(256, size=(300, 4, 4, 3), dtype=np.uint8)
    expected = intrinsic_dimension(images.astype(np.float64).reshape(300, -1))
    for own in (images, images.astype(np.float32), images.astype(np.int64)):
        assert intrinsic_dimension(own).dimension == pytest.approx(expected.dimension, rel=1e-6)
        assert intrinsic_dimension(own).standard_error == pytest.approx(expected.standard_error, rel=1e-6)


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_points_that_lie_near_to_each_other_far_from_zero(far):
    """Products of numbers near 1e4 are rounded by more than what is between these neighbours, squared."""
    points = np.outer(np.random.default_rng(0).standard_normal(5000), np.ones(9)) + far
    assert intrinsic_dimension(points).dimension == pytest.approx(0.99, abs=0.05)


def test_the_standard_error_is_the_spread_over_samples():
    found = [intrinsic_dimension(gaussian(5, 1000, seed)) for seed in range(40)]
    spread = np.std([own.dimension for own in found], ddof=1)
    assert 0.5 < np.mean([own.standard_error for own in found]) / spread < 1.5


def test_of_many_points_some_are_asked_always_the_same(monkeypatch):
    points = gaussian(5, 3000)
    every = intrinsic_dimension(points)
    errors = [every.standard_error]
    for most in (750, 188):
        monkeypatch.setattr(module, "MOST_ASKED", most)
        found = intrinsic_dimension(points)
        assert found == intrinsic_dimension(points)
        assert abs(found.dimension - every.dimension) < 4 * found.standard_error
        errors.append(found.standard_error)
    assert all(more == pytest.approx(2 * fewer, rel=0.25) for fewer, more in pairwise(errors[1:]))
