"""Where stages are carried out."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from metrics.intrinsic_dimension import NEIGHBOURS
from trainables.data import CACHE, share_vocabulary
from trainables.execution.chooser import Chooser
from trainables.stacks import memory
from trainables.stages.dense_run import DenseRun
from trainables.stages.siblings import Keep
from trainables.storage.folder import Folder
from trainables.tasks import load_task
from trainables.tasks.task import Task


@dataclass(frozen=True)
class Machine:
    """Where stages are carried out and what they share.

    Attributes:
        folder: Keeps dense models, siblings and half-done trainings.
        device: Where tensors live.
        checkpoint_seconds: As in :class:`trainables.training.resumable.ResumableTraining`.
        data_folder: Where torchvision's data sets are kept on this machine.
        gpu_share: How much of a GPU this process may use, in (0, 1].
        keep: Which siblings of a point are kept once it is measured.
        kernels: Whether layers may compute with kernels of our own.
        chooser: Says how trainings are computed; plainly if none is given.
        dimension_neighbours: By which the dimension of data is taken; decides nothing else.
    """

    folder: Folder
    device: torch.device
    checkpoint_seconds: float = 30.0
    data_folder: str = CACHE
    gpu_share: float = 1.0
    keep: Keep = "siblings"
    kernels: bool = True
    chooser: Chooser = field(default_factory=Chooser, compare=False)
    dimension_neighbours: int = NEIGHBOURS


def task_of(run: DenseRun, machine: Machine) -> Task:
    """Task of a training, and of all that comes from it."""
    share_vocabulary(run.data, machine.folder, machine.data_folder)
    where = machine.device, memory.activation_budget(machine.device, machine.gpu_share), machine.data_folder
    task = _task(run.data, run.validation_fraction, *where, run.augmentation, run.loss)
    task.kernels = machine.kernels
    return task


@lru_cache(maxsize=1)  # a worker's stages mostly share their data
def _task(*what: Any) -> Task:
    return load_task(*what)
