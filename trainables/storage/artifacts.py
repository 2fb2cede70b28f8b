"""Models and other tensors as files."""

import io
from typing import Any

from trainables.storage.folder import Folder


class ArtifactError(ValueError):
    """A file that a stage needs is damaged, or not there."""


def save(folder: Folder, name: str, content: Any) -> None:
    """Write tensors, and numbers, texts, lists and dictionaries of them, as a torch file."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    folder.write(name, buffer.getvalue())


def load(folder: Folder, name: str) -> Any | None:
    """Read what :func:`save` wrote, onto the CPU, or None if there is no such file. Never executes code in the file.

    Raises:
        ArtifactError: If the file is damaged, or holds anything but tensors and plain data.
    """
    content = folder.read(name)
    if content is None:
        return None
    try:
        return decoded(content)
    except Exception as error:  # torch raises many kinds, by what it finds in the file
        raise ArtifactError(f"{folder.at(name)} is damaged or not of this service; delete it and run again") from error


def needed(folder: Folder, name: str, what: str) -> Any:
    """As :func:`load`, of a file that has to be there.

    Raises:
        ArtifactError: If it is not, which says what is missing, or if it is damaged.
    """
    content = load(folder, name)
    if content is None:
        raise ArtifactError(f"{what} is not there")
    return content


def decoded(content: bytes) -> Any:
    """What a torch file holds, on the CPU. Never executes code in the file: it raises one of torch's many errors."""
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
