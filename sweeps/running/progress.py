"""Telling a person how far a sweep is: a live bar on a terminal, plain lines elsewhere."""

import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from sweeps.plans.plan import Outcome
from trainables.stages import Stage

LINE_SECONDS = 10.0
"""Seconds between plain lines."""

ENOUGH = 0.05
"""Share of the work from which the rest can be told."""

BAR_WIDTH = 10  # leaves room for the line on a terminal of 80 columns


class SweepProgress:
    """Counts points and shows them, with the time left.

    Args:
        wanted: Points of the sweep; None if that is found out on the way.
        stored: Those that have a result already.
        left: Stages still to be carried out.
    """

    def __init__(self, wanted: int | None, stored: int, left: list[Stage]) -> None:
        self.wanted, self.done, self.failed, self.diverged, self.ends = wanted, stored, 0, 0, 0
        self._running: dict[Stage, float] = {}
        self._work = sum(stage.work for stage in left)
        self._finished_work = 0.0
        self._started, self._shown = time.monotonic(), 0.0
        self._first: tuple[float, float] | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._noted: set[str] = set()

    def __enter__(self) -> "SweepProgress":
        if sys.stdout.isatty():
            columns = BarColumn(BAR_WIDTH), TextColumn("{task.description}")
            self._bar = Progress(*columns, console=Console(), refresh_per_second=2)
            self._task = self._bar.add_task("", total=self.wanted)
            self._bar.start()
        self._show(force=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Show how far it is, for the last time."""
        self._show(force=True)
        if self._bar:
            self._bar.stop()

    def note(self, what: str) -> None:
        """Print a sentence; what many workers say alike is printed once."""
        if what not in self._noted:
            self._noted.add(what)
            print(what, flush=True)

    def running(self, stage: Stage, share: float) -> None:
        """Take note of how much of a running stage is done, in [0, 1]."""
        self._running[stage] = share
        self._note_first()
        self._show()

    def waits(self, stage: Stage) -> None:
        """Take note that a stage runs no more, and will again."""
        self._running.pop(stage, None)

    def ended(self, stage: Stage, outcome: Outcome) -> None:
        """Take note of the end of a stage, or that it can never run."""
        self._running.pop(stage, None)
        self._finished_work += stage.work
        self._note_first()
        self.ends += 1
        if stage.completes_point:
            self.failed += outcome == "failed"
            self.done += outcome != "failed"
            self.diverged += outcome == "diverged"
        self._show(force=outcome == "failed")

    @property
    def states(self) -> dict[str, int]:
        """Points by state: done (diverged ones, too), diverged, failed, running and, if that is known, waiting."""
        running = len({(stage.label, stage.run.seed) for stage in list(self._running) if stage.label is not None})
        states = {"done": self.done, "diverged": self.diverged, "failed": self.failed, "running": running}
        if self.wanted is not None:
            states["waiting"] = max(self.wanted - self.done - self.failed - running, 0)
        return states

    def as_json(self) -> dict[str, Any]:
        """Plain data for other machines: who runs what since when, how far each is in [0, 1], and seconds left."""
        running = {str(stage): round(share, 3) for stage, share in list(self._running.items())}
        now = datetime.now(UTC)
        return {
            "host": socket.gethostname(),
            "started_at": (now - timedelta(seconds=self._elapsed)).isoformat(timespec="seconds"),
            "updated_at": now.isoformat(timespec="seconds"),
            "wanted": self.wanted,
            "points": self.states,
            "running": running,
            "seconds_left": self._left,
        }

    def line(self) -> str:
        """One line that says it all."""
        left = self._left
        parts = [
            f"{self.done} points done" if self.wanted is None else f"{self.done} of {self.wanted} points done",
            f"{len(self._running)} running",
            f"{self.failed} failed",
            f"{clock(self._elapsed)} elapsed",
        ]
        if left is not None:
            parts.append(f"{clock(left)} left")
        return ", ".join(parts)

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    @property
    def _left(self) -> float | None:
        """Seconds left, from the work done since the first of it was reported; None while that says little.

        Before that Ray and its workers start, which takes its time once.
        """
        if self.wanted is None or self._first is None:
            return None
        worked, (before, at) = self._worked, self._first
        if worked >= self._work:
            return 0.0
        if worked - before < ENOUGH * self._work:
            return None
        return (time.monotonic() - at) * (self._work - worked) / (worked - before)

    @property
    def _worked(self) -> float:
        return self._finished_work + sum(stage.work * share for stage, share in list(self._running.items()))

    def _note_first(self) -> None:
        """Take note of the work that was done when some was reported first, and of the time."""
        if self._first is None and (worked := self._worked) > 0:
            self._first = worked, time.monotonic()

    def _show(self, force: bool = False) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, description=self.line())
        elif force or time.monotonic() - self._shown > LINE_SECONDS:
            print(self.line(), flush=True)
            self._shown = time.monotonic()


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
