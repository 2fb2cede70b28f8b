"""Files that a person names on the command line, and tables on the terminal."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sweeps.spec.errors import UsageError
from trainables.storage.folder import Folder, FullError
from trainables.storage.local_folder import LocalFolder


@dataclass(frozen=True)
class File:
    """A file to write, of a name in a folder."""

    folder: Folder
    name: str

    def __str__(self) -> str:
        return self.folder.at(self.name)

    def write(self, content: bytes) -> None:
        """Write it whole, making its folders.

        Raises:
            UsageError: If it cannot be written.
        """
        try:
            self.folder.write(self.name, content)
        except FullError as error:
            raise UsageError(f"{self} cannot be written: {error}.") from None
        except OSError as error:
            raise UsageError(f"{self} cannot be written: {error.strerror or error}.") from None


def checked_file(option: str, name: str) -> File:
    """File to write.

    Raises:
        UsageError: If it is something else than a file, or its folder cannot be written.
    """
    path = Path(name)
    if "://" in name or path.name == ".." or (path.exists() and not path.is_file()):
        raise UsageError(f"{option} {name} is not a file on this machine; name one.")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UsageError(f"{option} {name}: {there} is not a folder that can be written.")
    return File(LocalFolder(path.parent), path.name)


def default_output(source: str, name: str) -> str:
    """Path for a file drawn from a table or from results that cannot be written: where results go by default.

    Below ``results``, which git ignores, under the source's own name, so that a clone stays clean and several tables do
    not overwrite each other.
    """
    return f"results/{Path(source).stem}_{name}"


def check_distinct(files: Mapping[str, str | None]) -> None:
    """Raise UsageError if two options name the same file."""
    named: dict[Path, str] = {}
    for option, name in files.items():
        if name is not None and (other := named.setdefault(Path(os.path.realpath(name)), option)) != option:
            raise UsageError(f"{option} {name} is the file of {other}, too; name another.")


def write_json(option: str, name: str, content: object) -> None:
    """Write plain data as JSON into a file that an option names.

    Raises:
        UsageError: If it cannot be written.
    """
    checked_file(option, name).write((json.dumps(content, indent=2) + "\n").encode())


def print_table(table: Table) -> None:
    """Print a table, as wide as it is where there is no terminal."""
    Console(width=None if sys.stdout.isatty() else 200).print(table)
