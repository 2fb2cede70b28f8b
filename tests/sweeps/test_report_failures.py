from dataclasses import replace

import pytest
from points import record

from sweeps.running.carry_out import report_failures
from sweeps.spec.command_line import OK, SOME_FAILED
from sweeps.spec.presets import PRESETS
from trainables.stages import MeasurementSettings
from trainables.stages.measurement import measurements

SPEC = replace(PRESETS["digits-epochs"], densities=(0.1,), dense_seeds=(1,), temperatures=(10,), retrain_seeds=(1, 2))
POINTS = SPEC.points()
FINER = MeasurementSettings(path_points=21)


@pytest.mark.parametrize("first", [SPEC.measurement, FINER])
def test_why_a_measurement_failed_is_that_of_its_own_settings(first, store, capsys):
    settings = [first, FINER if first == SPEC.measurement else SPEC.measurement]
    for each in settings:
        store.record_failure(measurements(POINTS, each)[0], f"no memory for {each.path_points}")
    for each in settings:
        assert report_failures(POINTS, each, store) == SOME_FAILED
        assert f"no memory for {each.path_points}\n" in capsys.readouterr().err


def test_nothing_is_said_of_points_that_are_stored(store, made_up, capsys):
    record(store, POINTS[0], made_up(POINTS[0]))
    store.record_failure(measurements(POINTS, FINER)[0], "no memory")
    assert report_failures(POINTS, SPEC.measurement, store) == OK
    assert capsys.readouterr().err == ""
