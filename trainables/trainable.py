"""A stage as a Ray Tune trial. The only file here that imports Ray."""

import ctypes
import math
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from ray import tune

from trainables.attempt import Machine
from trainables.execution import execute
from trainables.folders import Folder, passes
from trainables.models.sources import Source, install
from trainables.siblings import Execution, Rows
from trainables.stages import Stage

REPORT_SECONDS = 1.0
"""Progress is reported at the first epoch that ends so long after the last report."""


class Store(Protocol):
    """Where a trial's results go, safe when the call returns."""

    artifacts: Folder

    def is_shared(self) -> bool:
        """Whether this is the place that the sweep's driver writes to."""

    def record(self, stage: Stage, rows: Mapping[str, Sequence[dict[str, Any]]], device: str) -> None:
        """Keep the results of a stage."""

    def record_failure(self, stage: Stage, message: str, device: str) -> None:
        """Keep that a stage failed, and why."""


class StageTrainable(tune.Trainable):
    """Carries out ``config["stage"]`` and stores its results itself.

    Tune is told progress (``epochs`` done ``of`` all, ``images`` trained on and ``busy_seconds`` and ``idle_seconds``
    since it was told last, ``test_error`` where it was evaluated) and at the end the ``outcome`` with its ``message``,
    ``test_error`` and ``lmc``. An exception in a stage is an outcome, too: it is stored, and the worker goes on with
    the next stage. Where the driver's storage is not seen nothing is begun: the outcome is ``unshared``, and why.
    """

    def setup(  # type: ignore[override]  # Tune passes on what tune.with_parameters was given
        self,
        config: dict[str, Any],
        store: Store,
        device: str,
        checkpoint_seconds: float,
        data_folder: str,
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        """Begin with the first stage of this worker."""
        install(sources or {})
        self._busy, self._idle, self._changed = 0.0, 0.0, time.perf_counter()
        _keep_freed_memory()
        threads = torch.get_num_threads()
        self._device = torch.cuda.get_device_name() if device == "cuda" else f"{device}, {threads} threads"
        self._store, self._unshared = store, _why_unshared(store)
        self._machine = Machine(store.artifacts, torch.device(device), checkpoint_seconds, data_folder)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin with another stage."""
        with self._timed():
            self._execution.close()
            self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Work for about :data:`REPORT_SECONDS`, or to the end of the stage."""
        with self._timed():
            result = self._outcome()
        result |= {"busy_seconds": self._busy, "idle_seconds": self._idle}
        self._busy = self._idle = 0.0
        return result

    def _outcome(self) -> dict[str, Any]:
        if self._unshared:
            return {"outcome": "unshared", "message": self._unshared, tune.result.DONE: True}
        try:
            return self._work()
        except torch.AcceleratorError:
            raise  # this process can use its GPU no more: it ends, and another one tries again
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            self._store.record_failure(self._stage, message, self._device)
            return {"outcome": "failed", "message": message, tune.result.DONE: True}

    def cleanup(self) -> None:
        """Keep a training that is stopped before its end."""
        self._execution.close()

    def _begin(self, config: dict[str, Any]) -> None:
        self._stage: Stage = config["stage"]
        self._execution: Execution = execute(self._stage, self._machine)
        self._images = self._told = 0

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Count the time inside as busy, and that since the last one as idle."""
        started = time.perf_counter()
        self._idle += started - self._changed
        yield
        self._changed = time.perf_counter()
        self._busy += self._changed - started

    def _work(self) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            while True:
                progress = next(self._execution)
                self._images = max(self._images, progress.images)
                if time.perf_counter() - started > REPORT_SECONDS:
                    return {
                        "outcome": "running",
                        "epochs": progress.epochs,
                        "of": progress.of,
                        "images": self._new_images(),
                        "test_error": progress.test_error,
                    }
        except StopIteration as end:
            rows: Rows = end.value
        self._store.record(self._stage, rows, self._device)
        diverged = any(row["status"] == "diverged" for table in rows.values() for row in table)
        return {
            "outcome": "diverged" if diverged else "ok",
            "message": "",
            "images": self._new_images(),
            "test_error": _mean(row["test_error"] for row in rows.get("runs", ())),
            "lmc": _mean(row["lmc"] for row in rows.get("pairs", ())),
            tune.result.DONE: True,
        }

    def _new_images(self) -> int:
        """Images since it was asked last."""
        new, self._told = self._images - self._told, self._images
        return new


def _why_unshared(store: Store) -> str:
    """What is wrong with the storage here, in words that follow its name; empty if it is the driver's.

    Raises OSError for what may go away: Tune tries the trial again, elsewhere perhaps.
    """
    host = socket.gethostname()
    try:
        return "" if store.is_shared() else f"is another folder on {host}"
    except (OSError, ValueError) as error:
        if passes(error):
            raise
        return f"cannot be read on {host} ({error})"


def _mean(values: Iterable[float]) -> float:
    """Mean of those that are defined; NaN without any."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def _keep_freed_memory() -> None:
    """Have glibc keep freed memory rather than give it back: a step of a small net was 10 to 20 % faster."""
    trim_threshold, mmap_threshold, at_most = -1, -3, 2**30
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library
    mallopt(trim_threshold, at_most)
    mallopt(mmap_threshold, at_most)
