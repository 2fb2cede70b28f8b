"""Files that appear whole or not at all."""

import io
import os
import uuid
from pathlib import Path
from typing import Any


class Folder:
    """A folder of files named by relative paths, such as ``dense/<key>/epoch-00010.pt``.

    Args:
        path: The folder; it is made when the first file is written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()

    def __str__(self) -> str:
        return str(self.path)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, replacing what had this name. Readers see the old file or the new one, whole.

        When this returns the file is on disk under its name, also if the machine loses power.
        """
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        parent = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)

    def read(self, name: str) -> bytes | None:
        """Content of a file, or None if there is none of this name."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, folder: str, suffix: str) -> list[str]:
        """Sorted names, without ``folder`` and ``suffix``, of the whole files directly inside ``folder``."""
        try:
            found = os.listdir(self.path / folder)
        except FileNotFoundError:
            return []
        return sorted(name.removesuffix(suffix) for name in found if name.endswith(suffix) and name[0] != ".")

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.path / name).unlink(missing_ok=True)


def save(folder: Folder, name: str, content: Any) -> None:
    """Write tensors, and numbers, texts, lists and dictionaries of them, as a torch file."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    folder.write(name, buffer.getvalue())


def load(folder: Folder, name: str) -> Any | None:
    """Read what :func:`save` wrote, onto the CPU, or None if there is no such file. Never executes code in the file.

    Raises:
        ValueError: If the file is damaged, or holds anything but tensors and plain data.
    """
    content = folder.read(name)
    if content is None:
        return None
    try:
        return decoded(content)
    except Exception as error:  # torch raises many kinds, by what it finds in the file
        raise ValueError(f"{folder.path / name} is damaged or not of this service; delete it and run again") from error


def decoded(content: bytes) -> Any:
    """What a torch file holds, on the CPU. Never executes code in the file: it raises one of torch's many errors."""
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
