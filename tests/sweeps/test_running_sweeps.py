"""Two sweeps in one folder: which signs are of one that is alive, and which are of one that is dead."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress

import pytest
from support import PATIENCE, ROOT

from sweeps.results import running_sweeps as signs
from sweeps.results.store import Store
from sweeps.spec.errors import UsageError
from trainables.storage.local_folder import LocalFolder

OTHER = "0" * 32
IN_ANOTHER_PROCESS = """
import sys, time
from sweeps.results.store import Store

with Store(*sys.argv[1:]).shared():
    print("at work", flush=True)
    time.sleep(1000)
"""


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    """A new store's location, on disk and in object storage."""
    if request.param == "folder":
        return (str(tmp_path / "results"),)
    uri, endpoint = request.getfixturevalue("s3")
    return f"{uri}/{uuid.uuid4().hex}", endpoint


@pytest.fixture
def quick(monkeypatch):
    """Beats and looks of a hundredth of their time."""
    for name in ("BEAT_SECONDS", "WATCH_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(signs, name, getattr(signs, name) / 100)


def left(store):
    return store.folder.subfolder(".driver").names("", "")


def sign_with(store, **changes):
    """Leave a sign as this process would, but for these changes."""
    with store.shared(alongside=True):
        (own,) = set(left(store)) - {OTHER}
        content = json.loads(store.folder.read(f".driver/{own}"))
    store.folder.write(f".driver/{OTHER}", json.dumps(content | changes).encode())


def test_a_second_sweep_is_refused_in_a_sentence_unless_it_is_to_go_on_alongside(place):
    first, second = Store(*place), Store(*place)
    with first.shared():
        with pytest.raises(UsageError) as refused, second.shared():
            pytest.fail("it went on")
        said = str(refused.value)
        assert said.startswith(f"{first.folder}: another sweep is at work there (process {os.getpid()} on ")
        assert socket.gethostname() in said
        assert said.endswith("--alongside goes on all the same.")
        assert first.is_shared()
        with second.shared(alongside=True):
            assert second.is_shared()
            assert len(left(first)) == 2
        assert first.is_shared()
    assert left(first) == []
    with second.shared():
        assert not first.is_shared()


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "unreaped"])
def test_after_kill_9_the_next_one_goes_on_at_once_and_clears_up(reaped, place, capfd):
    store = Store(*place)
    process = subprocess.Popen([sys.executable, "-c", IN_ANOTHER_PROCESS, *place], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout.readline() == b"at work\n"
        with pytest.raises(UsageError, match=f"process {process.pid} on"), store.shared():
            pytest.fail("it went on")
    finally:
        process.kill()
    if reaped:
        process.wait(PATIENCE)
    else:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
    assert len(left(store)) == 1
    started = time.monotonic()
    with store.shared():
        assert len(left(store)) == 1
    assert time.monotonic() - started < signs.LOOK_SECONDS
    assert capfd.readouterr().out == ""
    process.wait(PATIENCE)


def test_a_process_id_that_is_used_again_is_not_the_sweep(store):
    sign_with(store, started="1")
    with store.shared():
        assert OTHER not in left(store)
    sign_with(store, started="")  # a machine that does not tell
    with pytest.raises(UsageError, match="another sweep"), store.shared():
        pytest.fail("it went on")


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b'{"machine": 3}'])
def test_a_sign_of_another_machine_that_does_not_change_is_of_a_dead_sweep(content, place, quick, capfd):
    store = Store(*place)
    sign_with(store, machine="elsewhere", host="worker-7")
    if content is not None:
        store.folder.write(f".driver/{OTHER}", content)
    with store.shared():
        assert OTHER not in left(store)
    host = "another machine" if content is not None else "worker-7"
    assert f"{store.folder}: there is a sign of a sweep on {host}; watching for up to " in capfd.readouterr().out
    with store.shared():
        assert capfd.readouterr().out == ""


def test_a_sign_of_another_machine_that_changes_is_of_a_living_sweep(place, quick, monkeypatch):
    """Whatever its clock says; here its content is all that changes, as a beat does."""
    store = Store(*place)
    sign_with(store, machine="elsewhere", host="worker-7", beat=7)
    looks = []

    def beat(seconds):
        looks.append(seconds)
        if len(looks) == 5:
            sign = json.loads(store.folder.read(f".driver/{OTHER}"))
            store.folder.write(f".driver/{OTHER}", json.dumps(sign | {"beat": 8}).encode())

    monkeypatch.setattr(signs.time, "sleep", beat)
    with pytest.raises(UsageError, match="on worker-7, begun "), store.shared():
        pytest.fail("it went on")
    assert len(looks) == 5
    assert left(store) == [OTHER]


def test_a_sweep_of_another_machine_that_ends_meanwhile_is_not_waited_for(store, monkeypatch):
    sign_with(store, machine="elsewhere")
    looks = []
    monkeypatch.setattr(signs.time, "sleep", lambda s: looks.append(s) or store.folder.delete(f".driver/{OTHER}"))
    with store.shared():
        assert len(looks) == 1


def test_a_sign_changes_with_every_beat_and_does_not_come_back_after_the_end(store, quick, monkeypatch):
    def slow(folder, name, content, write=LocalFolder.write):
        if threading.current_thread().name == "sign of life":
            writing.set()
            time.sleep(0.3)
        write(folder, name, content)

    writing = threading.Event()
    monkeypatch.setattr(LocalFolder, "write", slow)
    with store.shared():
        (own,) = left(store)
        before = store.folder.read(f".driver/{own}")
        deadline = time.monotonic() + 10
        while store.folder.read(f".driver/{own}") == before:
            assert time.monotonic() < deadline
        writing.clear()
        assert writing.wait(10)
    assert left(store) == []
    time.sleep(0.5)
    assert left(store) == []


def test_of_sweeps_that_start_at_the_same_moment_on_two_machines_never_both_go_on(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(signs, "_this_machine", lambda: threading.current_thread().name.partition("-")[0])
    at_work, refused = [], []

    def start(gate, number):
        gate.wait()
        time.sleep(number * 0.001)
        with suppress(UsageError), Store(tmp_path).shared():
            at_work.append(number)
            time.sleep(0.2)  # some beats
            at_work.append(number)
            return
        refused.append(number)

    for attempt in range(10):
        gate = threading.Barrier(2)
        two = [threading.Thread(target=start, args=(gate, n * attempt), name=f"machine{n}-") for n in (0, 1)]
        for thread in two:
            thread.start()
        for thread in two:
            thread.join()
        assert len(at_work) in (0, 2), "both went on"
        assert len(refused) == 2 - len(at_work) // 2
        at_work.clear()
        refused.clear()
