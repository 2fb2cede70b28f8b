import json
import socket

import pytest
from points import record

from sweeps.results.phase import phase_table
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.views import live_diagram
from sweeps.views.live_diagram import LiveDiagram, serve
from sweeps.views.phase_diagram import draw, draw_json, phase_diagram

SPEC = PRESETS["digits-epochs"]
POINTS = SPEC.points()


@pytest.fixture
def answer(store, monkeypatch):
    """What the page is told now."""
    monkeypatch.setattr(live_diagram, "REFRESH_SECONDS", 0.0)

    def figure():
        store.spec()
        return draw_json(
            phase_diagram(phase_table(POINTS, store, SPEC.thresholds, SPEC.measurement), True), "title", "caption"
        )

    live = LiveDiagram(store, figure)
    return lambda: json.loads(live.answer())


def test_it_is_drawn_anew_when_results_came_and_only_then(store, made_up, answer):
    store.set_spec(SPEC)
    first = answer()
    assert first["version"] == answer()["version"]
    record(store, POINTS[0], made_up(POINTS[0], error=0.25))
    second = answer()
    assert second["version"] > first["version"]
    assert second["status"][1].startswith("1 of 72 points done")
    assert {len(json.dumps(each["figure"])) > 1000 for each in (first, second)} == {True}
    assert first["figure"] != second["figure"]


def test_what_is_wrong_is_shown_and_may_be_well_again(store, answer):
    said = answer()
    assert "holds no results" in said["status"][0]
    assert said["figure"] is None
    store.set_spec(SPEC)
    assert answer()["figure"] is not None


def test_a_taken_port_is_said(store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for bad in (port, 70000):
            with pytest.raises(UsageError, match=f"--port {bad} cannot be used"):
                serve(LiveDiagram(store, str), bad)


def test_a_name_cannot_bring_a_script_into_the_page(store):
    evil = "</script><script>alert(1)</script>"
    diagram = phase_diagram(phase_table(POINTS, store, SPEC.thresholds, SPEC.measurement), True)
    assert evil not in draw(diagram, evil, evil)
