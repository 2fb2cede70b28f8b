import threading

from sweeps.results.part_files import MERGE_AT
from sweeps.running import heartbeat
from sweeps.running.heartbeat import Heartbeat


class Progress:
    ends = 0

    def as_json(self):
        return {}


def test_a_merge_that_outlasts_the_sweep_does_not_take_back_that_it_ended(store, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    merging, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(store, "merge", lambda: merging.set() or may_end.wait(10))
    progress = Progress()
    with Heartbeat(progress, store) as beat:
        progress.ends = MERGE_AT
        assert merging.wait(10)
        assert store.progress() == {"state": "running"}
    assert store.progress() == {"state": "ended"}
    may_end.set()
    beat._thread.join(10)
    assert not beat._thread.is_alive()
    assert store.progress() == {"state": "ended"}
