"""The file that says of which sweep a folder has the results."""

from sweeps.results.own_files import SPEC
from sweeps.spec.errors import NoSweepError, UsageError
from sweeps.spec.spec import SweepSpec
from trainables.storage.folder import Folder


def read_sweep(folder: Folder) -> SweepSpec:
    """Latest sweep of a folder.

    Raises:
        NoSweepError: If there is none.
        UsageError: If the file is damaged, or another version wrote it.
    """
    file = folder.at(SPEC)
    try:
        content = folder.read(SPEC)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    if content is None:
        raise NoSweepError(f"{folder} holds no results of a sweep (there is no {SPEC} in it).")
    try:
        spec = SweepSpec.from_json(content)
        spec.check()
    except (TypeError, ValueError, AttributeError, RecursionError, UsageError) as error:
        said = "is damaged or of another version; running its sweep again writes it anew"
        raise UsageError(f"{file} {said} ({str(error).rstrip('.')}).") from None
    return spec
