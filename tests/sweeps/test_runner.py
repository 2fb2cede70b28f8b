"""What of the runner needs no Ray to run; the rest is in test_commands.py."""

import os
import signal
import time

import pytest

from sweeps.runner import Interrupted, _stop_on_signal


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
