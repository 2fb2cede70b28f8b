import numpy as np
import pytest

from metrics.turning_points import moves, turns


@pytest.mark.parametrize(
    ("curve", "at"),
    [
        ([3, 1, 2, 5, 4], (1, 3)),
        ([3, 2, 1], (2, 2)),
        ([3, 1, 1], (1, 1)),
        ([1, 2, 3], (0, 2)),
        ([5, 1, 2, 0, 4, 3], (3, 4)),
        ([2, 1, 1, 4, 4], (1, 3)),
        ([7], (0, 0)),
    ],
)
def test_the_largest_rise(curve, at):
    assert turns(curve) == at


def test_moves_are_taken_where_the_others_turn():
    curves = np.array([[3.0, 1, 5, 4], [2.0, 1, 4, 2]])
    assert moves(curves) == [(2, 4, 1), (1, 3, 2)]
    assert moves(np.array([[3.0, 2, 1], [5.0, 2, 2]])) == [(1, 0, 1), (3, 0, 0)]
    assert moves(np.array([[3.0, 1, 5, 4], [3.0, 4, 1, 2]]))[0] == (0, -2, -3)  # the second rises from 0 to 1


def test_noise_moves_nowhere_on_average():
    generator = np.random.default_rng(0)
    found = np.array([own for _ in range(400) for own in moves(generator.normal(size=(3, 20)))])
    errors = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0)) < 4 * errors).all()


def test_bad_curves():
    with pytest.raises(ValueError, match="no values"):
        turns([])
    with pytest.raises(ValueError, match="NaN"):
        turns([1.0, float("nan")])
    with pytest.raises(ValueError, match="there are 1 curves"):
        moves(np.zeros((1, 3)))
