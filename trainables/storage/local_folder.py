"""A folder of this machine, or one that several machines mount."""

import glob
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

from trainables.storage.folder import FileState, Folder, FullError, inside

LEFT_SECONDS = 3600
"""What was being written so long ago is left of a process that was killed."""


class LocalFolder(Folder):
    """A folder of this machine, or one that several machines mount."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()

    def __str__(self) -> str:
        return str(self.path)

    def subfolder(self, name: str) -> Folder:
        """Give a folder inside this one."""
        return LocalFolder(self.path / inside(name))

    def write(self, name: str, content: bytes) -> None:
        """Write through a temporary file, which is renamed when it is on disk."""
        path = self.path / inside(name)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")  # the same one when it is tried again

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            parent = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)

        try:
            self._retried(write)
        except BaseException as error:
            with suppress(OSError):  # what went wrong before is to be told
                temporary.unlink()
            if isinstance(error, OSError) and error.errno in FullError.numbers:
                raise FullError(error, str(self)) from None
            raise

    def read(self, name: str) -> bytes | None:
        """Read a file."""
        path = self.path / inside(name)
        try:
            return self._retried(path.read_bytes)
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Remove a file, and what processes left that were killed while they wrote it."""
        path = self.path / inside(name)

        def delete() -> None:
            path.unlink(missing_ok=True)
            for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                with suppress(FileNotFoundError):
                    if left.stat().st_mtime < time.time() - LEFT_SECONDS:
                        left.unlink()

        self._retried(delete)

    def files(self, folder: str) -> dict[str, FileState]:
        """Walk the folder."""
        path = self.path / inside(folder)
        return self._retried(lambda: _walk(path))

    def contents(self) -> list[str]:
        """List the folder."""
        try:
            return self._retried(lambda: os.listdir(self.path))
        except FileNotFoundError:
            return []


def _walk(folder: Path) -> dict[str, FileState]:
    """Files that are not hidden, by their names below the folder."""
    found: dict[str, FileState] = {}
    pending = [""]
    while pending:
        inside = pending.pop()
        try:
            entries = os.scandir(folder / inside)
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                if entry.name[0] == ".":
                    continue
                if entry.is_dir():
                    pending.append(f"{inside}{entry.name}/")
                    continue
                try:
                    state = entry.stat()
                except FileNotFoundError:
                    continue  # it was replaced or deleted just now
                found[inside + entry.name] = state.st_size, state.st_mtime_ns
    return found
