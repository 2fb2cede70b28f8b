"""Files that a person names on the command line, and tables on the terminal."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sweeps.errors import UsageError
from trainables.artifacts import Folder


def checked_file(option: str, name: str) -> Path:
    """Path to write to.

    Raises:
        UsageError: If it is something else than a file, or its folder cannot be written.
    """
    path = Path(name)
    if "://" in name or (path.exists() and not path.is_file()):
        raise UsageError(f"{option} {name} is not a file on this machine; name one.")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UsageError(f"{option} {name}: {there} is not a folder that can be written.")
    return path


def check_distinct(files: Mapping[str, str | None]) -> None:
    """Raise UsageError if two options name the same file."""
    named: dict[Path, str] = {}
    for option, name in files.items():
        if name is not None and (other := named.setdefault(Path(name).resolve(), option)) != option:
            raise UsageError(f"{option} {name} is the file of {other}, too; name another.")


def write_file(path: Path | str, content: bytes) -> None:
    """Write a file whole, making its folders.

    Raises:
        UsageError: If it cannot be written.
    """
    path = Path(path)
    try:
        Folder(path.parent).write(path.name, content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from None


def write_json(path: str, content: object) -> None:
    """Write plain data as JSON.

    Raises:
        UsageError: If it cannot be written.
    """
    write_file(path, (json.dumps(content, indent=2) + "\n").encode())


def print_table(table: Table) -> None:
    """Print a table, as wide as it is where there is no terminal."""
    Console(width=None if sys.stdout.isatty() else 200).print(table)
