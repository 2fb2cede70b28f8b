import math
import threading

from sweeps.results.part_files import MERGE_AT
from sweeps.running import heartbeat
from sweeps.running.heartbeat import Heartbeat


class Progress:
    ends = done = 0

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


def test_merges_are_rarer_the_more_is_stored(store, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    merged = threading.Event()
    monkeypatch.setattr(store, "merge", merged.set)
    progress = Progress()
    progress.done = 100 * MERGE_AT
    enough = math.ceil(heartbeat.MERGE_SHARE * progress.done)
    with Heartbeat(progress, store):
        progress.ends = enough - 1
        assert not merged.wait(0.2)
        progress.ends = enough
        assert merged.wait(10)
