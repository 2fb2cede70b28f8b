"""Saying every few seconds that a sweep is alive, from a thread beside it."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from sweeps.results.part_files import MERGE_AT
from sweeps.results.running_sweeps import BEAT_SECONDS
from sweeps.results.store import Store
from sweeps.running.progress import SweepProgress
from sweeps.spec.errors import UsageError

MERGE_SHARE = 0.02
"""Of the points that are done, so many have to be new before they are merged: each time all files are listed."""


class Heartbeat:
    """While it is entered: notes the progress in the store for other machines to see, and merges what is stored.

    Args:
        progress: Of the sweep.
        store: Where it is noted.

    Attributes:
        show: Called with the progress and the seconds since the last call; can be set at any time.
    """

    def __init__(self, progress: SweepProgress, store: Store) -> None:
        self._progress, self._store = progress, store
        self.show: Callable[[SweepProgress, float], None] = lambda progress, seconds: None
        self._over, self._one = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._merged = progress.ends

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(timeout=BEAT_SECONDS)
        self.end("ended" if kind is None else "stopped")

    def end(self, state: str) -> None:
        """Note how the sweep ended, and nothing any more."""
        self._over.set()
        with self._one:
            self._note(state)

    def _beat_on(self) -> None:
        last = time.monotonic()
        while True:
            with self._one:  # a thread that was merging meanwhile does not take back that the sweep has ended
                if self._over.is_set():
                    return
                self._note("running")
            if self._over.wait(BEAT_SECONDS):
                return
            self.show(self._progress, time.monotonic() - last)
            last = time.monotonic()
            if self._progress.ends - self._merged >= max(MERGE_AT, MERGE_SHARE * self._progress.done):
                self._merged = self._progress.ends
                with suppress(OSError, UsageError):  # who reads the tables will be told
                    self._store.merge()

    def _note(self, state: str) -> None:
        with suppress(OSError):  # the next beat tries again, and results are written by others
            self._store.set_progress(self._progress.as_json() | {"state": state})
