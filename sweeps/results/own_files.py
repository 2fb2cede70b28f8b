"""Which files of a results folder are its own: what a sweep wrote, and no other file may replace."""

import os
from pathlib import Path

from sweeps.results.schema import table_schemas
from sweeps.spec.errors import UsageError

SPEC = "sweep.json"
STUDIES = ("sparsity", "importance", "prunability", "landscape", "diagnose")
PROGRESS = "progress.json"
SIGNS = ".driver"
ADDED_SIBLINGS = "added_siblings"
ANSWERS = "search_answers.json"
ARTIFACTS = "artifacts"
MERGED = ".merged"

_MARKS = (SPEC, PROGRESS, SIGNS)
"""A folder of this machine that has one of them is a results folder: a sweep writes two before anything trains."""


def study_file(name: str) -> str:
    """Name of the file that says what the latest study called so is."""
    return f"{name}.json"


def is_results_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether a sweep wrote into a folder of this machine."""
    return any(os.path.lexists(Path(folder) / mark) for mark in _MARKS)


def check_free(what: str, path: str | os.PathLike[str]) -> None:
    """Raise UsageError if a path is a file or folder that a sweep wrote, or lies where sweeps write.

    What commands that read results write there, such as ``phase_diagram.html``, may be replaced, and so may all else.

    Args:
        what: The option and its value, for the sentence.
        path: On this machine. It need not be there; links are followed, and may lie in a results folder themselves.
    """
    own = {
        SPEC,
        PROGRESS,
        SIGNS,
        ADDED_SIBLINGS,
        ANSWERS,
        ARTIFACTS,
        MERGED,
        *table_schemas(),
        *map(study_file, STUDIES),
    }
    absolute = Path(os.path.abspath(path))
    itself = Path(os.path.realpath(Path(path).absolute().parent)) / absolute.name
    for place in (Path(os.path.realpath(path)), itself, absolute):
        for folder in place.parents:
            first = place.relative_to(folder).parts[0]
            if first.casefold() in own and is_results_folder(folder):  # some file systems do not tell cases apart
                raise UsageError(f"{what}: {folder} holds a sweep's results, and {first} is of them; name another.")
