"""What of the trainable needs no Ray to run; the rest is in test_commands.py and test_cluster_faults.py."""

import errno
import os
import socket

import pytest
import torch

from trainables import trainable
from trainables.stages import DenseRun, DenseStage
from trainables.storage.artifacts import ArtifactError
from trainables.storage.folder import OF_STORAGE, FullError, StorageError
from trainables.storage.local_folder import LocalFolder
from trainables.trainable import StageTrainable, WorkerOptions
from trainables.training import resumable
from trainables.training.recipe import Recipe

STAGE = DenseStage(DenseRun("digits", 0.7, "preresnet8-w0.5", Recipe(epochs=3), 1), (1, 3))
CONFIG = {"stage": STAGE, "follow_up": None, "report_seconds": 60.0, "left_out": ()}
OPTIONS = WorkerOptions("cpu", 1, 1.0, 60.0, "", "siblings")


def of_storage(error):
    """As a folder marks what its storage may get over."""
    setattr(error, OF_STORAGE, True)
    return error


class Store:
    """Says what it is told to say, and notes what it is given."""

    def __init__(self, folder, answer=True):
        self.artifacts, self.answer = LocalFolder(folder), answer
        self.recorded = []

    def is_shared(self):
        if isinstance(self.answer, bool):
            return self.answer
        raise self.answer

    def record(self, stage, rows, device):
        self.recorded.append([row["epoch"] for row in rows["dense"]])


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
    """What a worker says, but for where it is."""
    found = []
    while not found or not found[-1]["done"]:
        result = trial.train()
        found += [result] if result["outcome"] != "begun" else []
    return found


def test_a_stage_is_carried_out_and_recorded_as_its_models_are_kept(trial, store):
    told = results(trial())
    assert [result["outcome"] for result in told] == ["running", "ok"]
    assert told[0]["kept"] == [1]
    assert store.recorded == [[1], [3]]


def test_a_worker_goes_on_with_what_follows(trial, store):
    other = DenseStage(DenseRun("digits", 0.7, "preresnet8-w0.5", Recipe(epochs=1), 2), (1,))
    told = results(trial(follow_up=other))
    assert [(result["outcome"], result["done"]) for result in told] == [
        ("running", False),
        ("ok", False),
        ("ok", True),
    ]
    assert store.recorded == [[1], [3], [1]]


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
        (of_storage(OSError(errno.ESTALE, os.strerror(errno.ESTALE))), "storage", "Stale file handle"),
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
        (FullError(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "/results"), "full"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "machine"),  # of a disk of this machine
        (of_storage(OSError(errno.EIO, os.strerror(errno.EIO))), "storage"),
        (torch.OutOfMemoryError("CUDA out of memory"), "stage"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "stage"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "stage"),
        (ArtifactError("the dense model of seed 1 after epoch 4 is not there"), "stage"),
    ],
)
def test_one_place_says_whose_fault_an_error_is(error, outcome, trial, store, monkeypatch):
    def broken(run, machine):
        raise error

    monkeypatch.setattr(trainable, "task_of", broken)
    told = results(trial())
    assert told[0]["outcome"] == outcome
    assert told[0]["done"] == (outcome == "stage")  # after the others the worker pauses
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
    worker, paused = trial(report_seconds=1.0), []
    for answer in (False, False, False, True, False):
        store.answer, worker._machine = answer, None
        before = clock[0]
        results(worker)
        paused.append(clock[0] - before)
        worker.reset_config(CONFIG | {"report_seconds": 1.0})
    assert paused == [1, 2, 4, 0, 1]


def test_on_a_node_that_is_left_out_nothing_is_begun_and_the_worker_waits_for_the_end(trial, store, tmp_path):
    worker = trial(left_out=("",))  # the name of a node without Ray
    assert [worker.train()["outcome"] for _ in range(6)] == ["begun", "declined", *["pausing"] * 4]
    assert not worker.train()["done"]
    assert list(tmp_path.iterdir()) == []


def test_a_broken_gpu_ends_the_process_after_its_pause(trial, monkeypatch):
    def broken(run, machine):
        raise torch.AcceleratorError("device-side assert triggered")

    monkeypatch.setattr(trainable, "task_of", broken)
    worker = trial(report_seconds=1.0)
    assert [worker.train()["outcome"] for _ in range(2)] == ["begun", "machine"]
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


def test_a_trial_takes_its_share_of_a_gpu_and_no_more(trial, store, monkeypatch):
    """Memory of the GPU, and what is measured at once."""
    taken = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", taken.append)
    worker = trial()
    for share in (0.25, 1.0):
        worker._options = WorkerOptions("cuda", 1, share, 60.0, "", "siblings")
        machine = worker._own_machine()
        assert (machine.device.type, machine.gpu_share) == ("cuda", share)
    assert taken == [0.9 * 0.25]


def test_a_checkpoint_that_storage_does_not_take_does_not_end_a_training(trial, store, monkeypatch):
    def failing(folder, name, content):
        if name.startswith("training/"):
            failed.append(name)
            raise of_storage(OSError(errno.ESTALE, os.strerror(errno.ESTALE)))
        save(folder, name, content)

    failed, save = [], resumable.artifacts.save
    monkeypatch.setattr(resumable.artifacts, "save", failing)
    worker = trial()
    worker._options = WorkerOptions("cpu", 1, 1.0, 0.0, "", "siblings")
    assert results(worker)[-1]["outcome"] == "ok"
    assert len(failed) == 3
