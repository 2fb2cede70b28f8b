"""How long steps were measured to take: in a file of the user on this machine, and in one that comes with the package.

Both are tables in CSV. Imports no torch.
"""

import csv
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from trainables.data import CACHE

FILE = "steps.csv"
SHIPPED = Path(__file__).with_name(FILE)


@dataclass(frozen=True)
class Case:
    """All that decides how long a training step takes, but for the way in which it is computed.

    Attributes:
        model: Architecture; a user's own by its content.
        image: Height, width and channels, as ``32x32x3``.
        classes: Of the data.
        batch_size: Images of each model.
        models: In the stack.
        precision: Of the passes.
        sam: Whether a step has the second pass of SAM.
        threads: Of the processor's.
        device: Name of the processor or GPU.
        torch: Version.
    """

    model: str
    image: str
    classes: int
    batch_size: int
    models: int
    precision: str
    sam: bool
    threads: int
    device: str
    torch: str


@dataclass(frozen=True)
class Timing:
    """What was measured of a way.

    Attributes:
        step_ms: Milliseconds of a step, the fastest of several.
        begin_s: Seconds of the first step beyond that, in which code is compiled.
    """

    step_ms: float
    begin_s: float


COLUMNS = [*(field.name for field in fields(Case)), "way", *(field.name for field in fields(Timing))]


class Timings:
    """Timings by case and way, of this machine's user before those that are shipped.

    Args:
        folder: Where the user's file is; the cache of this package if not given.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._file = Path(os.path.expanduser(folder or CACHE)) / FILE

    def known(self, case: Case) -> dict[str, Timing]:
        """What is known of a case, by way; the files are read anew."""
        own = tuple(map(str, astuple(case)))
        return {way: timing for found, way, timing in (*_read(SHIPPED), *_read(self._file)) if found == own}

    def add(self, case: Case, timings: dict[str, Timing]) -> None:
        """Keep what was measured; where that is not possible, it is measured again some day."""
        rows = {(found, way): timing for found, way, timing in _read(self._file)}
        rows |= {(tuple(map(str, astuple(case))), way): timing for way, timing in timings.items()}
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._file.parent, delete=False, newline="") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                for (found, way), timing in rows.items():
                    writer.writerow([*found, way, *(f"{value:.4g}" for value in asdict(timing).values())])
            try:
                os.replace(file.name, self._file)
            except OSError:
                os.unlink(file.name)


def _read(file: Path) -> Iterable[tuple[tuple[str, ...], str, Timing]]:
    """Rows of a table as cases in words, ways and timings; of a damaged one none."""
    try:
        with file.open(newline="") as lines:
            heading, *rows = csv.reader(lines)
            if heading != COLUMNS:
                return []
            return [(tuple(row[:-3]), row[-3], Timing(float(row[-2]), float(row[-1]))) for row in rows]
    except (OSError, ValueError, IndexError, csv.Error):
        return []
