"""Files that appear whole or not at all, in a folder of this machine or in object storage."""

import errno
import glob
import os
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

FileState = tuple[int, int]
"""Size in bytes and time of the last change in ns: other content, another state, but for changes within a second."""

OBJECT_STORES = ("s3", "gcs", "abfs")
"""pyarrow's names of file systems where a file appears when it is complete, and cannot be renamed at once."""

PASSING = re.compile(
    "NETWORK_CONNECTION|SLOW_DOWN|UNAVAILABLE|INTERNAL_FAILURE|REQUEST_TIMEOUT|THROTTLING|HTTP status (429|5..)"
)
"""In messages of object storage about what goes away by itself."""

PASSING_NUMBERS = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EBUSY", "EIO", "EMFILE", "ENFILE", "ENOBUFS", "ENOLCK", "EREMOTEIO", "ESTALE", "ETIMEDOUT"),
        *("ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH"),
        *("ENETDOWN", "ENETRESET", "ENETUNREACH", "ENOTCONN", "ESHUTDOWN"),
    )
    if hasattr(errno, name)  # not every system has all
}
"""Of errors that go away by themselves where machines share a folder: its server restarts, a file is replaced."""

LEFT_SECONDS = 3600
"""What was being written so long ago is left of a process that was killed."""

RETRY_SECONDS = (1, 2, 4, 8, 16)
"""Pauses before something is tried again, beside the storage library's own."""

MOST_READS = 5
"""A file that is replaced while it is read is read so often at most."""

PARALLEL_READS = 16
"""Files that are fetched from other machines at the same time."""

OF_STORAGE = "of_storage"
"""Attribute of errors that a folder's storage may get over by itself, and did not in time."""

T = TypeVar("T")


class Folder(ABC):
    """A folder of files named by relative paths, such as ``dense/<key>/epoch-00010.pt``.

    Every method raises OSError if the storage does not do what it should, and ValueError for a name that leads out of
    the folder.

    Attributes:
        patient: Whether what fails, but may go away by itself (:func:`passes`), is tried again for half a minute.
    """

    patient = False

    def _patiently(self, what: Callable[[], T]) -> T:
        """Do it; again, if :attr:`patient`, as long as what goes wrong may go away."""
        pauses = iter(RETRY_SECONDS if self.patient else ())
        while True:
            try:
                return what()
            except Exception as error:
                pause = next(pauses, None)
                if pause is None or not passes(error):
                    setattr(error, OF_STORAGE, passes(error))
                    raise
            time.sleep(pause)

    @abstractmethod
    def __str__(self) -> str:
        """Where it is, as a person names it."""

    def at(self, name: str) -> str:
        """Where a file of it is, as a person names it."""
        return f"{self}/{_inside(name)}"

    @abstractmethod
    def below(self, name: str) -> "Folder":
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


def open_folder(location: str | os.PathLike[str], endpoint: str | None = None) -> Folder:
    """Open a folder; it is made when the first file is written.

    Args:
        location: Path of a local or shared folder, or URI of object storage (``s3://bucket/path``) or of any other file
            system that pyarrow knows. Credentials and region are found where the storage's own tools find them.
        endpoint: URL of a server that speaks S3's protocol, instead of Amazon's.

    Raises:
        ValueError: If it is no such URI, or an endpoint is given without one.
    """
    location = os.fspath(location)
    if location.startswith("file://"):
        parts = urlsplit(location)
        if parts.netloc not in ("", "localhost"):
            raise ValueError(f"{location} names another machine, {parts.netloc}; write file:///path")
        location = unquote(parts.path)
    if "://" in location:
        return RemoteFolder(location, endpoint)
    if endpoint is not None:
        raise ValueError(f"{location} is a folder, which has no storage endpoint; write s3://bucket/path")
    return LocalFolder(location)


class LocalFolder(Folder):
    """A folder of this machine, or one that several machines mount."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()

    def __str__(self) -> str:
        return str(self.path)

    def below(self, name: str) -> Folder:
        """Give a folder inside this one."""
        return LocalFolder(self.path / _inside(name))

    def write(self, name: str, content: bytes) -> None:
        """Write through a temporary file, which is renamed when it is on disk."""
        path = self.path / _inside(name)
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
            self._patiently(write)
        except BaseException:
            with suppress(OSError):  # what went wrong before is to be told
                temporary.unlink()
            raise

    def read(self, name: str) -> bytes | None:
        """Read a file."""
        path = self.path / _inside(name)
        try:
            return self._patiently(path.read_bytes)
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Remove a file, and what processes left that were killed while they wrote it."""
        path = self.path / _inside(name)

        def delete() -> None:
            path.unlink(missing_ok=True)
            for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                with suppress(FileNotFoundError):
                    if left.stat().st_mtime < time.time() - LEFT_SECONDS:
                        left.unlink()

        self._patiently(delete)

    def files(self, folder: str) -> dict[str, FileState]:
        """Walk the folder."""
        path = self.path / _inside(folder)
        return self._patiently(lambda: _walk(path))

    def contents(self) -> list[str]:
        """List the folder."""
        try:
            return self._patiently(lambda: os.listdir(self.path))
        except FileNotFoundError:
            return []


class RemoteFolder(Folder):
    """A folder in object storage, or on any other file system of pyarrow, named by its URI.

    Travels to other processes as the URI alone: each finds the credentials of its own machine.
    """

    def __init__(self, uri: str, endpoint: str | None = None) -> None:
        place, _, query = uri.partition("?")
        self._place, self._query = place.rstrip("/"), query
        scheme, _, rest = place.partition("://")
        if "#" in uri:
            raise ValueError(f"{uri}: a place has no # in its name")
        owner, at, host = rest.partition("/")[0].rpartition("@")
        if at and (":" in owner or scheme.lower() == "s3"):
            raise ValueError(f"{scheme}://...@{host}: credentials belong into the environment, not here")
        bucket, _, path = rest.partition("/")
        if not path.strip("/") or (scheme == "s3" and not bucket):
            raise ValueError(f"{uri} names no folder; write {scheme}://bucket/path")
        parts = [query] if query else []
        if endpoint is not None:
            if scheme != "s3":
                raise ValueError(f"{uri} has no storage endpoint; only s3:// has one")
            if not re.fullmatch(r"https?://[^/:@]+(:[0-9]{1,5})?/?", endpoint):
                raise ValueError(f"storage endpoint {endpoint}: write http://host:port or https://host:port")
            parts.append(f"endpoint_override={quote(endpoint, safe='')}")
        if scheme == "s3":
            parts.append("allow_delayed_open=true")  # small files are one request, not three
        self._uri = "?".join([self._place, "&".join(parts)]) if parts else self._place
        self._endpoint = endpoint
        if endpoint is not None or scheme != "s3":  # otherwise this asks Amazon for the bucket's region
            _ = self._system

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_system"}

    @cached_property
    def _system(self) -> tuple[Any, str]:
        import pyarrow as pa
        from pyarrow.fs import FileSystem

        try:
            return FileSystem.from_uri(self._uri)
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and passes(error):
                raise
            raise ValueError(f"{self} cannot be used as storage ({_first_line(error)})") from None

    def __str__(self) -> str:
        return self._place

    def below(self, name: str) -> Folder:
        """Give a folder inside this one."""
        query = f"?{self._query}" if self._query else ""
        return RemoteFolder(f"{self._place}/{_inside(name)}{query}", self._endpoint)

    def write(self, name: str, content: bytes) -> None:
        """Put the file; where it would show half, rename it."""
        self._try(lambda system, path: self._put(system, path, content), name)

    def _put(self, system: Any, path: str, content: bytes) -> None:
        at = path
        if system.type_name not in OBJECT_STORES:
            parent, _, file = path.rpartition("/")
            system.create_dir(parent, recursive=True)
            at = f"{parent}/.{file}.{uuid.uuid4().hex}.tmp"
        stream = system.open_output_stream(at)
        stream.write(content)
        stream.close()  # only now it is complete
        if at != path:
            system.move(at, path)

    def read(self, name: str) -> bytes | None:
        """Get a file, again if it was replaced meanwhile."""
        return self._get(_whole, name)

    def read_many(self, names: Sequence[str]) -> list[bytes | None]:
        """Get several files at the same time."""
        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            return list(pool.map(lambda name: self._get(_content, name), names))

    def _get(self, how: Callable[[Any, str], bytes], name: str) -> bytes | None:
        try:
            return self._try(how, name)
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError):
            self._try(lambda system, path: system.delete_file(path), name)

    def files(self, folder: str) -> dict[str, FileState]:
        """List what begins with the folder's name."""
        return {
            name: (info.size, info.mtime_ns)
            for name, info in self._list(folder, recursive=True).items()
            if info.is_file and not any(part.startswith(".") for part in name.split("/"))
        }

    def contents(self) -> list[str]:
        """List the folder."""
        return list(self._list("", recursive=False))

    def _list(self, folder: str, recursive: bool) -> dict[str, Any]:
        from pyarrow.fs import FileSelector

        def found(system: Any, path: str) -> dict[str, Any]:
            path = path.rstrip("/")
            infos = system.get_file_info(FileSelector(path, recursive=recursive, allow_not_found=True))
            return {info.path.removeprefix(f"{path}/"): info for info in infos}

        return self._try(found, folder)

    def _try(self, what: Callable[[Any, str], T], name: str) -> T:
        """Do it with the file system and the path of a name there; what the storage has to say becomes one line."""
        import pyarrow as pa

        name = _inside(name)

        def once() -> T:
            system, base = self._system
            return what(system, f"{base}/{name}")

        try:
            return self._patiently(once)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise _in_one_line(error) from None


class StorageError(OSError):
    """What object storage had to say, in one line. There is no ``errno``; ``strerror`` is the line, too."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.strerror = said


def passes(error: Exception) -> bool:
    """Whether what storage had to say may go away by itself: by the error's number, without one by its message."""
    number = getattr(error, "errno", None)
    return PASSING.search(str(error)) is not None if number is None else number in PASSING_NUMBERS


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


def _content(system: Any, path: str) -> bytes:
    """Get a file. Its size is asked for first: if it is replaced in between, half may come, or zeros after it."""
    with system.open_input_file(path) as file:
        return file.read()


def _whole(system: Any, path: str) -> bytes:
    for _ in range(MOST_READS):
        content = _content(system, path)
        if system.get_file_info(path).size == len(content):
            return content
    raise StorageError(f"{path} changes too often to be read")


def _inside(name: str) -> str:
    """Give a name that does not lead out of its folder, or raise ValueError."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError(f"{name!r} is not a name inside a folder")
    return name


def _in_one_line(error: Exception) -> OSError:
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, (error.strerror or "").partition("\n")[0])
    return StorageError(_first_line(error))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
