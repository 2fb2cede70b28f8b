import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from points import record

from sweeps.running.progress import SweepProgress
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.views.sweep_status import sweep_status

SPEC = replace(PRESETS["digits-epochs"], densities=(0.1, 0.2), dense_seeds=(1,), temperatures=(10, 20), retrain_seeds=(1, 2))
POINTS = SPEC.points()


def now(later=0.0):
    return datetime.now(UTC) + timedelta(seconds=later)


def after(store, seconds):
    """So long after the sweep gave its last sign of life."""
    return datetime.fromisoformat(store.progress()["updated_at"]) + timedelta(seconds=seconds)


@pytest.fixture
def started(store, made_up):
    """A sweep of four points: one done, one diverged, one failed, one that runs."""
    store.set_spec(SPEC)
    record(store, POINTS[0], made_up(POINTS[0]))
    record(store, POINTS[1], made_up(POINTS[1], status="diverged"))
    store.record_failure(POINTS[2], "RuntimeError: no memory")
    progress = SweepProgress(4, 2, POINTS[2:])
    progress.running(POINTS[3], 0.25)
    progress.ended(POINTS[2], "failed")
    store.set_progress(progress.as_json() | {"state": "running"})
    return store


def test_points_are_counted_by_what_is_stored_and_what_runs(started):
    status = sweep_status(started, now())
    assert status.points == {"done": 2, "diverged": 1, "running": 1, "failed": 1, "waiting": 0}
    assert status.is_running
    lines = status.lines()
    assert lines[1] == "2 of 4 points done (1 of them diverged), 1 running, 1 failed, 0 waiting"
    assert "  epochs 20, density 0.2, dense seed 1: 25%" in lines
    assert lines[-1].endswith("UTC, epochs 20, density 0.1, dense seed 1: RuntimeError: no memory")


def test_a_sweep_that_is_quiet_is_said_to_be(started):
    assert "last sign of life 0:30 ago" in "\n".join(sweep_status(started, after(started, seconds=30)).lines())
    assert not sweep_status(started, after(started, seconds=-3600)).is_running


def test_a_sweep_without_a_sign_of_life_is_lost(started):
    status = sweep_status(started, after(started, seconds=100))
    assert not status.is_running
    assert status.points["running"] == 0
    assert status.points["waiting"] == 1
    assert any(line.startswith("Lost: the sweep on ") and " 1:40 ago; " in line for line in status.lines())


@pytest.mark.parametrize(("state", "said"), [("ended", "Ended on "), ("stopped", "Stopped before its end on ")])
def test_a_sweep_says_how_it_ended(started, state, said):
    started.set_progress(started.progress() | {"state": state})
    assert any(line.startswith(said) for line in sweep_status(started, now()).lines())


def test_the_rate_is_of_the_points_that_were_stored_lately(started):
    assert sweep_status(started, now(later=50)).rate == pytest.approx(3600 / 50, rel=0.05)
    assert sweep_status(started, now(later=7200)).rate is None


def test_points_that_failed_and_run_again_are_counted_once(started):
    progress = SweepProgress(4, 2, POINTS[2:])
    for stage in POINTS[2:]:
        progress.running(stage, 0.5)
    started.set_progress(progress.as_json() | {"state": "running"})
    status = sweep_status(started, now())
    assert status.points == {"done": 2, "diverged": 1, "running": 2, "failed": 0, "waiting": 0}


def test_a_search_does_not_know_what_is_waiting(started):
    started.set_progress(SweepProgress(None, 0, []).as_json() | {"state": "ended"})
    assert sweep_status(started, now()).lines()[1] == "2 points done (1 of them diverged), 0 running, 1 failed"


def test_siblings_that_a_search_added_count(started):
    started.add_siblings([replace(POINTS[0], seeds=(1, 2, 3))])
    assert sweep_status(started, now()).points["done"] == 1


def damaged(store):
    for name, values in {
        "updated_at": (None, "yesterday"),
        "running": (None, [1], {"x": "y"}),
        "points": (None, {"running": "x"}),
        "seconds_left": ("x", [1]),
    }.items():
        for value in values:
            yield json.dumps(store.progress() | {name: value}).encode()
    yield b"[" * 100_000


def test_what_was_noted_by_another_version_or_is_damaged_is_left_out(started):
    for content in (b"{", b"[]", b'{"state": "running"}', *damaged(started)):
        started.folder.write("progress.json", content)
        assert "No sweep has noted its progress here." in sweep_status(started, now()).lines()


def test_a_folder_without_a_sweep_is_said(store):
    with pytest.raises(UsageError, match="holds no results"):
        sweep_status(store, now())
