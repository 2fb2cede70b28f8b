"""Files that a person names on the command line, and tables on the terminal."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sweeps.results.own_files import STUDIES, check_free, is_results_folder
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


DATA_BEGINS = (
    b"temperature_axis,temperature,load_axis,load,",
    b"method,temperature_axis,temperature,",
    b"measure,rounds,temperature_axis,",
    b"dimension,temperature_axis,temperature,",
)
"""First columns of the data of pictures, of phase diagrams and studies, by which they are known again."""

PRINTED = (".svg", ".pdf", ".png")
"""Ends of the names of pictures for a paper, beside which their data are."""

PICTURES = (".html", *PRINTED)
"""Ends of the names that a picture may have."""


JSON = (".json",)

TABLES = (".csv", ".parquet")
"""Ends of the names that a table may have."""

PHASE_TABLE = "phase.csv"
"""Name of the phase table in a results folder."""

OWN_TABLES = (PHASE_TABLE, *(f"{name}.csv" for name in STUDIES))
"""Names of tables in a results folder that a picture's data do not replace."""


def data_beside(picture: str | None) -> str | None:
    """Name of the table of what a picture for a paper shows; None for other pictures."""
    return str(Path(picture).with_suffix(".csv")) if picture and Path(picture).suffix.lower() in PRINTED else None


def checked_picture(option: str, name: str) -> File:
    """File of a picture to write.

    Raises:
        UsageError: As :func:`checked_file`, or if its name ends otherwise, or its data would replace another table.
    """
    file = checked_file(option, name, PICTURES)
    if data := data_beside(name):
        checked_file(f"the data of {option}", data, TABLES)
        is_own = Path(data).name in OWN_TABLES and is_results_folder(Path(data).parent)
        if is_own or (Path(data).exists() and not _begins(data, DATA_BEGINS)):
            raise UsageError(f"{option} {name}: its data are written to {data}, which is another table; name another.")
    return file


def _begins(name: str, beginnings: Sequence[bytes]) -> bool:
    with open(name, "rb") as file:
        return file.read(max(map(len, beginnings))).startswith(tuple(beginnings))


def checked_file(option: str, name: str, ends: Sequence[str]) -> File:
    """File to write.

    Raises:
        UsageError: If it is something else than a file, its name ends otherwise than what is written, its folder cannot
            be written, or a sweep wrote it.
    """
    path = Path(name)
    if "://" in name or path.name == ".." or (path.exists() and not path.is_file()):
        raise UsageError(f"{option} {name} is not a file on this machine; name one.")
    if path.suffix.lower() not in ends:
        raise UsageError(f"{option} {name}: it is {' or '.join(ends)} that is written; name such a file.")
    check_free(f"{option} {name}", path)
    _check_writable(f"{option} {name}", path.parent)
    return File(LocalFolder(path.parent), path.name)


def checked_folder(option: str, name: str) -> Path:
    """Folder to write files of any names into.

    Raises:
        UsageError: If it is something else than a folder, cannot be written, or holds what a sweep wrote.
    """
    path = Path(name)
    if "://" in name or (path.exists() and not path.is_dir()):
        raise UsageError(f"{option} {name} is not a folder of this machine; name one.")
    check_free(f"{option} {name}", path / "any")
    if is_results_folder(path):
        raise UsageError(f"{option} {name}: a sweep's results are there; name another folder, or one in it.")
    _check_writable(f"{option} {name}", path)
    return path


def _check_writable(what: str, folder: Path) -> None:
    """Raise UsageError, naming the option and its value, unless files can be made in a folder, or it can be made."""
    absolute = folder.absolute()
    there = next(each for each in (absolute, *absolute.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):  # permissions alone do not tell, for root or on a read-only system
            pass
    except OSError:
        raise UsageError(f"{what}: {there} is not a folder that can be written.") from None


def default_output(source: str, name: str) -> str:
    """Path for a file drawn from a table or from results that cannot be written: where results go by default.

    Below ``results``, which git ignores, under the source's own name, so that a clone stays clean and several tables do
    not overwrite each other.
    """
    return f"results/{Path(source).stem}_{name}"


def check_distinct(files: Mapping[str, str | None]) -> None:
    """Raise UsageError if two options name the same file."""
    named: dict[str, str] = {}
    for option, name in files.items():
        if name is not None and (other := named.setdefault(os.path.realpath(name), option)) != option:
            raise UsageError(f"{option} {name} is the file of {other}, too; name another.")


def write_json(option: str, name: str, content: object) -> None:
    """Write plain data as JSON into a file that an option names.

    Raises:
        UsageError: If it cannot be written.
    """
    checked_file(option, name, JSON).write((json.dumps(content, indent=2) + "\n").encode())


def print_table(table: Table) -> None:
    """Print a table, as wide as it is where there is no terminal."""
    print(table_text(table))


def table_text(table: Table) -> str:
    """A table for the terminal, as wide as it is where there is none."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as captured:
        console.print(table)
    return captured.get().removesuffix("\n")
