"""How much time trials may take. Imports no Ray."""

import math
from dataclasses import dataclass

from sweeps.running.options import RunOptions
from sweeps.spec.errors import UsageError


class BudgetSpent(Exception):  # noqa: N818  not an error: the person asked for it
    """A sweep was stopped since its trials took as long as they may, cleanly: what ran was saved."""


@dataclass
class Budget:
    """Seconds in which trials may work.

    Attributes:
        seconds: All of them; a trial's count once, however many cores it has.
        spent: Those that were reported.
    """

    seconds: float = math.inf
    spent: float = 0.0

    def spend(self, seconds: float) -> None:
        """Take note of seconds in which a trial worked; BudgetSpent if none are left."""
        self.spent += seconds
        if self.spent >= self.seconds:
            raise BudgetSpent


def budget_of(hours: float | None, options: RunOptions) -> Budget:
    """Budget of so many hours of a core, or of a GPU if trials have GPUs; without an end if None.

    Raises:
        UsageError: If it is no positive number.
    """
    if hours is None:
        return Budget()
    if not 0 < hours < math.inf:
        raise UsageError(f"--budget {hours:g}: it is a positive number of core hours.")
    return Budget(3600 * hours / (options.gpus_per_trial or options.cpus_per_trial))
