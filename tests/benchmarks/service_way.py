"""A point as this service does it, by its stages; in processes that are as warm as Ray's workers, without Ray."""

import math
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self

import torch
from arithmetic_limit import products_rate, synchronize
from reference_case import SETTINGS, SHORT_EPOCHS, Work, whole_batch_work

from trainables.measuring.comparison import kept_weights
from trainables.stages import DenseStage, Execution, PointStage, Rows, finish
from trainables.stages.dense import dense_model
from trainables.stages.machine import Machine, task_of
from trainables.stages.measurement import MeasurementStage, measurements
from trainables.stages.siblings import kept_siblings
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Precision

PATIENCE = 3600
"""Seconds for which a process waits for the others to be ready."""


class ServiceWay:
    """The parts of a point, and the whole, in one process.

    Args:
        work: What is to be done.
        precisions: Of the points that will be retrained.
        folder: Of this process alone.
        device: Where models are.
    """

    def __init__(self, work: Work, precisions: Collection[Precision], folder: Path, device: torch.device) -> None:
        self._work, self._folder, self.device = work, folder, device
        self._machine = Machine(LocalFolder(folder), device, keep="nothing")
        finish(DenseStage(work.dense, (0,)).execute(self._machine))
        self._short = work.stage("float32", epochs=1)
        finish(self._short.execute(self._machine))
        self._point: PointStage | None = None
        self._seeds = 1
        self._under_way: dict[Precision, Execution] = {}
        for precision in precisions:  # so that the clock sees no first step
            if work.case.images is None:
                finish(work.stage(precision, epochs=1).execute(self._machine))
            else:
                self._under_way[precision] = work.stage(precision).execute(self._machine)
                self.epoch(precision)
        siblings = self.models()[1]
        masks = kept_weights(siblings)
        self._stack = task_of(work.dense, self._machine).stack(work.case.model, work.siblings, masks)
        self._stack.load(siblings)

    def models(self) -> tuple[dict[str, torch.Tensor], list[dict[str, torch.Tensor]]]:
        """State dictionaries of the dense model, and of siblings of it that were retrained for one epoch."""
        siblings = kept_siblings(self._machine.folder, self._short.key)
        dense = dense_model(self._work.dense, 0, self._machine.folder)
        return dense["model"], [siblings[seed]["model"] for seed in self._short.seeds]

    def epoch(self, precision: Precision) -> None:
        """Train all siblings of a point of the whole schedule for an epoch."""
        progress = next(self._under_way[precision])
        assert math.isnan(progress.test_error), "evaluated, which is timed by itself"

    def evaluation(self) -> list[float]:
        """Test errors of all siblings."""
        return task_of(self._work.dense, self._machine).errors(self._stack, "test")

    def path(self) -> list[float]:
        """Errors on the lines between all siblings; those between the first two."""
        stage = _measured(self._short)
        rows = finish(stage.with_parts([part for part in stage.parts if part[0] == "lmc"]).execute(self._machine))
        return list(rows["pairs"][0]["path_errors"])

    def similarity(self) -> list[float]:
        """CKA of all pairs of siblings."""
        stage = _measured(self._short)
        rows = finish(stage.with_parts([part for part in stage.parts if part[0] == "cka"]).execute(self._machine))
        return [row["cka"] for row in rows["pairs"]]

    def retraining(self, precision: Precision) -> None:
        """Prune the dense model and retrain all siblings, with seeds of their own."""
        if self._point is not None:
            _measured(self._point).discard(self._machine)
        self._seeds += self._work.siblings
        self._point = self._work.stage(precision, self._seeds)
        _finite(finish(self._point.execute(self._machine)))

    def measuring(self) -> None:
        """LMC and CKA of all pairs of the siblings that were retrained last."""
        assert self._point is not None
        _finite(finish(_measured(self._point).execute(self._machine)))

    def products_rate(self, precision: Precision) -> float:
        """Floating point operations a second of large products of matrices, on the core of this process."""
        return products_rate(precision, self.device)

    def whole_batch_losses(self, images: int) -> list[float]:
        """Mean losses of a short training in which no random number has a say, as :func:`whole_batch_work` says."""
        work = whole_batch_work(self._work, images, self._folder)
        finish(DenseStage(work.dense, (0,)).execute(self._machine))
        rows = finish(work.stage("float32", epochs=SHORT_EPOCHS).execute(self._machine))
        return list(rows["runs"][0]["losses"])


class Workers:
    """Processes that do the same part at the same time, each for a point of its own.

    Args:
        processes: How many.
        work: As of :class:`ServiceWay`, like the others.
        precisions: Likewise.
        folder: In which each has one of its own.
        device: Likewise.
    """

    def __init__(
        self, processes: int, work: Work, precisions: Collection[Precision], folder: Path, device: torch.device
    ) -> None:
        context = get_context("spawn")
        self.processes = processes
        own = context.Barrier(processes), work, precisions, folder, device
        self._pool = ProcessPoolExecutor(processes, context, _begin, own)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._pool.shutdown()

    def each(self, part: str, *arguments: object) -> list[Any]:
        """What every process gives for a part, when the last is done."""
        given = [self._pool.submit(_do, part, arguments) for _ in range(self.processes)]
        return [one.result() for one in given]


_barrier: Barrier
_way: ServiceWay


def _begin(barrier: Barrier, work: Work, precisions: Collection[Precision], folder: Path, device: torch.device) -> None:
    from trainables.stacks.memory import keep_freed_memory

    global _barrier, _way
    torch.set_num_threads(1)  # these two as in a trial
    keep_freed_memory()
    _barrier = barrier
    _way = ServiceWay(work, precisions, Path(mkdtemp(dir=folder)), device)


def _do(part: str, arguments: tuple[object, ...]) -> Any:
    _barrier.wait(PATIENCE)  # or one process might take the work of two
    result = getattr(_way, part)(*arguments)
    synchronize(_way.device)
    return result


def _measured(point: PointStage) -> MeasurementStage:
    (stage,) = measurements([point], SETTINGS)
    return stage


def _finite(rows: Rows) -> None:
    """What diverged is not trained to its end, nor measured."""
    assert {row["status"] for own in rows.values() for row in own} == {"ok"}, rows
