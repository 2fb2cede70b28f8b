"""What ends a sweep from below; of a real sweep in test_faults_below.py."""

import errno
import os
import pickle
import subprocess
import tempfile
import threading

import pytest

from sweeps.running.ray_watch import check_room, watched
from sweeps.spec.errors import UsageError
from trainables.storage.folder import FullError


@pytest.fixture
def processes():
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_the_process_that_dies_is_named(processes):
    told, seen = [], threading.Event()
    names = dict(zip((process.pid for process in processes), ("first", "second"), strict=True))
    with watched(names, lambda name: (told.append(name), seen.set())):
        assert not seen.wait(0.2)
        processes[1].kill()
        assert seen.wait(10)
    assert told == ["second"]


def test_nothing_is_told_of_processes_that_end_afterwards(processes):
    told = []
    before = set(os.listdir("/proc/self/fd"))
    with watched({processes[0].pid: "first"}, told.append):
        pass
    assert set(os.listdir("/proc/self/fd")) == before
    processes[0].kill()
    processes[0].wait()
    assert told == []


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_folder_of_rays_that_is_full_is_named(variable, number, tmp_path, monkeypatch):
    def full(dir):
        if dir == str(tmp_path):
            raise OSError(number, os.strerror(number))
        return open(os.devnull, "wb")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    check_room()
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(UsageError, match=f"the disk of {tmp_path} is full, .* as {variable}, and the same command"):
        check_room()


def test_a_full_disk_is_told_the_same_in_another_process():
    error = FullError(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "/results")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert "the disk of /results is full (No space left on device); make room there" in str(again)
    assert again.errno == errno.ENOSPC
