import math
from fractions import Fraction

import pytest

from trainables.pruning.schedules import cubic_density, telescoping_share


@pytest.mark.parametrize(
    ("done", "density"), [(-1, 1.0), (0, 1.0), (0.25, 0.1 + 0.9 * 27 / 64), (0.5, 0.2125), (1, 0.1), (3, 0.1)]
)
def test_cubic_densities_are_closed_forms(done, density):
    assert cubic_density(0.1, done) == pytest.approx(density, abs=1e-15)
    assert 1 - cubic_density(0.1, done) == pytest.approx(0.9 * (1 - (1 - min(max(done, 0), 1)) ** 3), abs=1e-15)


def test_a_cubic_density_may_begin_below_one_and_ends_exactly():
    assert cubic_density(0.2, 0.0, initial=0.6) == pytest.approx(0.6)
    assert cubic_density(0.2, 0.5, initial=0.6) == pytest.approx(0.25)
    assert cubic_density(0.05, 1.0) == 0.05
    falling = [cubic_density(0.05, step / 100) for step in range(101)]
    assert falling == sorted(falling, reverse=True)


def test_the_published_rounds():
    shares = [telescoping_share(0.75, k, 25) for k in range(1, 26)]
    assert shares[0] == pytest.approx(0.75 / 7)  # 0.10714
    assert shares[-1] == pytest.approx(0.03)
    assert math.prod(1 - share for share in shares) == pytest.approx(0.25, rel=1e-14)


@pytest.mark.parametrize(("total", "rounds"), [(Fraction(3, 4), 25), (Fraction(9, 10), 1), (Fraction(1, 7), 6)])
def test_what_rounds_leave_telescopes_exactly(total, rounds):
    left = Fraction(1)
    for k in range(1, rounds + 1):
        left *= 1 - telescoping_share(total, k, rounds)
        assert left == rounds * (1 - total) / (k * total + rounds * (1 - total))
    assert left == 1 - total


def test_nothing_is_pruned_of_a_total_of_nothing():
    assert telescoping_share(0.0, 2, 3) == 0.0
