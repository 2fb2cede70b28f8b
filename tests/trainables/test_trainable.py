"""What of the trainable needs no Ray to run; the rest is in test_commands.py and test_cluster_faults.py."""

import errno
import os
import socket

import pytest
import torch

from trainables import trainable
from trainables.folders import LocalFolder, StorageError
from trainables.recipe import Recipe
from trainables.stages import DenseRun, DenseStage
from trainables.trainable import StageTrainable, WorkerOptions

STAGE = DenseStage(DenseRun("digits", 0.7, "preresnet8-w0.5", Recipe(epochs=3), 1), (1, 3))
CONFIG = {"stage": STAGE, "report_seconds": 60.0, "left_out": ()}
OPTIONS = WorkerOptions("cpu", 1, 1.0, 60.0, "", "siblings")


class Store:
    """Says what it is told to say, and notes what it is given."""

    def __init__(self, folder, answer=True):
        self.artifacts, self.answer = LocalFolder(folder), answer
        self.recorded, self.failures = [], []

    def is_shared(self):
        if isinstance(self.answer, bool):
            return self.answer
        raise self.answer

    def record(self, stage, rows, device):
        self.recorded.append([row["epoch"] for row in rows["dense"]])

    def record_failure(self, stage, message, device):
        self.failures.append(message)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def trial(store, monkeypatch):
    """A worker without Ray."""
    monkeypatch.setattr(trainable.time, "sleep", lambda seconds: None)

    class Trial(StageTrainable):
        def setup(self, config):
            super().setup(config, store, OPTIONS, {})

    return lambda **changes: Trial(CONFIG | changes)


def results(trial):
    found = []
    while not found or not found[-1]["done"]:
        found.append(trial.train())
    return found


def test_a_stage_is_carried_out_and_recorded_as_its_models_are_kept(trial, store):
    told = results(trial())
    assert [result["outcome"] for result in told] == ["running", "ok"]
    assert told[0]["kept"] == [1]
    assert store.recorded == [[1], [3]]
    assert not store.failures


def test_reports_are_as_rare_as_asked_for(trial):
    often = results(trial(report_seconds=0.0))
    assert [result.get("epochs") for result in often] == [1, 1, 2, 3, None]
    assert [result.get("kept") for result in often] == [[], [1], [], [], None]


@pytest.mark.parametrize(
    ("answer", "fault", "said"),
    [
        (False, "machine", "is another folder on {}"),
        (StorageError("AWS Error ACCESS_DENIED"), "machine", "ACCESS_DENIED"),
        (ValueError("s3://x cannot be used as storage"), "machine", "ValueError: s3://x cannot be used as storage"),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), "storage", "Stale file handle"),
    ],
)
def test_without_the_drivers_storage_nothing_is_begun(answer, fault, said, trial, store, tmp_path):
    store.answer = answer
    first, *rest = results(trial())
    assert first["outcome"] == fault
    assert said.format(socket.gethostname()) in first["message"]
    assert {result["outcome"] for result in rest} == {"pausing"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RuntimeError("a bug"), "machine"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "machine"),
        (torch.OutOfMemoryError("CUDA out of memory"), "failed"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "failed"),
    ],
)
def test_only_what_the_stage_itself_decides_is_its_failure(error, outcome, trial, store, monkeypatch):
    def broken(stage, machine):
        raise error

    monkeypatch.setattr(trainable, "prepare", broken)
    told = results(trial())
    assert told[0]["outcome"] == outcome
    assert len(store.failures) == (outcome == "failed")
    assert not store.recorded


def test_data_and_model_are_tried_before_a_workers_first_stage(trial, store, tmp_path):
    lacking = DenseStage(DenseRun(f"{tmp_path}/none.npz#10-{'0' * 20}", 0.0, "preresnet8", Recipe(epochs=1), 1), (1,))
    told = results(trial(stage=lacking))
    assert told[0]["outcome"] == "machine"
    assert "none.npz cannot be read" in told[0]["message"]
    assert not store.recorded
    assert list(tmp_path.iterdir()) == []


def test_a_worker_pauses_longer_after_every_fault_and_not_after_a_success(trial, store, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(trainable.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(trainable.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    worker, paused = trial(), []
    for answer in (False, False, False, True, False):
        store.answer, worker._machine = answer, None
        before = clock[0]
        results(worker)
        paused.append(clock[0] - before)
        worker.reset_config(CONFIG)
    assert paused == [1, 2, 4, 0, 1]


def test_on_a_node_that_is_left_out_nothing_is_begun_and_the_worker_waits_for_the_end(trial, store, tmp_path):
    worker = trial(left_out=("",))  # the name of a node without Ray
    assert [worker.train()["outcome"] for _ in range(5)] == ["declined", *["pausing"] * 4]
    assert not worker.train()["done"]
    assert list(tmp_path.iterdir()) == []


def test_a_broken_gpu_ends_the_process_after_its_pause(trial, monkeypatch):
    def broken(stage, machine):
        raise torch.AcceleratorError("device-side assert triggered")

    monkeypatch.setattr(trainable, "prepare", broken)
    worker = trial()
    assert worker.train()["outcome"] == "machine"
    with pytest.raises(torch.AcceleratorError):
        results(worker)


def test_threads_are_those_asked_for_whatever_the_environment_says(trial, store, monkeypatch):
    """OMP_NUM_THREADS of a machine would decide rounding, and with it the layout of weights."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        results(trial())
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
