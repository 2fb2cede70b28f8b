"""Results to replay: of an earlier sweep, or of somebody else's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from metrics.regimes import Thresholds
from sweeps.results.phase import phase_table, rows_of
from sweeps.results.store import Store
from sweeps.results.user_table import axis_of, phase_of, read_table
from sweeps.spec.axes import TEMPERATURES
from sweeps.spec.checks import check_list, check_thresholds
from sweeps.spec.command_line import value_of
from sweeps.spec.errors import NoSweepError, UsageError
from sweeps.spec.presets import DEFAULT_PRESET, PRESETS
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study

MOST_NAMED = 20
"""Values in a message."""


@dataclass(frozen=True)
class Recorded:
    """Results of an earlier sweep, or of somebody else's.

    Attributes:
        path: Where they are, as it was named.
        spec: The sweep; of a file what is known of it, with the coldest temperature as that of the default recipe.
        rows: Of a file; empty for a results folder.
        store: Of a results folder; None for a file.
    """

    path: str
    spec: SweepSpec
    rows: pd.DataFrame
    store: Store | None = None

    def table(self, thresholds: Thresholds) -> pd.DataFrame:
        """Phase table of all of it."""
        if self.store is None:
            return phase_of(self.rows, self.spec.temperature, thresholds)
        return phase_table(
            self.store.with_added_siblings(self.spec.points()), self.store, thresholds, self.spec.measurement
        )

    def rows_with(self, siblings: int, thresholds: Thresholds) -> dict[tuple[float, float], dict[str, Any]]:
        """Phase table of a results folder with so many siblings of each dense model, the first ones.

        Returns:
            Rows by temperature and load: of the cells whose dense models all have so many, where all of these have
            results.
        """
        assert self.store is not None
        points = self.store.with_added_siblings(self.spec.points())
        few = {(stage.label.temperature, stage.label.load) for stage in points if len(stage.seeds) < siblings}
        first = [replace(stage, seeds=tuple(sorted(stage.seeds)[:siblings])) for stage in points]
        enough = [stage for stage in first if (stage.label.temperature, stage.label.load) not in few]
        if not enough:
            return {}
        rows = rows_of(phase_table(enough, self.store, thresholds, self.spec.measurement))
        return {(row["temperature"], row["load"]): row for row in rows if row["status"] in ("ok", "diverged")}

    @property
    def title(self) -> str:
        """What it is of, in a few words."""
        return self.spec.title if self.store is not None else Path(self.path).name


def open_recorded(path: str, temperature: str | None, endpoint: str | None = None) -> Recorded:
    """Open a results folder, or a file.

    Args:
        path: Where it is.
        temperature: Axis of a file's temperatures; if None, what the file itself says, or epochs.
        endpoint: Server of object storage, if it is not Amazon's.

    Raises:
        UsageError: If it is neither, or of another axis; NoSweepError where a sweep may be yet to begin.
    """
    if "://" not in path and (not path or not Path(path).exists()):
        is_link, is_table = Path(path).is_symlink(), Path(path).suffix.lower() in (".csv", ".parquet")
        why = "is a symbolic link to what is not there" if is_link else "is not there"
        said = f"{path or '(nothing)'} {why}; name a results folder, or a .csv or .parquet file."
        raise UsageError(said) if is_link or is_table or not path else NoSweepError(said)
    if "://" in path or Path(path).is_dir():
        store = Store(path, endpoint)
        spec = store.spec()
        if isinstance(spec, Study):
            said = f"holds the study of {spec.name}.py, which is no grid; python sweeps/{spec.name}.py {path} draws it"
            raise UsageError(f"{path} {said}.")
        if temperature not in (None, spec.temperature):
            raise UsageError(f"--temperature {temperature}: {path} is of {spec.temperature}; leave it out.")
        store.check_tables()
        return Recorded(path, spec, pd.DataFrame(), store)
    if endpoint is not None:
        raise UsageError(f"--storage-endpoint {endpoint}: {path} is a file on this machine; leave it out.")
    rows = read_table(path)
    axis = axis_of(rows, path, temperature)
    temperatures, densities = (tuple(sorted(set(rows[name]))) for name in ("temperature", "density"))
    coldest = temperatures[-1 if TEMPERATURES[axis].hot_is_low else 0]
    like = PRESETS[DEFAULT_PRESET]
    own: dict[str, Any] = {"temperature": axis, axis: type(getattr(like, axis))(coldest)}
    return Recorded(path, replace(like, temperatures=temperatures, densities=densities, **own), rows)


def replayed(arguments: Sequence[str]) -> Recorded | None:
    """Open what ``--replay`` names, if it was given: it decides the defaults of all other options.

    Raises:
        UsageError: If it cannot be opened.
    """
    path = value_of("--replay", arguments)
    if path is None:
        return None
    return open_recorded(path, value_of("--temperature", arguments), value_of("--storage-endpoint", arguments))


def check_recorded(spec: SweepSpec, past: Recorded, table: pd.DataFrame) -> None:
    """Raise UsageError for what is not recorded, temperatures, loads or another setting, and for bad thresholds."""
    check_thresholds(spec.thresholds)
    free = {"temperatures", spec.load_values, "lmc_threshold", "cka_threshold", "cka_rule", "cka_margin"}
    for field in fields(spec):
        value, recorded = getattr(spec, field.name), getattr(past.spec, field.name)
        if field.name not in free and value != recorded:
            option = f"--{field.name.replace('_', '-')}"
            raise UsageError(f"{option} {value}: what is replayed has {recorded}; leave it out.")
    for name, column, wanted in (
        (spec.load_values, "load", spec.loads),
        ("temperatures", "temperature", spec.temperatures),
    ):
        check_list(name, wanted)
        known = sorted(set(table[column]))
        for value in wanted:
            if value not in known:
                there = " ".join(f"{each:g}" for each in known[:MOST_NAMED]) + " ..." * (len(known) > MOST_NAMED)
                raise UsageError(f"--{name} {value:g}: {past.path} has {there}.")


def lacking_cells(table: pd.DataFrame, cells: Iterable[tuple[float, float]]) -> list[str]:
    """Names of those of these temperatures and loads of which a phase table knows nothing, for a person."""
    known = table[table["lmc"].notna() | (table["status"] == "diverged")]
    there = set(zip(known["temperature"], known["load"], strict=True))
    axes = table["temperature_axis"].iloc[0], table["load_axis"].iloc[0]
    return [
        f"{axes[0]} {temperature:g} at {axes[1]} {load:g}"
        for temperature, load in cells
        if (temperature, load) not in there
    ]
