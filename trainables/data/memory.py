"""Whether data fit into memory."""

import re
from pathlib import Path

from trainables.data.images import DataSet
from trainables.data.text.pairs import ParallelText

GROUPS = "/sys/fs/cgroup"


def check_room(where: str, data: DataSet | ParallelText) -> None:
    """Raise ValueError, in one sentence for the user, unless the data fit into memory as bytes.

    Args:
        where: The data's name, for a person.
        data: Not in memory yet.
    """
    check_bytes(where, data.train.nbytes, data.test.nbytes, data.what)


def check_bytes(where: str, train: int, test: int, what: str = DataSet.what) -> None:
    """As :func:`check_room`, of so many bytes of training and test samples, which are called so."""
    needs, available = train + test, available_bytes()
    smaller = "smaller" if what == DataSet.what else "shorter"
    if available is not None and needs > available:
        said = f"{what} need {needs / 1e9:.2f} GB of memory, and {available / 1e9:.2f} GB are available"
        raise ValueError(f"{where}: its {said}; take fewer or {smaller} {what}")


def available_bytes() -> int | None:
    """Memory that this process could still take, of the machine's and of its container's; None where nobody says."""
    found = []
    if match := re.search(r"MemAvailable: +([0-9]+) kB", _text("/proc/meminfo")):
        found.append(1024 * int(match[1]))
    for most, used, files in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        limit, usage = _text(f"{GROUPS}/{most}").strip(), _text(f"{GROUPS}/{used}").strip()
        if limit.isdigit() and usage.isdigit():
            cached = re.search(r"^(?:total_)?inactive_file ([0-9]+)$", _text(f"{GROUPS}/{files}"), re.MULTILINE)
            found.append(int(limit) - int(usage) + (int(cached[1]) if cached else 0))
    return min(found, default=None)


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
