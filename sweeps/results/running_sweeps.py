"""Signs of life of the sweeps at work in a folder, by which a second one finds the first."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path

from trainables.storage.folder import Folder

BEAT_SECONDS = 5.0
"""A sweep that lives says so every so many seconds."""

WATCH_SECONDS = 12.0
"""A sweep on another machine whose sign is the same for so long, a bit more than two beats, is dead."""

SILENT_SECONDS = 60
"""After so long without a sign of life a sweep counts as lost, for whoever does not watch it."""

LOOK_SECONDS = 1.0
"""Between two looks at the signs that are watched."""


@dataclass(frozen=True)
class RunningSweep:
    """What the sign of a sweep says of it.

    Attributes:
        machine: Where its process id is valid.
        pid: Of its process.
        started: When that started, if it can be told, in ticks of that machine's clock: ids are used again.
        host: Name of the machine, for a person.
        begun: Date and time, for a person.
    """

    machine: str
    pid: int
    started: str
    host: str
    begun: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, begun {self.begun}"


@contextmanager
def sign_of_life(signs: Folder) -> Iterator[str]:
    """Keep a sign of this process among others, which changes with every beat; gives its name."""
    name, over, one = uuid.uuid4().hex, threading.Event(), threading.Lock()
    pid, begun = os.getpid(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    this = RunningSweep(_this_machine(), pid, _state_and_start(pid)[1], socket.gethostname(), begun)

    def write(beat: int) -> None:
        signs.write(name, json.dumps(asdict(this) | {"beat": beat}).encode())

    def beat_on() -> None:
        for beat in count(1):
            if over.wait(BEAT_SECONDS):
                return
            with one:  # a beat that takes long does not bring back a sign that was taken away
                if not over.is_set():
                    with suppress(OSError):  # the next beat tries again
                        write(beat)

    write(0)
    threading.Thread(target=beat_on, name="sign of life", daemon=True).start()
    try:
        yield name
    finally:
        over.set()
        with one, suppress(OSError):
            signs.delete(name)


def find_running_sweep(signs: Folder, own: str, say: Callable[[str], None]) -> RunningSweep | None:
    """Find a sweep that is alive beside this one, which has given its own sign; take away the signs of dead ones.

    Whoever looks has given its sign before: of two that start at the same moment at least one sees the other. On this
    machine its processes are asked. A sweep on another one is watched for a change, as clocks of machines differ.

    Args:
        signs: All of them.
        own: Name of this process's own.
        say: Told that a sweep is watched, for :data:`WATCH_SECONDS` at most.
    """
    watched: dict[str, bytes] = {}
    for name in signs.names("", ""):
        content = None if name == own else signs.read(name)
        if content is None:
            continue
        sweep = _read(content)
        if sweep.machine != _this_machine():
            watched[name] = content
        elif _lives(sweep.pid, sweep.started):
            return sweep
        else:
            signs.delete(name)
    if watched:
        hosts = " and ".join(sorted({_read(content).host for content in watched.values()}))
        say(f"there is a sign of a sweep on {hosts}; watching for up to {WATCH_SECONDS:g} s whether it is alive")
    for _ in range(round(WATCH_SECONDS / LOOK_SECONDS)):
        if not watched:
            return None
        time.sleep(LOOK_SECONDS)
        for name, content in list(watched.items()):
            now = signs.read(name)
            if now is None:
                del watched[name]
            elif now != content:
                return _read(now)
    for name in watched:
        signs.delete(name)
    return None


def living_sweeps(signs: Folder, now: datetime) -> dict[str, RunningSweep]:
    """Sweeps that are alive by the names of their signs, as far as can be told at once.

    On this machine their processes are asked; a sign of another one has to be new. Clocks may differ a little.
    """
    found: dict[str, RunningSweep] = {}
    for name, (_, changed) in signs.files("").items():
        if (content := signs.read(name)) is None:
            continue
        sweep = _read(content)
        if sweep.machine == _this_machine():
            lives = _lives(sweep.pid, sweep.started)
        else:
            lives = abs(now.timestamp() - changed / 1e9) < SILENT_SECONDS
        if lives:
            found[name] = sweep
    return found


def _read(sign: bytes) -> RunningSweep:
    try:
        return RunningSweep(**{name: value for name, value in json.loads(sign).items() if name != "beat"})
    except (ValueError, TypeError, AttributeError, RecursionError):  # it is damaged
        return RunningSweep("", 0, "", "another machine", "at an unknown time")


@cache
def _this_machine() -> str:
    """What tells process ids of this machine, since it was started, from all others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # no Linux
        return f"{socket.gethostname()} {uuid.getnode():x}"


def _lives(pid: int, started: str) -> bool:
    """Whether a process of this machine lives and, if that can be told, is the one that started then."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is another user's
    state, start = _state_and_start(pid)
    return state not in ("Z", "X") and ("" in (start, started) or start == started)


def _state_and_start(pid: int) -> tuple[str, str]:
    """State of a process, Z if only its parent remembers it, and its start in ticks; empty where it cannot be told."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", ""
    return after_name[0], after_name[19]
