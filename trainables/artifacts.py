"""Files that appear whole or not at all, in a local folder or any other file system pyarrow knows."""

import io
import os
import uuid
from pathlib import PurePosixPath
from typing import Any

import pyarrow.fs


class Folder:
    """A folder of files named by relative paths, such as ``dense/<key>/epoch-0010.pt``.

    Args:
        location: A path, or a URI of a file system that pyarrow knows.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        text = os.fspath(location)
        if "://" in text:
            self._files, self.root = pyarrow.fs.FileSystem.from_uri(text)
        else:
            self._files, self.root = pyarrow.fs.LocalFileSystem(), os.path.abspath(text)
        self._local = isinstance(self._files, pyarrow.fs.LocalFileSystem)

    def __str__(self) -> str:
        return self.root

    def path(self, name: str) -> str:
        """Full path of the file ``name`` in this folder's file system."""
        return str(PurePosixPath(self.root, name))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, replacing what had this name. Readers see the old file or the new one, whole.

        On a local disk the file is on disk when this returns.
        """
        path = PurePosixPath(self.path(name))
        if not self._local:
            with self._files.open_output_stream(str(path)) as stream:  # object storage: appears when closed
                stream.write(content)
            return
        os.makedirs(path.parent, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            if os.path.exists(temporary):
                os.remove(temporary)
            raise

    def read(self, name: str) -> bytes | None:
        """Content of a file, or None if there is none of this name."""
        try:
            with self._files.open_input_file(self.path(name)) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def names(self, folder: str, suffix: str) -> list[str]:
        """Sorted names, without ``folder`` and ``suffix``, of the whole files directly inside ``folder``."""
        selector = pyarrow.fs.FileSelector(self.path(folder), allow_not_found=True)
        found = (info.base_name for info in self._files.get_file_info(selector) if info.is_file)
        return sorted(name.removesuffix(suffix) for name in found if name.endswith(suffix) and name[0] != ".")

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self._files.delete_file(self.path(name))
        except FileNotFoundError:
            return


def save(folder: Folder, name: str, content: Any) -> None:
    """Write tensors, and numbers, texts, lists and dictionaries of them, as a torch file."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    folder.write(name, buffer.getvalue())


def load(folder: Folder, name: str) -> Any | None:
    """Read what :func:`save` wrote, onto the CPU, or None if there is no such file. Never executes code in the file.

    Raises:
        pickle.UnpicklingError: If the file holds anything but tensors and plain data.
    """
    import torch

    content = folder.read(name)
    return None if content is None else torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
