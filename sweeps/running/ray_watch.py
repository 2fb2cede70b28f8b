"""What ends a sweep from below: a process of its own Ray that dies, or a full disk under Ray's own files."""

import os
import select
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeps.spec.errors import UsageError
from trainables.storage.folder import FullError

ROOM_BYTES = 2**20
"""A folder in which there is no room for so much is full."""

TITLES = "ray::DashboardAgent", "ray::RuntimeEnvAgent"
"""Processes that a raylet starts, and ends with."""


@contextmanager
def watched(processes: dict[int, str], died: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, tell at once of a process that ends, in a thread beside this one.

    Ray ends the process that drives it, without Python's knowing, a fifth of a second to a minute after a part of it
    has died. On systems other than Linux nothing is watched.

    Args:
        processes: Their names, by their ids.
        died: Told the name.
    """
    if not hasattr(os, "pidfd_open"):
        yield
        return
    ends, over = os.pipe()
    poll = select.poll()
    poll.register(ends, select.POLLIN)
    opened = {}
    for pid, name in processes.items():
        with suppress(OSError):  # a system that is too old
            opened[os.pidfd_open(pid)] = name
    for file in opened:
        poll.register(file, select.POLLIN)

    def watch() -> None:
        found = [file for file, _ in poll.poll()]
        if ends not in found:
            died(opened[found[0]])

    thread = threading.Thread(target=watch, name="watch of Ray", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.write(over, b"0")  # closing it would not do where another process was forked with it
        thread.join()
        for file in (over, ends, *opened):
            os.close(file)


def agents_of(raylet: int) -> dict[int, str]:
    """The processes that a raylet cannot do without, their names by their ids."""
    found = {}
    with suppress(OSError):
        for children in Path(f"/proc/{raylet}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                title = Path(f"/proc/{child}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
                if title in TITLES:
                    found[child] = title.removeprefix("ray::")
    return found


def check_room() -> None:
    """Raise UsageError if there is no room where Ray and Tune keep files on this machine.

    What they themselves say then, of a socket, a file without content or a time that is over, is no help.
    """
    places = {"RAY_TMPDIR": os.environ.get("RAY_TMPDIR"), "TMPDIR": os.environ.get("TMPDIR", tempfile.gettempdir())}
    for variable, folder in places.items():
        if folder and _is_full(folder):
            ways = f"make room there, or name another folder as {variable}"
            said = f"the disk of {folder} is full, where Ray keeps files"
            raise UsageError(f"{said}; {ways}, and the same command continues.")


def _is_full(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM_BYTES))
            file.flush()
    except OSError as error:
        return error.errno in FullError.numbers
    return False
