import math

import pytest

from metrics.diagnosis import Diagnosed, diagnose, hotter_or_colder
from metrics.five_phases import PhaseThresholds

BORDERS = PhaseThresholds(loss=0.01, mc=-0.02, cka=0.7)


@pytest.mark.parametrize(
    ("train_loss", "mc", "cka", "expected"),
    [
        (0.5, -0.3, 0.5, ("I", "too small", "larger", True)),
        (0.5, 0.3, 0.5, ("II", "too hot", "colder", False)),
        (0.5, 0.0, 0.5, ("II", "too hot", "colder", True)),
        (0.001, -0.3, 0.5, ("III", "too cold", "hotter", True)),
        (0.001, 0.0, 0.6, ("IV-A", "fine", "larger", True)),
        (0.001, 0.0, 0.9, ("IV-B", "fine", "none", True)),
        (0.001, 0.0, math.nan, ("IV", "fine", "none", True)),
        (0.001, 0.3, 0.9, ("IV-B", "too hot", "colder", False)),  # its path is better than its ends
        (0.01, -0.02, 0.7, ("IV-B", "fine", "none", True)),  # on all borders
        (0.0101, -0.02, 0.7, ("II", "too hot", "colder", True)),
        (0.01, -0.0201, 0.7, ("III", "too cold", "hotter", True)),
        (0.0101, -0.0201, 0.7, ("I", "too small", "larger", True)),
        (0.01, 0.0, 0.6999, ("IV-A", "fine", "larger", True)),
        (0.01, 0.02, 0.7, ("IV-B", "fine", "none", True)),
        (0.01, 0.0201, 0.7, ("IV-B", "too hot", "colder", False)),
    ],
)
def test_every_phase_has_its_verdict_on_both_sides_of_its_borders(train_loss, mc, cka, expected):
    assert diagnose(train_loss, mc, cka, BORDERS) == Diagnosed(*expected)


@pytest.mark.parametrize(("train_loss", "mc"), [(math.nan, 0.0), (0.5, math.nan), (math.nan, math.nan)])
def test_without_a_phase_there_is_no_verdict(train_loss, mc):
    assert diagnose(train_loss, mc, 0.9, BORDERS) is None


@pytest.mark.parametrize(
    ("batch_size", "train_loss", "mc", "cka", "verdict"),
    [
        (16, 0.219, 0.0578, 0.537, "too hot"),
        (364, 0.0032, -0.0967, 0.512, "too cold"),
        (16, 0.926, -0.0622, 0.486, "too small"),  # of width 2
        (92, 0.0014, -0.0001, 0.773, "fine"),
    ],
)
def test_cells_of_yang_et_al(batch_size, train_loss, mc, cka, verdict):
    """ResNet-18 on CIFAR-10, of their released results."""
    found = diagnose(train_loss, mc, cka, PhaseThresholds())
    assert found is not None
    assert found.verdict == verdict


def test_the_sign_of_mode_connectivity_alone():
    assert [hotter_or_colder(mc) for mc in (0.1, -0.1, 0.0, math.nan)] == ["colder", "hotter", "none", "none"]
