import math
from itertools import product

import numpy as np
import pytest

from metrics.border_posterior import EXCEPTION, SLOPE, border_posterior, connected_by_border

NAN = math.nan


def loads_of(cells):
    return 0.1 * 2.0 ** np.arange(cells.shape[1])


def posterior(cells):
    return border_posterior(cells, loads_of(cells))


def by_hand(connected):
    """All monotone borders, one after the other, where the load doubles from column to column."""
    count, loads = connected.shape
    found = np.zeros((count + 1, loads))
    for border in product(range(count + 1), repeat=loads):
        if list(border) != sorted(border):
            continue
        likely = math.exp(-(border[-1] - border[0]) / count / (SLOPE * math.log(2)))
        for place, load in product(range(count), range(loads)):
            if not math.isnan(connected[place, load]):
                p = min(max(connected[place, load], EXCEPTION), 1 - EXCEPTION)
                likely *= p if place < border[load] else 1 - p
        for load in range(loads):
            found[border[load], load] += likely
    return found / found.sum(axis=0)


@pytest.mark.parametrize(
    "cells",
    [
        [[NAN]],
        [[0.9]],
        [[NAN, NAN, NAN]] * 2,
        [[0.9, NAN], [0.3, 0.6]],
        [[1.0, NAN, 0.2, 0.9], [NAN, 0.5, NAN, NAN], [0.0, 0.8, 0.1, 1.0]],
    ],
)
def test_it_is_the_sum_over_all_monotone_borders(cells):
    cells = np.array(cells)
    assert posterior(cells) == pytest.approx(by_hand(cells), abs=1e-12)


def test_one_temperature_and_load_that_were_not_measured_are_as_likely_as_not():
    assert posterior(np.array([[NAN]])).tolist() == [[0.5], [0.5]]


def test_a_cell_that_is_connected_tells_of_hotter_ones_and_larger_loads():
    cells = np.full((4, 3), NAN)
    cells[2, 1] = 1.0
    told = connected_by_border(posterior(cells))
    before = connected_by_border(posterior(np.full((4, 3), NAN)))
    assert (told[:3, 1:] > 0.9).all()
    assert told[2, 0] > before[2, 0]
    assert (np.diff(told, axis=0) <= 1e-12).all()
    assert (np.diff(told, axis=1) >= -1e-12).all()


def test_the_nearer_two_loads_are_the_more_one_tells_of_the_other():
    cells = np.array([[NAN, NAN], [0.0, NAN], [NAN, NAN]])
    told = [connected_by_border(border_posterior(cells, np.array([0.1, load])))[1, 1] for load in (0.11, 0.2, 0.9)]
    assert told == sorted(told)
    assert told[0] < 0.1


def test_a_thousand_loads_do_not_run_out_of_numbers():
    cells = np.tile([[0.99], [0.01]], 1000)
    found = border_posterior(cells, np.linspace(0.1, 0.9, 1000))
    assert np.isfinite(found).all()
    assert (found[1] > 0.99).all()
