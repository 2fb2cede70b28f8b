"""Putting files into a folder that processes of this machine share, all at once, by one of them at a time."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(base: Path, name: str) -> Iterator[Path]:
    """Wait for all others of this name on this machine, and give an empty folder that is removed at the end.

    What is made in it and then renamed appears in its place all at once, so whoever is stopped leaves nothing that
    could be taken for the whole.

    Args:
        base: Folder in which that lies; made if need be.
        name: What others wait for.
    """
    base.mkdir(parents=True, exist_ok=True)
    with open(base / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for killed in base.glob(f".{name}-*"):
            shutil.rmtree(killed)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=base) as temporary:
            yield Path(temporary)
