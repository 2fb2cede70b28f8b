"""What a fault means: the one place that decides who pays for it.

- ``stage``: what the stage itself decides: it does not fit into memory, what it begins with is damaged, or a metric
  fails. Tried once
  on another node, if there is one, since memory may be taken there; then ``failed``. (A loss that is not finite is no
  fault: that is a result, ``diverged``.)
- ``storage``: storage that does not answer. Waited for; the stage is tried again.
- ``full``: a folder in which there is no room for what is to be kept. The sweep ends, and its command continues it.
- ``machine``: everything else, such as no data, no model, a broken GPU, a bug. The stage is tried again,
  elsewhere if possible, and ``failed`` if that happens too often; a node on which stage after stage fails is left out
  (:mod:`sweeps.running.stage_queue`).

What the user did wrong is told before anything trains (:mod:`sweeps.running.preflight`).
"""

from typing import Literal

from trainables.measuring.metric import MetricError
from trainables.stacks.memory import is_out_of_memory
from trainables.storage.artifacts import ArtifactError
from trainables.storage.folder import OF_STORAGE, FullError

Fault = Literal["stage", "storage", "full", "machine"]


def fault_of(error: BaseException) -> Fault:
    """Whose fault an exception in a stage is."""
    if is_out_of_memory(error) or isinstance(error, (ArtifactError, MetricError)):
        return "stage"
    if getattr(error, OF_STORAGE, False):
        return "storage"
    return "full" if isinstance(error, FullError) else "machine"


def in_one_line(error: BaseException) -> str:
    """An exception in one line."""
    if isinstance(error, FullError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
