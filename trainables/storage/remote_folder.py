"""A folder in object storage, or on any other file system that pyarrow knows."""

import re
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

from trainables.storage.folder import FileState, Folder, StorageError, inside, is_transient

T = TypeVar("T")

OBJECT_STORES = ("s3", "gcs", "abfs")
"""pyarrow's names of file systems where a file appears when it is complete, and cannot be renamed at once."""

MOST_READS = 5
"""A file that is replaced while it is read is read so often at most."""

PARALLEL_READS = 16
"""Files that are fetched from other machines at the same time."""


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
            if isinstance(error, OSError) and is_transient(error):
                raise
            raise ValueError(f"{self} cannot be used as storage ({_first_line(error)})") from None

    def __str__(self) -> str:
        return self._place

    def subfolder(self, name: str) -> Folder:
        """Give a folder inside this one."""
        query = f"?{self._query}" if self._query else ""
        return RemoteFolder(f"{self._place}/{inside(name)}{query}", self._endpoint)

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

        name = inside(name)

        def once() -> T:
            system, base = self._system
            return what(system, f"{base}/{name}")

        try:
            return self._retried(once)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise _in_one_line(error) from None


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


def _in_one_line(error: Exception) -> OSError:
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, (error.strerror or "").partition("\n")[0])
    return StorageError(_first_line(error))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
