"""A stage as a Ray Tune trial. The only file here that imports Ray."""

import math
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import ray
import torch
from ray import tune

from metrics.intrinsic_dimension import NEIGHBOURS
from trainables.execution.chooser import Chooser
from trainables.execution.option import Compile
from trainables.faults import fault_of, in_one_line
from trainables.functions.sources import Source, install
from trainables.stacks.memory import keep_freed_memory
from trainables.stages import Execution, Keep, Part, Rows, Stage
from trainables.stages.machine import Machine, task_of
from trainables.storage.artifacts import ArtifactError
from trainables.storage.folder import Folder

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds for which a worker takes no other stage after its first, second, ... fault in a row."""

GPU_MEMORY = 0.9
"""Of its share of a GPU's memory a trial takes so much at most; the rest is for what CUDA takes for each process."""

NAP_SECONDS = 1.0
"""A worker that pauses says so as often, or as rarely as it is to report."""


class Store(Protocol):
    """Where a trial's results go, safe when the call returns."""

    artifacts: Folder

    def is_shared(self) -> bool:
        """Whether this is the place that the sweep's driver writes to."""

    def record(self, stage: Stage, rows: Rows, device: str) -> None:
        """Keep the results of a stage."""


class NotSharedError(OSError):
    """The storage seen here is not the driver's."""


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker carries out stages.

    Attributes:
        device: ``cpu`` or ``cuda``.
        threads: Of the processor's, for a trial on the CPU and for what a GPU leaves to it.
        gpu_share: How much of a GPU a trial may use, in (0, 1].
        checkpoint_seconds: As in :class:`trainables.stages.machine.Machine`.
        data_folder: Likewise.
        keep: Likewise.
        compiling: Whether trainings use compiled code.
        dimension_neighbours: As in :class:`trainables.stages.machine.Machine`.
    """

    device: str
    threads: int
    gpu_share: float
    checkpoint_seconds: float
    data_folder: str
    keep: Keep
    compiling: Compile = "off"
    dimension_neighbours: int = NEIGHBOURS


class StageTrainable(tune.Trainable):
    """Carries out ``config["stage"]``, stores its results itself, and goes on with ``config["follow_up"]``, if any.

    A worker first says where it is (``begun``, with its ``node`` and ``host``). Then Tune is told, at most every
    ``config["report_seconds"]``, progress (``outcome`` is ``running``; ``epochs`` done ``of`` all, ``images`` trained
    on and ``busy_seconds`` and ``idle_seconds`` since it was told last, ``test_error`` where it was evaluated, and, at
    once, ``kept``, parts that others may need and can use now; ``notes``, sentences for the user); at the end of each
    stage the ``outcome`` with its ``message``, ``test_error`` and ``lmc``.

    After a fault the ``outcome`` is its kind (:mod:`trainables.faults`), with its ``message``, ``node`` and ``host``;
    the stage is to be given to another worker. Unless it was the stage's own, this one then pauses, which keeps a
    machine that cannot work from taking one stage after the other: the outcome is ``pausing`` until it is done, after
    some seconds. On a node of ``config["left_out"]`` it is ``declined``, nothing is begun, and the pause has no end.
    """

    def setup(  # type: ignore[override]  # Tune passes on what tune.with_parameters was given
        self, config: dict[str, Any], store: Store, options: WorkerOptions, sources: Mapping[str, Source]
    ) -> None:
        """Begin with the first stage of this worker."""
        install(sources)
        self._busy, self._idle, self._changed = 0.0, 0.0, time.perf_counter()
        self._store, self._options = store, options
        self._checked: set[tuple[Any, ...]] = set()
        self._machine: Machine | None = None
        self._faults = 0
        self._broken: Exception | None = None
        self._introduced = False
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin with another stage."""
        with self._timed():
            self.cleanup()
            self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Work until there is something to report, or to the end of the stage."""
        if not self._introduced:
            self._introduced = True
            return {"outcome": "begun", **_here()}
        if self._pauses_until is not None:
            return self._pause()
        with self._timed():
            result = self._outcome()
        result |= {"busy_seconds": self._busy, "idle_seconds": self._idle, "notes": self._notes()}
        self._busy = self._idle = 0.0
        return result

    def cleanup(self) -> None:
        """Keep a training that is stopped before its end."""
        if self._execution is not None:
            self._execution.close()

    def _begin(self, config: dict[str, Any]) -> None:
        self._take(config["stage"])
        self._follow_up: Stage | None = config["follow_up"]
        self._report_seconds: float = config["report_seconds"]
        self._is_left_out = _node() in config["left_out"]
        self._pauses_until: float | None = None

    def _take(self, stage: Stage) -> None:
        self._stage = stage
        self._execution: Execution | None = None
        self._recorded: list[dict[str, Any]] = []
        self._images = self._told = 0

    def _outcome(self) -> dict[str, Any]:
        if self._is_left_out:
            self._pauses_until = math.inf
            return {"outcome": "declined"}
        try:
            result = self._work(self._prepared())
        except Exception as error:
            fault = fault_of(error)
            if isinstance(error, torch.AcceleratorError):
                self._broken = error
            result = {"outcome": fault, "message": in_one_line(error), **_here()}
            if fault == "stage":
                return result | {tune.result.DONE: True}
            self._pauses_until = time.monotonic() + PAUSES[min(self._faults, len(PAUSES) - 1)]
            self._faults += 1
            return result
        self._faults = 0
        return result

    def _pause(self) -> dict[str, Any]:
        assert self._pauses_until is not None
        left = self._pauses_until - time.monotonic()
        nap = max(NAP_SECONDS, self._report_seconds)
        time.sleep(max(0.0, min(left, nap)))
        if self._broken and left <= nap:
            raise self._broken  # this process can use its GPU no more: it ends, and another one takes its place
        return {"outcome": "pausing", tune.result.DONE: left <= nap}

    def _prepared(self) -> Execution:
        """The stage, begun; before a worker's first of its data, model and functions whether all that is there."""
        if self._execution is None:
            if self._machine is None:
                self._machine = self._own_machine()
            run = self._stage.run
            needs = run.data, run.validation_fraction, run.model, run.augmentation, run.loss
            if needs not in self._checked:
                task_of(run, self._machine).stack(run.model, 1)  # raises whatever is wrong with them here
                self._checked.add(needs)
            self._execution = self._stage.execute(self._machine)
        return self._execution

    def _own_machine(self) -> Machine:
        if not self._store.is_shared():
            raise NotSharedError(f"{self._store.artifacts} is another folder on {socket.gethostname()}")
        options = self._options
        keep_freed_memory()
        torch.set_num_threads(options.threads)  # not what OMP_NUM_THREADS of the machine says: it decides rounding
        if options.device == "cuda" and options.gpu_share < 1:
            torch.cuda.set_per_process_memory_fraction(GPU_MEMORY * options.gpu_share)
        return Machine(
            self._store.artifacts,
            torch.device(options.device),
            options.checkpoint_seconds,
            options.data_folder,
            options.gpu_share,
            options.keep,
            options.compiling == "auto",
            Chooser(options.compiling),
            options.dimension_neighbours,
        )

    @property
    def _device(self) -> str:
        options = self._options
        return torch.cuda.get_device_name() if options.device == "cuda" else f"cpu, {options.threads} threads"

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Count the time inside as busy, and that since the last one as idle."""
        started = time.perf_counter()
        self._idle += started - self._changed
        yield
        self._changed = time.perf_counter()
        self._busy += self._changed - started

    def _work(self, execution: Execution) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            while True:
                progress = next(execution)
                self._images = max(self._images, progress.samples)
                self._record(progress.rows)
                if progress.rows or time.perf_counter() - started > self._report_seconds:
                    return {
                        "outcome": "running",
                        "epochs": progress.epochs,
                        "of": progress.of,
                        "kept": self._parts_in(progress.rows),
                        "images": self._new_images(),
                        "test_error": progress.test_error,
                    }
        except StopIteration as end:
            rows: Rows = end.value
        self._record(rows)
        assert self._machine is not None
        with suppress(OSError, ArtifactError):  # what is left does no harm
            self._stage.discard(self._machine)
        diverged = any(row["status"] == "diverged" for table in rows.values() for row in table)
        result = {
            "outcome": "diverged" if diverged else "ok",
            "message": "",
            "images": self._new_images(),
            **{name: _mean(rows, name) for name in ("test_error", "lmc")},
            **_here(),
            tune.result.DONE: self._follow_up is None,
        }
        if self._follow_up is not None:
            self._take(self._follow_up)
            self._follow_up = None
        return result

    def _record(self, rows: Rows) -> None:
        """Store those rows that are not stored yet."""
        known = set(map(id, self._recorded))
        new = {table: [row for row in own if id(row) not in known] for table, own in rows.items()}
        if any(new.values()):
            self._store.record(self._stage, new, self._device)
            self._recorded += [row for own in new.values() for row in own]

    def _parts_in(self, rows: Rows) -> list[Part]:
        """Parts of the stage that these rows hold."""
        return [part for table, own in rows.items() for row in own for part in self._stage.parts_in_row(table, row)[1]]

    def _notes(self) -> list[str]:
        """What is to be told of how trainings are computed."""
        notes = [] if self._machine is None else self._machine.chooser.notes
        told = list(notes)
        notes.clear()
        return told

    def _new_images(self) -> int:
        """Images since it was asked last."""
        new, self._told = self._images - self._told, self._images
        return new


def _here() -> dict[str, str]:
    """This node, for the driver and for a person."""
    return {"node": _node(), "host": socket.gethostname()}


def _node() -> str:
    """Ray's name of this node; empty where there is no Ray."""
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def _mean(rows: Rows, column: str) -> float:
    """Mean of a column where it is defined, in all tables that have it; NaN without any."""
    values = [row.get(column, math.nan) for own in rows.values() for row in own]
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
