"""Draw the phase diagram of stored results: ``python sweeps/report.py RESULTS``. No Ray, no training."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from rich.box import SIMPLE
from rich.table import Table

from metrics.regimes import SimilarityRule, Thresholds
from sweeps.command import OK, parse, run_command
from sweeps.errors import UsageError
from sweeps.live_diagram import LiveDiagram, serve
from sweeps.output import File, among_results, check_distinct, checked_file, print_table
from sweeps.phase import diverged_note, phase_table
from sweeps.phase_diagram import PhaseDiagram, Search, draw, draw_json, phase_diagram
from sweeps.recorded import open_recorded
from sweeps.schema import PHASE
from sweeps.spec import SweepSpec, check_thresholds
from sweeps.store import Store
from sweeps.user_table import table_kind, write_table

DIAGRAM = "phase_diagram.html"


@dataclass(frozen=True)
class Report:
    """Draw the phase diagram of the results in a folder, and write its phase table.

    Reads the folder's latest sweep. Works while the sweep is running: what is not there yet is marked as missing.
    """

    results: tyro.conf.Positional[str]
    """Folder or s3://... that a sweep wrote (its --out), or a .csv or .parquet file (the README says of what)."""

    out: str | None = None
    """File of the diagram; phase_diagram.html in the folder if not given, or, of a file NAME.csv,
    results/NAME_phase_diagram.html."""

    table: str | None = None
    """File, .csv or .parquet, for the table with its regimes: a folder's phase table, or a file's own rows."""

    serve: bool = False
    """Of a folder: show the diagram in the browser instead, on this machine alone, and fill it in as points arrive."""

    port: int = 8050
    """Port of --serve."""

    tensorboard: str | None = None
    """Of a folder: folder for TensorBoard's event files, the training loss of every model over its epochs."""

    temperature: Literal["epochs", "batch_size", "rho", "lr"] | None = None
    """Of a file: what its temperature is; if not given what the file itself says, or epochs."""

    storage_endpoint: str | None = None
    """Server of s3://..., if it is not Amazon's own, as http://host:port."""

    lmc_threshold: float | None = None
    """Regime I is where LMC lies below this; the sweep's own if not given."""

    cka_threshold: float | None = None
    """With --cka-rule fixed: Regime II-B begins at this CKA; the sweep's own if not given."""

    cka_rule: SimilarityRule | None = None
    """Compare CKA with --cka-threshold (fixed) or the load's best (relative); the sweep's own if not given."""

    cka_margin: float | None = None
    """With --cka-rule relative: Regime II-B reaches so far below the best CKA; the sweep's own if not given."""


def write_report(store: Store, spec: SweepSpec, out: str | None = None) -> pd.DataFrame:
    """Write ``phase.parquet``, ``phase.csv`` and the diagram, and print the regimes and the diagram's path.

    Args:
        store: Where the results are.
        spec: Which of them to show, and with which boundaries of the regimes.
        out: Path of the diagram, ``phase_diagram.html`` in the store's folder if None.

    Returns:
        The phase table.

    Raises:
        UsageError: If a file cannot be written.
    """
    table = phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds)
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, PHASE, preserve_index=False), content)
    file = checked_file("--out", out) if out else File(store.folder, DIAGRAM)
    File(store.folder, "phase.parquet").write(content.getvalue())
    File(store.folder, "phase.csv").write(table.to_csv(index=False).encode())
    _show(table, spec, file, spec.title)
    return table


def _show(table: pd.DataFrame, spec: SweepSpec, file: File, title: str) -> None:
    """Draw a phase table, print its regimes, and say where the diagram is."""
    diagram = phase_diagram(table, spec.hot_is_low)
    write_diagram(file, diagram, title, spec.thresholds)
    _print_regimes(diagram)
    if note := diverged_note(table):
        print(note)
    print(f"Phase diagram: {file}")


def write_diagram(
    file: File, diagram: PhaseDiagram, what: str, thresholds: Thresholds, searches: Sequence[Search] = ()
) -> None:
    """Draw a diagram into a file.

    Raises:
        UsageError: If it cannot be written.
    """
    file.write(draw(diagram, *_texts(diagram, what, thresholds, bool(searches)), searches).encode())


def _texts(diagram: PhaseDiagram, what: str, thresholds: Thresholds, searched: bool) -> tuple[str, str]:
    """Title and caption of a diagram."""
    legend = diagram.legend and f"Cells: {diagram.legend}."
    way = "Red: temperatures in the order in which they were evaluated; framed: the choice." if searched else ""
    return f"Phase diagram: {what}", " ".join(filter(None, (_rules(thresholds), legend, way)))


def _rules(thresholds: Thresholds) -> str:
    similar = f"CKA at least {thresholds.cka:g}"
    if thresholds.rule == "relative":
        similar = f"CKA within {thresholds.margin:g} of the load's best"
    return f"Regime I: LMC below {thresholds.lmc:g}. Regime II-B: connected, {similar}. Regime II-A: connected, less."


def _print_regimes(diagram: PhaseDiagram) -> None:
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
    if options.table:
        table_kind(options.table)
        checked_file("--table", options.table)
    check_distinct({"RESULTS": options.results, "--out": options.out, "--table": options.table})
    past = open_recorded(options.results, options.temperature, options.storage_endpoint)
    spec = replace(past.spec, **_changed(options))
    check_thresholds(spec.thresholds)
    if past.store is None and (options.serve or options.tensorboard):
        option = "--serve" if options.serve else "--tensorboard"
        raise UsageError(f"{option}: {options.results} is a file; name the folder of a sweep.")
    if options.serve and (given := options.out or options.table or options.tensorboard):
        raise UsageError(f"--serve writes no files; leave {given} out.")
    if past.store is not None and options.serve:
        _serve(past.store, options)
        return OK
    if past.store is not None and options.tensorboard is not None:
        from sweeps.tensorboard_events import write_events

        print(f"Event files of {write_events(past.store, spec, options.tensorboard)} trainings: {options.tensorboard}")
    if past.store is not None:
        table = write_report(past.store, spec, options.out)
    else:
        cells = past.table(spec.thresholds)
        _show(cells, spec, checked_file("--out", options.out or among_results(past.path, DIAGRAM)), past.title)
        regimes = cells.set_index(["temperature", "load"])["regime"]
        rows = past.rows
        of_rows = zip(rows["temperature"], rows["density"], strict=True)
        table = rows.assign(regime=[regimes[cell] for cell in of_rows])
    if options.table:
        write_table(table, options.table)
    return OK


def _serve(store: Store, options: Report) -> None:
    """Show the diagram of what is stored at any time."""

    def figure() -> str:
        spec = replace(store.spec(), **_changed(options))
        table = phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds)
        diagram = phase_diagram(table, spec.hot_is_low)
        return draw_json(diagram, *_texts(diagram, spec.title, spec.thresholds, searched=False))

    serve(LiveDiagram(store, figure), options.port)


def _changed(options: Report) -> dict[str, Any]:
    """Boundaries of the regimes that were asked for."""
    values = {name: getattr(options, name) for name in ("lmc_threshold", "cka_threshold", "cka_rule", "cka_margin")}
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    run_command(main)
