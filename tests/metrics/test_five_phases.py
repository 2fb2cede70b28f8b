"""Five phases by thresholds: published cases, both sides of each threshold, and what is not known."""

import math

import pytest

from metrics.connectivity import linear_mode_connectivity
from metrics.five_phases import PHASES, PhaseThresholds, five_phase, possible_phases

NAN = math.nan
DEFAULT = PhaseThresholds()


@pytest.mark.parametrize(
    ("loss", "mc", "cka", "drawn"),
    [
        (0.926, -0.0622, 0.486, "I"),  # batch size 16, width 2
        (0.0215, -0.2939, 0.346, "I"),  # 512, 4
        (0.219, 0.0578, 0.537, "II"),  # 16, 16
        (0.0032, -0.0967, 0.512, "III"),  # 364, 8
        (0.0015, -0.0013, 0.684, "IV-A"),  # 256, 32
        (0.0014, -0.0001, 0.773, "IV-B"),  # 92, 64
    ],
)
def test_published_cells_have_the_phase_that_is_drawn(loss, mc, cka, drawn):
    """Released results of Yang et al. 2021 and their drawn figure."""
    assert five_phase(loss, mc, cka, DEFAULT) == drawn


@pytest.mark.parametrize(
    ("percent", "mc"),
    [
        ((5.814, 0.332, 2.492, 0.372, 6.41), 0.0578),
        ((0.034, 5.346, 29.426, 5.158, 0.04), -0.29389),
        ((0, 0.09, 9.674, 0.108, 0), -0.09674),
    ],
)
def test_published_mode_connectivity_is_that_of_the_errors_on_their_curves(percent, mc):
    assert linear_mode_connectivity([value / 100 for value in percent]) == pytest.approx(mc, abs=1e-12)


@pytest.mark.parametrize(
    ("at", "beyond"),
    [
        ((0.004, 0.0, 1.0), (math.nextafter(0.004, 1), 0.0, 1.0)),  # IV-B and II
        ((0.004, -1.0, 1.0), (math.nextafter(0.004, 1), -1.0, 1.0)),  # III and I
        ((0.0, -0.0175, 1.0), (0.0, math.nextafter(-0.0175, -1), 1.0)),  # IV-B and III
        ((1.0, -0.0175, 1.0), (1.0, math.nextafter(-0.0175, -1), 1.0)),  # II and I
        ((0.0, 0.0, 0.71), (0.0, 0.0, math.nextafter(0.71, 0))),  # IV-B and IV-A
    ],
)
def test_a_value_on_a_border_is_on_its_better_side(at, beyond):
    order = {"IV-B": 0, "IV-A": 1, "II": 2, "III": 2, "I": 3}
    on, off = five_phase(*at, DEFAULT), five_phase(*beyond, DEFAULT)
    assert order[on] < order[off]


def test_what_is_not_known_is_not_told():
    assert five_phase(NAN, 0.0, 0.9, DEFAULT) is None
    assert five_phase(0.0, NAN, 0.9, DEFAULT) is None
    assert five_phase(0.0, 0.0, NAN, DEFAULT) == "IV"
    assert five_phase(1.0, 0.0, NAN, DEFAULT) == "II"
    assert five_phase(0.0, -1.0, NAN, DEFAULT) == "III"


def test_other_thresholds_give_other_phases():
    assert five_phase(0.02, -0.1, 0.5, PhaseThresholds(loss=0.03, mc=-0.2, cka=0.4)) == "IV-B"


def test_intervals_that_reach_over_borders_allow_several_phases():
    assert possible_phases((0.001, 0.002), (-0.01, 0.0), (0.8, 0.9), DEFAULT) == ["IV-B"]
    assert possible_phases((0.001, 0.002), (-0.1, 0.0), (0.6, 0.9), DEFAULT) == ["III", "IV-A", "IV-B"]
    assert possible_phases((0.001, 0.1), (-0.1, 0.1), (NAN, NAN), DEFAULT) == ["I", "II", "III", "IV"]
    assert possible_phases((NAN, NAN), (-0.1, 0.1), (0.5, 0.6), DEFAULT) == []
    assert PHASES[:2] == ("I", "II")
