"""Draw the phase diagram of stored results: ``python sweeps/report.py RESULTS``. No Ray, no training."""

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from metrics.regimes import SimilarityRule, Thresholds
from sweeps.axes import TEMPERATURES
from sweeps.command import OK, parse, run_command
from sweeps.errors import UsageError
from sweeps.phase import phase_table
from sweeps.phase_diagram import PhaseDiagram, Search, draw, phase_diagram
from sweeps.presets import DEFAULT_PRESET, PRESETS
from sweeps.schema import PHASE
from sweeps.spec import SweepSpec, check_thresholds
from sweeps.store import Store
from sweeps.user_table import axis_of, phase_of, read_table, table_kind, write_table
from trainables.artifacts import Folder

DIAGRAM = "phase_diagram.html"


@dataclass(frozen=True)
class Report:
    """Draw the phase diagram of the results in a folder, and write its phase table.

    Reads the folder's latest sweep. Works while the sweep is running: what is not there yet is marked as missing.
    """

    results: tyro.conf.Positional[str]
    """Folder that a sweep wrote (its --out), or a .csv or .parquet file with temperature, density, lmc, test_error."""

    out: str | None = None
    """File of the diagram; phase_diagram.html in the folder, or here for a file, if not given."""

    table: str | None = None
    """File, .csv or .parquet, for the table with its regimes: a folder's phase table, or a file's own rows."""

    temperature: Literal["epochs", "batch_size", "rho", "lr"] | None = None
    """Of a file: what its temperature is; if not given what the file itself says, or epochs."""

    lmc_threshold: float | None = None
    """Regime I is where LMC lies below this; the sweep's own if not given."""

    cka_threshold: float | None = None
    """With --cka-rule fixed: Regime II-B begins at this CKA; the sweep's own if not given."""

    cka_rule: SimilarityRule | None = None
    """Compare CKA with --cka-threshold (fixed) or the load's best (relative); the sweep's own if not given."""

    cka_margin: float | None = None
    """With --cka-rule relative: Regime II-B reaches so far below the best CKA; the sweep's own if not given."""


def write_report(store: Store, spec: SweepSpec, out: str | None = None) -> None:
    """Write ``phase.parquet``, ``phase.csv`` and the diagram, and print the regimes and the diagram's path.

    Args:
        store: Where the results are.
        spec: Which of them to show, and with which boundaries of the regimes.
        out: Path of the diagram, ``phase_diagram.html`` in the store's folder if None.

    Raises:
        UsageError: If a file cannot be written.
    """
    table = phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds)
    diagram = phase_diagram(table, spec.hot_is_low)
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, PHASE, preserve_index=False), content)
    path = checked_file("--out", out or str(store.folder.path / DIAGRAM))
    try:
        store.folder.write("phase.parquet", content.getvalue())
        store.folder.write("phase.csv", table.to_csv(index=False).encode())
    except OSError as error:
        raise UsageError(f"the tables in {store.folder} cannot be written: {error.strerror}.") from None
    write_diagram(path, diagram, spec.title, spec.thresholds)
    print_regimes(diagram)
    print(f"Phase diagram: {path}")


def write_diagram(
    path: Path, diagram: PhaseDiagram, what: str, thresholds: Thresholds, searches: Sequence[Search] = ()
) -> None:
    """Draw a diagram into a file.

    Raises:
        UsageError: If it cannot be written.
    """
    legend = diagram.legend and f"Cells: {diagram.legend}."
    way = "Red: temperatures in the order in which they were evaluated; framed: the choice." if searches else ""
    caption = " ".join(filter(None, (_caption(thresholds), legend, way)))
    try:
        Folder(path.parent).write(path.name, draw(diagram, f"Phase diagram: {what}", caption, searches).encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None


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


def _caption(thresholds: Thresholds) -> str:
    similar = f"CKA at least {thresholds.cka:g}"
    if thresholds.rule == "relative":
        similar = f"CKA within {thresholds.margin:g} of the load's best"
    return f"Regime I: LMC below {thresholds.lmc:g}. Regime II-B: connected, {similar}. Regime II-A: connected, less."


def print_regimes(diagram: PhaseDiagram) -> None:
    """Print the regimes as a table."""
    print(f"Regimes ({diagram.temperature_axis}, hot at the top, over {diagram.load_axis}):")
    table = Table(box=SIMPLE, collapse_padding=True)
    for heading in (diagram.temperature_axis, *diagram.loads):
        table.add_column(heading, justify="right", no_wrap=True)
    for temperature, marks in zip(diagram.temperatures, diagram.marks, strict=True):
        table.add_row(temperature, *marks)
    print_table(table)
    if diagram.legend:
        print(diagram.legend)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Report, arguments)
    file = Path(options.results)
    if options.table:
        table_kind(options.table)
        checked_file("--table", options.table)
    check_distinct({"RESULTS": options.results, "--out": options.out, "--table": options.table})
    if not file.exists():
        raise UsageError(f"{file} is not there; name a results folder, or a .csv or .parquet file.")
    if file.is_file():
        _report_file(options)
        return OK
    store = Store(options.results)
    spec = replace(store.spec(), **_changed(options))
    check_thresholds(spec.thresholds)
    write_report(store, spec, options.out)
    if options.table:
        write_table(phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds), options.table)
    return OK


def print_table(table: Table) -> None:
    """Print a table, as wide as it is where there is no terminal."""
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def write_json(path: str, content: object) -> None:
    """Write plain data as JSON.

    Raises:
        UsageError: If it cannot be written.
    """
    try:
        Folder(Path(path).parent).write(Path(path).name, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None


def _changed(options: Report) -> dict[str, Any]:
    """Boundaries of the regimes that were asked for."""
    values = {name: getattr(options, name) for name in ("lmc_threshold", "cka_threshold", "cka_rule", "cka_margin")}
    return {name: value for name, value in values.items() if value is not None}


def _report_file(options: Report) -> None:
    """Draw a table that somebody recorded."""
    thresholds = replace(PRESETS[DEFAULT_PRESET], **_changed(options)).thresholds
    check_thresholds(thresholds)
    rows = read_table(options.results)
    axis = axis_of(rows, options.results, options.temperature)
    table = phase_of(rows, axis, thresholds)
    diagram = phase_diagram(table, TEMPERATURES[axis].hot_is_low)
    path = checked_file("--out", options.out or DIAGRAM)
    write_diagram(path, diagram, Path(options.results).name, thresholds)
    print_regimes(diagram)
    print(f"Phase diagram: {path}")
    if options.table:
        regimes = table.set_index(["temperature", "load"])["regime"]
        cells = zip(rows["temperature"], rows["density"], strict=True)
        write_table(rows.assign(regime=[regimes[cell] for cell in cells]), options.table)


if __name__ == "__main__":
    run_command(main)
