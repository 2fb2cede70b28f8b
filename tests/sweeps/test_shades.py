"""Colours of the phase diagram."""

import math
from itertools import combinations

import numpy as np
import pytest

from sweeps.views.shades import (
    CIVIDIS,
    NOTHING,
    PHASE_COLORS,
    REGIME_COLORS,
    color_range,
    contrast,
    ink,
    known,
    log_ticks,
    regime_scale,
    shade,
    tick_text,
    ticks,
)

SEEN = {
    "all": np.eye(3),
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "without blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""What people see of linear red, green and blue (Machado, Oliveira, Fernandes 2009, severity 1)."""


def lab(color, seen):
    """CIE L*a*b* of a colour, D65."""
    channels = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    x, y, z = np.array(to_xyz) @ np.clip(np.array(seen) @ linear, 0, 1) / (0.95047, 1, 1.08883)
    root = [np.cbrt(each) if each > 0.008856 else 7.787 * each + 16 / 116 for each in (x, y, z)]
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize(
    "scale",
    [
        CIVIDIS,
        *map(regime_scale, REGIME_COLORS),
        *((color,) * 2 for color in PHASE_COLORS.values()),
        (NOTHING, NOTHING),
    ],
    ids=lambda it: it[-1],
)
def test_letters_can_be_read_on_every_shade(scale):
    for share in np.linspace(0, 1, 501):
        color = shade(scale, share)
        assert contrast(ink(color), color) >= 4.5


def test_contrast_is_that_of_the_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)
    assert contrast("#ffffff", "#777777") == contrast("#777777", "#ffffff")


@pytest.mark.parametrize("seen", SEEN)
def test_regimes_are_told_apart_by_the_colour_blind(seen):
    three = [REGIME_COLORS[regime] for regime in ("I", "II-A", "II-B")]
    assert min(np.linalg.norm(lab(a, SEEN[seen]) - lab(b, SEEN[seen])) for a, b in combinations(three, 2)) > 30


def test_regimes_grow_lighter_in_grey():
    lightness = [lab(REGIME_COLORS[regime], SEEN["all"])[0] for regime in ("I", "II-A", "II-B")]
    assert min(np.diff(lightness)) > 15


@pytest.mark.parametrize("seen", SEEN)
def test_phases_are_told_apart_by_the_colour_blind(seen):
    pairs = combinations(PHASE_COLORS.values(), 2)
    assert min(np.linalg.norm(lab(a, SEEN[seen]) - lab(b, SEEN[seen])) for a, b in pairs) > 20


def test_phases_differ_in_grey():
    lightness = sorted(lab(color, SEEN["all"])[0] for color in PHASE_COLORS.values())
    assert min(np.diff(lightness)) > 9


def test_shades_are_interpolated():
    assert shade(("#000000", "#ffffff"), 0.5) == "#808080"
    assert [shade(CIVIDIS, share) for share in (-1, 0, 1 / 9, 1, 2)] == [*(CIVIDIS[place] for place in (0, 0, 1, 9, 9))]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2, 3, 4], (0, 4)),
        ([0, 1, 2, 3, 5], (0, 5)),  # as far from 3 as 1 is
        ([0, 1, 2, 3, 5.01], (0, 3)),
        ([-1.01, 1, 2, 3, 4], (1, 4)),
        ([-90, 1, 2, 3, 90], (1, 3)),
        ([0, 1, 2, 90], (0, 90)),  # of so few none is an outlier
        ([*range(20), 90, 91], (0, 19)),  # two of 22
        ([*range(17), 90, 91, 92], (0, 92)),  # one of 20 at most
        ([-0.5, -0.4, -0.3, *[0] * 9], (-0.5, 0)),  # a small regime
        ([1, 1, 1, 1, 5], (1, 5)),  # else nothing would be told apart
        ([2, 2], (1.9, 2.1)),
        ([0, 0], (-5e-5, 5e-5)),
    ],
)
def test_an_outlier_does_not_widen_the_range(values, expected):
    assert color_range(values) == pytest.approx(expected)


def test_a_range_contains_what_is_to_be_shown():
    assert color_range([-0.02, -0.01], (-0.05, 0)) == (-0.05, 0)
    assert color_range([0, 1, 2, 3, 90], (7,)) == (0, 7)
    assert color_range([], ()) == pytest.approx((-5e-5, 5e-5))


def test_what_is_known_is_in_order():
    assert known([[3, math.nan], [1, 2]]) == [1, 2, 3]


def test_ticks_are_round_and_make_way_for_the_mark():
    assert ticks(-0.34, 0) == [-0.3, -0.2, -0.1, 0]
    assert ticks(-0.34, 0, -0.05) == [-0.3, -0.2, -0.1, -0.05, 0]
    assert ticks(0.8, 1, 0.985) == [0.8, 0.85, 0.9, 0.95, 0.985]
    assert tick_text(-0.05) == "−0.05"


@pytest.mark.parametrize(
    ("low", "high", "mark", "written"),
    [
        (0.001, 1000, None, ["0.001", "0.1", "10", "1000"]),
        (0.002, 40, None, ["0.01", "0.1", "1", "10"]),
        (30, 1400, None, ["50", "100", "200", "500", "1000"]),
        (1, 12, None, ["1", "2", "5", "10"]),
        (0.0014, 0.93, 0.004, ["0.004", "0.01", "0.03", "0.1", "0.3"]),
        (20, 60, None, ["20", "30", "40", "50", "60"]),
        (1e-7, 0.1, None, ["1e−7", "1e−5", "0.001", "0.1"]),
        (10, 400000, None, ["10", "100", "1000", "10000", "100000"]),
    ],
)
def test_ticks_of_a_logarithmic_scale(low, high, mark, written):
    places = log_ticks(math.log10(low), math.log10(high), None if mark is None else math.log10(mark))
    assert [tick_text(10**place) for place in places] == written
