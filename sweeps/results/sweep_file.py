"""The file that says of which sweep a folder has the results."""

from typing import TypeVar

from sweeps.results.own_files import SPEC, study_file
from sweeps.spec.errors import NoSweepError, UsageError
from sweeps.spec.spec import SweepSpec
from sweeps.spec.studies import sweep_from_json
from sweeps.spec.study import Study
from trainables.storage.folder import Folder

S = TypeVar("S", bound=Study)


def write_sweep(folder: Folder, spec: SweepSpec) -> None:
    """Make this the latest sweep of a folder; a study also the latest of its kind."""
    if isinstance(spec, Study):
        folder.write(study_file(spec.name), spec.to_json().encode())
    folder.write(SPEC, spec.to_json().encode())


def read_sweep(folder: Folder, name: str = SPEC) -> SweepSpec:
    """A sweep of a folder, the latest unless the file of a study is named.

    Raises:
        NoSweepError: If there is none.
        UsageError: If the file is damaged, or another version wrote it.
    """
    file = folder.at(name)
    try:
        content = folder.read(name)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    if content is None:
        raise NoSweepError(f"{folder} holds no results of a sweep (there is no {name} in it).")
    try:
        spec = sweep_from_json(content)
        spec.check()
    except (TypeError, ValueError, AttributeError, RecursionError, UsageError) as error:
        said = "is damaged or of another version; running its sweep again writes it anew"
        raise UsageError(f"{file} {said} ({str(error).rstrip('.')}).") from None
    return spec


def read_study(folder: Folder, kind: type[S]) -> S:
    """Latest study of a kind in a folder.

    Raises:
        NoSweepError: If there is none.
        UsageError: As of :func:`read_sweep`.
    """
    study = read_sweep(folder, study_file(kind.name))
    if not isinstance(study, kind):
        raise UsageError(
            f"{folder.at(study_file(kind.name))} is of another study; running {kind.name}.py writes it anew."
        )
    return study
