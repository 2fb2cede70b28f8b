"""Files that appear whole or not at all, in a folder of this machine or in object storage."""

import errno
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

FileState = tuple[int, int]
"""Size in bytes and time of the last change in ns: other content, another state, but for changes within a second."""

TRANSIENT = re.compile(
    "NETWORK_CONNECTION|SLOW_DOWN|UNAVAILABLE|INTERNAL_FAILURE|REQUEST_TIMEOUT|THROTTLING|HTTP status (429|5..)"
)
"""In messages of object storage about what goes away by itself."""

TRANSIENT_NUMBERS = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EBUSY", "EIO", "EMFILE", "ENFILE", "ENOBUFS", "ENOLCK", "EREMOTEIO", "ESTALE", "ETIMEDOUT"),
        *("ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH"),
        *("ENETDOWN", "ENETRESET", "ENETUNREACH", "ENOTCONN", "ESHUTDOWN"),
    )
    if hasattr(errno, name)  # not every system has all
}
"""Of errors that go away by themselves where machines share a folder: its server restarts, a file is replaced."""

RETRY_SECONDS = (1, 2, 4, 8, 16)
"""Pauses before something is tried again, beside the storage library's own."""

OF_STORAGE = "of_storage"
"""Attribute of errors that a folder's storage may get over by itself, and did not in time."""

T = TypeVar("T")


class Folder(ABC):
    """A folder of files named by relative paths, such as ``dense/<key>/epoch-00010.pt``.

    Every method raises OSError if the storage does not do what it should, and ValueError for a name that leads out of
    the folder.

    Attributes:
        patient: Whether what fails, but may go away by itself (:func:`is_transient`), is tried again for half a minute.
    """

    patient = False

    def _retried(self, what: Callable[[], T]) -> T:
        """Do it; again, if :attr:`patient`, as long as what goes wrong may go away."""
        pauses = iter(RETRY_SECONDS if self.patient else ())
        while True:
            try:
                return what()
            except Exception as error:
                pause = next(pauses, None)
                if pause is None or not is_transient(error):
                    setattr(error, OF_STORAGE, is_transient(error))
                    raise
            time.sleep(pause)

    @abstractmethod
    def __str__(self) -> str:
        """Where it is, as a person names it."""

    def at(self, name: str) -> str:
        """Where a file of it is, as a person names it."""
        return f"{self}/{inside(name)}"

    @abstractmethod
    def subfolder(self, name: str) -> "Folder":
        """Give a folder inside this one."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file, replacing what had this name. Readers see the old file or the new one, whole.

        When this returns the file is safe under its name, also if the machine loses power.
        """

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Content of a file, or None if there is none of this name."""

    def read_many(self, names: Sequence[str]) -> list[bytes | None]:
        """Contents of several files. Unlike :meth:`read` this may give half of one that is replaced meanwhile."""
        return [self.read(name) for name in names]

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def files(self, folder: str) -> dict[str, FileState]:
        """All whole files below ``folder``, by their names without it, with their states."""

    @abstractmethod
    def contents(self) -> list[str]:
        """Names of the files and folders directly inside; none if it is not there yet."""

    def names(self, folder: str, suffix: str) -> list[str]:
        """Sorted names, without ``folder`` and ``suffix``, of the whole files directly inside ``folder``."""
        return sorted(
            name.removesuffix(suffix) for name in self.files(folder) if name.endswith(suffix) and "/" not in name
        )


class FullError(OSError):
    """A disk, or somebody's share of it, is full. Nothing that was stored is lost.

    Args:
        error: What the system said.
        where: What is full.
    """

    numbers = frozenset({errno.ENOSPC, errno.EDQUOT})

    def __init__(self, error: OSError, where: str) -> None:
        super().__init__(error.errno, error.strerror)
        self.where = where

    def __reduce__(self) -> tuple[type["FullError"], tuple[OSError, str]]:
        """What it is made of, for other processes."""
        return type(self), (OSError(self.errno, self.strerror), self.where)

    def __str__(self) -> str:
        return f"the disk of {self.where} is full ({self.strerror}); make room there, and the same command continues"


class StorageError(OSError):
    """What object storage had to say, in one line. There is no ``errno``; ``strerror`` is the line, too."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.strerror = said


def is_transient(error: Exception) -> bool:
    """Whether what storage had to say may go away by itself: by the error's number, without one by its message."""
    number = getattr(error, "errno", None)
    return TRANSIENT.search(str(error)) is not None if number is None else number in TRANSIENT_NUMBERS


def inside(name: str) -> str:
    """Give a name that does not lead out of its folder, or raise ValueError."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError(f"{name!r} is not a name inside a folder")
    return name
