"""What of the runner needs no Ray to run; the rest is in test_commands.py."""

import math
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from points import grid_plan, measurement
from ray.tune.execution.tune_controller import TuneController

from sweeps.running.budget import Budget, BudgetSpent
from sweeps.running.plan_searcher import AtTheEnd, PlanSearcher
from sweeps.running.stage_queue import StageQueue
from sweeps.running.trial_events import TrialEvents
from sweeps.running.tune_run import Interrupted, _stop_on_signal
from sweeps.spec.presets import PRESETS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_tune_listens_stops_at_once(number):
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}

    def sweep():
        with _stop_on_signal():
            os.kill(os.getpid(), number)
            time.sleep(10)

    with pytest.raises(Interrupted):
        sweep()
    assert {each: signal.getsignal(each) for each in before} == before


def test_a_second_signal_does_not_wait_for_tune():
    told = []

    def sweep():
        with _stop_on_signal():
            signal.signal(signal.SIGUSR1, lambda number, frame: told.append(number))  # as Tune does
            os.kill(os.getpid(), signal.SIGINT)
            assert told == [signal.SIGUSR1]
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sweep()


def test_without_a_signal_nothing_happens():
    with _stop_on_signal() as stop:
        pass
    assert stop == []


def test_tune_keeps_nothing_of_trials_to_go_on_with():
    assert "_mark_trial_to_checkpoint" in TuneController.add_trial.__code__.co_names, "another Ray does it elsewhere"
    controller = SimpleNamespace(_trials_to_cache=set())
    TuneController._mark_trial_to_checkpoint(controller, "trial")
    assert not controller._trials_to_cache


def test_of_a_trial_that_ended_tune_keeps_little():
    events = TrialEvents(Silent(), lambda *why: None)
    result = {"outcome": "ok", "node": "a", "host": "host of a", "config": {"stage": "a large one"}}
    trial = SimpleNamespace(trial_id="0", metric_analysis={"lmc": {"max": 0.0}}, metric_n_steps={"lmc": {"5": [0.0]}})
    events.on_trial_result(0, [], trial, result)
    assert result == {"outcome": "ok", "node": "a", "host": "host of a"}
    events.on_trial_complete(0, [], trial)
    assert trial.metric_analysis == trial.metric_n_steps == {}


class Plan:
    is_done = True

    def ask(self):
        return "stage"

    def follow_up(self, stage):
        return None

    def tell(self, stage, outcome, message):
        raise OSError("the storage does not answer")


class Silent:
    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture
def signals(monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append(number))
    return sent


@pytest.fixture
def searcher():
    def make(plan, store=None, nodes=("node",), max_failures=2, slots=2, unable={}, seconds=math.inf):  # noqa: B006
        stop = []
        queue = StageQueue(plan, max_failures, lambda: nodes)
        how = store or Silent(), Silent(), Silent(), stop, 1000, slots, Budget(seconds), lambda known: unable
        return PlanSearcher(queue, *how), stop

    return make


def test_what_goes_wrong_while_a_result_is_told_ends_the_sweep_and_is_told_once(signals, searcher):
    """Tune would repeat the trial, whose results are stored."""
    searching, stop = searcher(Plan())
    searching.suggest("trial")
    for _ in range(2):
        searching.on_trial_complete("trial", {"outcome": "ok", "message": "", "node": "node"})
    assert signals == [signal.SIGUSR1]
    assert [str(reason) for reason in stop] == ["the storage does not answer"]
    assert searching.suggest("another") == "FINISHED"


def test_what_goes_wrong_while_a_worker_goes_on_is_told_once(signals, searcher):
    class Follows(Plan):
        told = 0

        def tell(self, stage, outcome, message):
            self.told += 1
            super().tell(stage, outcome, message)

    plan = Follows()
    searching, stop = searcher(plan)
    searching.suggest("trial")
    ok = {"outcome": "ok", "message": "", "node": "node"}
    searching.on_trial_result("trial", ok)  # its worker goes on
    searching.on_trial_complete("trial", ok)
    assert (plan.told, len(stop)) == (1, 1)


GRID = replace(PRESETS["digits-epochs"], temperatures=(3, 10), densities=(0.1, 0.2), dense_seeds=(1, 2)).points()


def fault(kind, node="node", message="no internet"):
    return {"outcome": kind, "node": node, "host": f"host of {node}", "message": message}


def test_points_of_hotter_temperatures_start_while_the_training_goes_on(searcher):
    searching, _ = searcher(grid_plan(GRID))
    dense, other = (searching.suggest(f"dense {index}")["stage"] for index in range(2))
    assert searching.suggest("none yet") is None
    progress = {"outcome": "running", "epochs": 3, "of": 20, "test_error": math.nan}
    searching.on_trial_result("dense 0", progress | {"kept": [3]})
    ready = [searching.suggest(f"point {index}")["stage"] for index in range(2)]
    assert {(stage.run, stage.point.epoch) for stage in ready} == {(dense.run, 3)}
    assert searching.suggest("none yet") is None
    searching.on_trial_complete("dense 0", {"outcome": "ok", "message": "", "node": "node"})
    rest = [searching.suggest(f"rest {index}")["stage"] for index in range(2)]
    assert {(stage.run, stage.point.epoch) for stage in rest} == {(dense.run, 10)}
    assert other.run != dense.run


def test_a_worker_goes_on_with_what_its_point_made_possible(searcher, store):
    searching, _ = searcher(grid_plan(GRID[:2]), store)
    ok = {"outcome": "ok", "message": "", "node": "node"}
    assert searching.suggest("dense")["follow_up"] is None  # two points wait for it
    searching.on_trial_complete("dense", ok)
    first, other = searching.suggest("0"), searching.suggest("1")
    assert first["follow_up"] == measurement(first["stage"])
    searching.on_trial_result("0", ok)
    assert searching.suggest("no more") is None  # that is taken
    searching.on_trial_complete("0", ok | {"outcome": "diverged"})
    searching.on_trial_result("1", ok)
    searching.died("1", "the trial died: killed")
    again = searching.suggest("2")
    assert (again["stage"], again["follow_up"]) == (other["follow_up"], None)
    searching.on_trial_complete("2", ok)
    assert searching.suggest("end") == "FINISHED"


def test_trials_report_the_more_rarely_the_more_of_them_run(searcher):
    many = replace(PRESETS["digits-epochs"], dense_seeds=tuple(range(1, 1001)), temperatures=(20,), densities=(0.1,))
    searching, _ = searcher(grid_plan(many.points()))
    seconds = [searching.suggest(str(index))["report_seconds"] for index in range(1000)]
    assert seconds[:125] == [1.0] * 125
    assert seconds[-1] == 8.0
    searching, _ = searcher(grid_plan(GRID), slots=1000)
    assert searching.suggest("first of many")["report_seconds"] == 8.0


def test_a_stage_is_tried_elsewhere_and_the_node_left_out_and_named(searcher, signals, capsys):
    searching, stop = searcher(grid_plan(GRID), nodes=("bad", "good"))
    stage = searching.suggest("0")["stage"]
    for trial in range(5):
        searching.on_trial_result(str(trial), fault("machine", "bad"))
        searching.on_trial_result(str(trial), {"outcome": "pausing"})
        searching.on_trial_complete(str(trial), {"outcome": "pausing"})
        config = searching.suggest(str(trial + 1))
        assert config["stage"] == stage
    assert config["left_out"] == ("bad",)
    printed = capsys.readouterr().out
    assert printed.count(f"Tried again: {stage}, on host of bad (no internet).") == 1
    assert "Node host of bad is left out" in printed
    assert not stop
    searching.on_trial_result("5", {"outcome": "declined"})
    assert searching.suggest("6")["stage"] == stage
    assert not searching.is_over()


def test_the_sweep_ends_when_no_node_is_left(searcher, signals):
    many = replace(PRESETS["digits-epochs"], dense_seeds=tuple(range(1, 20))).points()
    searching, stop = searcher(grid_plan(many), nodes=("a", "b"))
    trial = 0
    while not stop and trial < 30:
        trial += 1
        assert searching.suggest(str(trial)) != "FINISHED"
        searching.on_trial_result(str(trial), fault("machine", "ab"[trial % 2], "no data"))
    assert signals == [signal.SIGUSR1]
    assert str(stop[0]) == "no node is left that can work (no data); mend that, and the same command continues."


def test_a_budget_that_is_spent_ends_the_sweep_once_the_result_is_told(searcher, signals):
    """Also by what a trial worked before its last result, of which Tune tells in another way."""
    plan = grid_plan(GRID)
    searching, stop = searcher(plan, seconds=10)
    first, second = (searching.suggest(str(index))["stage"] for index in range(2))
    progress = {"outcome": "running", "epochs": 3, "of": 20, "test_error": math.nan, "kept": []}
    ok = {"outcome": "ok", "message": "", "node": "node"}
    searching.on_trial_result("0", progress | {"busy_seconds": 4.0})
    searching.on_trial_complete("0", ok | {"busy_seconds": 5.0})
    assert stop == []
    searching.on_trial_complete("1", ok | {"busy_seconds": 1.0})
    assert [type(reason) for reason in stop] == [BudgetSpent]
    assert signals == [signal.SIGUSR1]
    assert searching.suggest("no more") == "FINISHED"
    assert not {first, second} & {*plan.left}


def test_a_sweep_that_is_done_when_its_budget_is_spent_was_not_stopped(searcher, signals):
    searching, stop = searcher(grid_plan(GRID[:1]), seconds=3)
    for name in ("dense", "point", "measurement"):
        assert searching.suggest(name) != "FINISHED"
        searching.on_trial_complete(name, {"outcome": "ok", "message": "", "node": "node", "busy_seconds": 1.0})
    assert (stop, signals) == ([], [])
    assert searching.suggest("end") == "FINISHED"


def test_a_full_disk_ends_the_sweep(searcher, signals, capsys):
    searching, stop = searcher(grid_plan(GRID))
    for trial in ("a", "b"):
        searching.suggest(trial)
        searching.on_trial_result(trial, fault("full", message="the disk of /results is full; make room there"))
    assert signals == [signal.SIGUSR1]
    assert str(stop[0]) == "the disk of /results is full; make room there."
    assert capsys.readouterr().out == ""
    assert searching.suggest("again") == "FINISHED"


def test_storage_that_does_not_answer_is_waited_for_and_said_now_and_then(searcher, capsys):
    searching, stop = searcher(grid_plan(GRID), max_failures=0)
    for trial in range(20):
        stage = searching.suggest(str(trial))["stage"]
        searching.on_trial_result(str(trial), fault("storage", message="OSError: [Errno 116] Stale file handle"))
    assert searching.suggest("again")["stage"] == stage
    assert not stop
    assert capsys.readouterr().out.count("Waiting for storage that host of node cannot use") == 1


def test_points_that_cannot_run_are_stored_together(searcher, store):
    searching, _ = searcher(grid_plan(GRID), store)
    dense = searching.suggest("dense")["stage"]
    searching.on_trial_complete("dense", fault("stage", message="OutOfMemoryError: too large"))
    assert store.folder.names("runs", ".parquet") == [f"lost-{dense.run.key}"]
    rows = store.rows("runs")
    assert len(rows) == 4 * 3
    assert {row["message"] for row in rows} == {f"{dense}: OutOfMemoryError: too large"}


def test_deaths_without_getting_further_are_counted_and_others_not(searcher, store):
    searching, _ = searcher(grid_plan(GRID), store)
    epochs = iter(range(1, 100))
    stage = searching.suggest("0")["stage"]
    for trial in range(20):
        progress = {"outcome": "running", "epochs": next(epochs), "of": 20, "test_error": math.nan, "kept": []}
        searching.on_trial_result(str(trial), progress)
        searching.on_trial_complete(str(trial), error=True)
        searching.died(str(trial), "the trial died: its node was taken away")
        assert searching.suggest(str(trial + 1))["stage"] == stage
    for trial in (20, 21):
        assert not store.rows("dense")
        searching.died(str(trial), "the trial died: killed")
        searching.suggest(str(trial + 1))
    assert {row["message"] for row in store.rows("dense")} == {"the trial died: killed"}


def test_workers_that_wait_are_stopped_when_nothing_else_runs(searcher):
    searching, _ = searcher(grid_plan(GRID[:1]))
    at_the_end = AtTheEnd(searching)
    searching.suggest("dense")
    assert not at_the_end("waits", {"outcome": "pausing"})
    searching.on_trial_complete("dense", {"outcome": "ok", "message": "", "node": "node"})
    searching.suggest("point")
    assert not at_the_end("waits", {"outcome": "pausing"})
    searching.on_trial_complete("point", {"outcome": "ok", "message": "", "node": "node"})
    searching.suggest("measurement")
    assert not at_the_end("waits", {"outcome": "pausing"})
    searching.on_trial_complete("measurement", {"outcome": "ok", "message": "", "node": "node"})
    assert at_the_end("waits", {"outcome": "pausing"})
    assert not at_the_end("works", {"outcome": "running"})
    assert not at_the_end.stop_all()


def test_what_only_the_stage_decides_is_tried_once_elsewhere(searcher, store):
    """Memory may be taken on one node; then it is the stage's failure, and says nothing of a node."""
    searching, _ = searcher(grid_plan(GRID), store, nodes=("a", "b"))
    stage = searching.suggest("0")["stage"]
    full = "OutOfMemoryError: CUDA out of memory"
    for trial, node in enumerate("aaab"):
        assert not store.rows("dense")
        searching.on_trial_complete(str(trial), fault("stage", node, full))
        following = searching.suggest(str(trial + 1))["stage"]
        assert (following == stage) == (node == "a")
    assert {row["message"] for row in store.rows("dense")} == {full}
    assert not searching._queue.nodes.left_out


def test_a_node_whose_workers_die_is_left_out_too(searcher, store, capsys):
    searching, _ = searcher(grid_plan(GRID), store, nodes=("bad", "good"))
    for trial in range(5):
        searching.suggest(str(trial))
        searching.on_trial_result(str(trial), {"outcome": "begun", "node": "bad", "host": "host of bad"})
        searching.died(str(trial), "the trial died: killed", "bad", "host of bad")
    assert "Node host of bad is left out" in capsys.readouterr().out
    assert not store.rows("dense")


def test_a_node_on_which_no_worker_can_start_costs_no_stage_a_try(searcher, store):
    searching, stop = searcher(
        grid_plan(GRID), store, nodes=("bad", "good"), max_failures=0, unable={"bad": "no such package"}
    )
    stage = searching.suggest("0")["stage"]
    for trial in range(20):
        searching.died(str(trial), "the trial died: ModuleNotFoundError")
        assert searching.suggest(str(trial + 1))["stage"] == stage
    assert searching._queue.nodes.left_out == {"bad": "no such package"}
    assert not stop
    assert not store.rows("dense")
    for trial in range(20, 51):  # and not for ever, if none begins anywhere
        searching.died(str(trial), "the trial died: ModuleNotFoundError")
        searching.suggest(str(trial + 1))
    assert {row["message"] for row in store.rows("dense")} == {"the trial died: ModuleNotFoundError"}
