"""Where rows of stages go that have no result, and how a result is added to."""

from sweeps.results.part_files import Row
from sweeps.results.schema import LABEL
from trainables.stages import Stage


def lost_part(cause: Stage) -> str:
    """Name of the files of stages that cannot run since this one failed, and of its own failures beside results."""
    return lost_file(cause.key)


def lost_file(key: str) -> str:
    """The same, by the stage's key."""
    return f"lost-{key}"


def joined(before: Row, row: Row) -> Row:
    """A result with what is new of it.

    What was measured in addition adds its time; what had diverged still has. Where a point lies is told by the sweep
    that first had it.
    """
    row = row | {name: before[name] for name in LABEL if before.get(name) is not None}
    kept = {name: value for name, value in before.items() if value is not None and name not in row}
    if not kept:
        return row
    kept["seconds"] = before["seconds"] + row["seconds"]
    if before["status"] == "diverged":
        kept |= {name: before[name] for name in ("status", "message")}
    return row | kept
