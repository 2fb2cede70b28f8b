"""Draw the phase diagram of stored results: ``python sweeps/report.py RESULTS``. No Ray, no training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import tyro

from metrics.regimes import SimilarityRule
from sweeps.results.phase import phase_table
from sweeps.results.recorded import open_recorded
from sweeps.results.store import Store
from sweeps.results.user_table import table_content, table_kind
from sweeps.spec.axes import TEMPERATURES
from sweeps.spec.checks import check_thresholds
from sweeps.spec.choices import one_of
from sweeps.spec.command_line import OK, parse, run_command
from sweeps.spec.errors import UsageError
from sweeps.views.live_diagram import LiveDiagram, serve
from sweeps.views.named_files import check_distinct, checked_file, default_output
from sweeps.views.phase_diagram import draw_json, phase_diagram
from sweeps.views.phase_report import DIAGRAM, show_report, texts, write_report


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

    temperature: Annotated[str, one_of("--temperature", TEMPERATURES)] | None = None
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
        from sweeps.views.tensorboard_events import write_events

        print(f"Event files of {write_events(past.store, spec, options.tensorboard)} trainings: {options.tensorboard}")
    if past.store is not None:
        table = write_report(past.store, spec, options.out)
    else:
        cells = past.table(spec.thresholds)
        show_report(cells, spec, checked_file("--out", options.out or default_output(past.path, DIAGRAM)), past.title)
        regimes = cells.set_index(["temperature", "load"])["regime"]
        rows = past.rows
        of_rows = zip(rows["temperature"], rows["density"], strict=True)
        table = rows.assign(regime=[regimes[cell] for cell in of_rows])
    if options.table:
        checked_file("--table", options.table).write(table_content(table, options.table))
    return OK


def _serve(store: Store, options: Report) -> None:
    """Show the diagram of what is stored at any time."""

    def figure() -> str:
        spec = replace(store.spec(), **_changed(options))
        table = phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds, spec.measurement)
        diagram = phase_diagram(table, spec.hot_is_low)
        return draw_json(diagram, *texts(diagram, spec.title, spec.thresholds, searched=False))

    serve(LiveDiagram(store, figure), options.port)


def _changed(options: Report) -> dict[str, Any]:
    """Boundaries of the regimes that were asked for."""
    values = {name: getattr(options, name) for name in ("lmc_threshold", "cka_threshold", "cka_rule", "cka_margin")}
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    run_command(main)
