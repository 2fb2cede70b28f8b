"""A stage queue as what Ray Tune calls a search algorithm: asked for trials, told their results."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from sweeps.plans.plan import Outcome
from sweeps.results.store import Store
from sweeps.running.budget import Budget, BudgetSpent
from sweeps.running.gauges import SweepGauges
from sweeps.running.progress import SweepProgress
from sweeps.running.stage_queue import StageQueue
from sweeps.running.trial_events import NO_RESULT
from sweeps.spec.errors import UsageError
from trainables.stages import Stage

REPORTS_A_SECOND = 125
"""A driver on one core was seen to take about twice as many; the more trials run, the more rarely each reports."""

SAID_SECONDS = 60
"""That storage does not answer is said so often at most."""

MOST_TOLD = 20
"""Of what was tried again a person is told so many kinds: the rest is more of the same."""

MOST_UNBEGUN = 50
"""So many workers in a row may die before they begin, without one that does: then it is not a single node's fault."""


class PlanSearcher(Searcher):
    """Gives the stages of a queue to trials, and tells the plan what came of them.

    Args:
        queue: Of the sweep's stages.
        store: Where failures go.
        progress: Shows it.
        gauges: Likewise.
        stop: Why the sweep ends before its end; empty until it does.
        stages_to_give: So many, and no more.
        slots: For how many trials there is room.
        budget: In which trials work.
        find_unable: Gives those nodes, other than these, on which no worker can start, with the reason; says so.
    """

    def __init__(
        self,
        queue: StageQueue,
        store: Store,
        progress: SweepProgress,
        gauges: SweepGauges,
        stop: list[Exception],
        stages_to_give: int,
        slots: int,
        budget: Budget,
        find_unable: Callable[[Set[str]], Mapping[str, str]],
    ) -> None:
        super().__init__()
        self._queue, self._store, self._progress, self._gauges = queue, store, progress, gauges
        self._stop, self._stages_to_give, self._slots = stop, stages_to_give, slots
        self._find_unable, self._budget = find_unable, budget
        self._seen: set[str] = set()
        self._unbegun = 0
        self._stages: dict[str, Stage] = {}
        self._follow_ups: dict[str, Stage | None] = {}
        self._said = -float("inf")
        self._told: set[tuple[str, str]] = set()

    def suggest(self, trial_id: str) -> Any:
        """Give a stage as a trial's configuration; None for later; FINISHED."""
        if self._stop or not self._stages_to_give:
            return Searcher.FINISHED
        stage = self._queue.ask()
        if stage is None:
            return Searcher.FINISHED if self._queue.plan.is_done else None
        self._stages_to_give -= 1
        self._stages[trial_id] = stage
        self._follow_ups[trial_id] = self._queue.plan.follow_up(stage)
        return {
            "stage": stage,
            "follow_up": self._follow_ups[trial_id],
            "report_seconds": max(1.0, max(len(self._stages), self._slots) / REPORTS_A_SECOND),
            "left_out": tuple(self._queue.nodes.left_out),
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take progress, or a stage that its worker cannot carry out."""
        with self._ending():
            self._tell_notes(result)
            self._take(trial_id, result)
            self._spend(result)

    def _take(self, trial_id: str, result: dict[str, Any]) -> None:
        stage, outcome = self._stages.get(trial_id), result.get("outcome")
        if stage is None:
            self._check_nodes()  # a worker that pauses
        elif outcome == "running":
            self._gauges.reported(stage, result)
            self._progress.running(stage, result["epochs"] / result["of"])
            self._queue.reached(stage, result["epochs"])
            if result["kept"]:
                self._queue.plan.tell_kept(stage, result["kept"])
        elif outcome in ("ok", "diverged"):
            del self._stages[trial_id]  # first: whatever comes of telling it, it is told once
            self._succeeded(stage, result)
            self._go_on(trial_id)
        elif outcome == "begun":
            self._seen.add(result["node"])
            self._unbegun = 0
        elif outcome in ("declined", "storage", "full", "machine"):
            del self._stages[trial_id]
            self._progress.waits(stage)
            if outcome == "machine":
                self._failed(stage, result["node"], result["host"], result["message"])
            else:
                self._queue.give_back(stage)
            if outcome == "storage":
                self._say_storage(result)
            elif outcome == "full":
                self._end(UsageError(f"{result['message']}."))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take an outcome. A trial that died is told to :meth:`died` right after this."""
        if not error:
            self._ended(trial_id, result or {})

    def died(self, trial_id: str, why: str, node: str = "", host: str = "") -> None:
        """Take a trial that died; where, is empty if its worker did not begin."""
        stage = self._stages.pop(trial_id, None)
        if stage is None:
            return
        self._progress.waits(stage)
        with self._ending():
            self._unbegun += not node
            if not node and self._unbegun <= MOST_UNBEGUN and self._has_unable_node():
                self._queue.give_back(stage)
            else:
                self._failed(stage, node, host, why)

    def is_over(self) -> bool:
        """Whether nothing runs any more but workers that wait for the end."""
        return not self._stages and bool(self._stop or not self._stages_to_give or self._queue.plan.is_done)

    def _ended(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take a result, once."""
        stage, outcome = self._stages.pop(trial_id, None), result.get("outcome")
        self._follow_ups.pop(trial_id, None)
        if stage is None:
            return
        with self._ending():
            self._tell_notes(result)
            if outcome in ("ok", "diverged"):
                self._succeeded(stage, result)
            else:
                self._progress.waits(stage)
                what = result.get("node", ""), result.get("host", ""), result.get("message", NO_RESULT)
                self._failed(stage, *what, own=outcome == "stage")
            self._spend(result)

    def _spend(self, result: Mapping[str, Any]) -> None:
        """Take note of the time that a trial worked; a sweep that is done needs no more of it."""
        try:
            self._budget.spend(result.get("busy_seconds", 0.0))
        except BudgetSpent:
            if not self._queue.plan.is_done:
                raise

    def _succeeded(self, stage: Stage, result: Mapping[str, Any]) -> None:
        self._gauges.reported(stage, result)
        self._queue.worked(stage, result["node"])
        self._tell(stage, result["outcome"], result["message"])

    def _go_on(self, trial_id: str) -> None:
        """Take note that a trial goes on with what its stage made possible; else that is given when it is asked for."""
        stage = self._follow_ups.pop(trial_id, None)
        if stage is not None and self._queue.plan.take(stage):
            self._stages[trial_id] = stage
            self._progress.running(stage, 0.0)

    def _has_unable_node(self) -> bool:
        """Whether a worker may have died before it began since a node cannot start any; new such nodes are left out."""
        for node, why in self._find_unable(self._seen | self._queue.nodes.left_out.keys()).items():
            self._queue.nodes.leave_out(node, why)
        self._check_nodes()
        return not self._queue.nodes.left_out.keys() <= self._seen

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End the sweep for what goes wrong here: Tune would repeat the trial, whose results are stored."""
        try:
            yield
        except (OSError, ValueError, UsageError, BudgetSpent) as reason:
            self._end(reason)

    def _failed(self, stage: Stage, node: str, host: str, why: str, own: bool = False) -> None:
        """Have a stage tried again, or give it up; say which node is left out, and end where none is left."""
        before = len(self._queue.nodes.left_out)
        again = self._queue.failed(stage, node, why, own)
        if again and (node, why) not in self._told and len(self._told) < MOST_TOLD:
            self._told.add((node, why))
            print(f"Tried again: {stage}{f', on {host}' * bool(host)} ({why}).", flush=True)
        if len(self._queue.nodes.left_out) > before:
            print(f"Node {host} is left out: one stage after the other failed there, the last with {why}.", flush=True)
        self._check_nodes()
        if not again:
            self._record_failure(stage, why)
            self._tell(stage, "failed", why)

    def _tell_notes(self, result: Mapping[str, Any]) -> None:
        """Tell what a worker has to say of how it computes."""
        for note in result.get("notes", ()):
            self._progress.note(note)

    def _tell(self, stage: Stage, outcome: Outcome, message: str) -> None:
        self._progress.ended(stage, outcome)
        lost = self._queue.plan.tell(stage, outcome, f"{stage}: {message}")
        if lost:
            try:
                self._store.record_lost(lost)
            except (OSError, UsageError) as error:
                print(f"{len(lost)} stages cannot run, which cannot be stored: {error}", file=sys.stderr)
        for other in lost:
            self._progress.ended(other.stage, "failed")

    def _check_nodes(self) -> None:
        """End the sweep if no node can work."""
        if self._queue.no_node_is_left():
            said = "; ".join(dict.fromkeys(self._queue.nodes.left_out.values()))
            self._end(UsageError(f"no node is left that can work ({said}); mend that, and the same command continues."))

    def _say_storage(self, result: Mapping[str, Any]) -> None:
        if time.monotonic() - self._said > SAID_SECONDS:
            self._said = time.monotonic()
            print(f"Waiting for storage that {result['host']} cannot use: {result['message']}.", flush=True)

    def _end(self, error: Exception) -> None:
        """Stop Tune, for this reason."""
        if not self._stop:
            self._stop.append(error)
            os.kill(os.getpid(), signal.SIGUSR1)

    def _record_failure(self, stage: Stage, message: str) -> None:
        """Store a failure; if even that fails, say so and go on: the point stays missing."""
        try:
            self._store.record_failure(stage, message)
        except (OSError, UsageError) as error:
            print(f"{stage} failed ({message}), which cannot be stored: {error}", file=sys.stderr)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its settings for a way to continue that is not ours, and a live bar has no pickle."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a sweep is continued from its store."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, likewise."""


class AtTheEnd(tune.Stopper):
    """Stops the workers that only wait for the end."""

    def __init__(self, searcher: PlanSearcher) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial is to be stopped."""
        return result.get("outcome") == "pausing" and self._searcher.is_over()

    def stop_all(self) -> bool:
        """Never: Tune ends by itself."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, as of the searcher."""
        return {}
