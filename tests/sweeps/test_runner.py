"""What of the runner needs no Ray to run; the rest is in test_commands.py."""

import os
import signal
import time

import pytest

from sweeps.runner import Interrupted, _PlanSearcher, _stop_on_signal


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


def test_what_goes_wrong_while_a_result_is_told_ends_the_sweep_and_is_told_once(monkeypatch):
    """Tune would repeat the trial, whose results are stored."""

    class Plan:
        left = ()

        def ask(self):
            return "stage"

        def tell(self, stage, outcome):
            raise OSError("the storage does not answer")

    class Silent:
        def __getattr__(self, name):
            return lambda *arguments: None

    sent, stop = [], []
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append(number))
    searcher = _PlanSearcher(Plan(), Silent(), Silent(), Silent(), stop, 10)
    searcher.suggest("trial")
    for _ in range(2):
        searcher.on_trial_complete("trial", {"outcome": "ok", "message": ""})
    assert sent == [signal.SIGUSR1]
    assert [str(reason) for reason in stop] == ["the storage does not answer"]
    assert searcher.suggest("another") == "FINISHED"
