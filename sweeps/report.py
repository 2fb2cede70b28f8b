"""Draw the phase diagram of stored results: ``python sweeps/report.py RESULTS``. No Ray, no training."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import pandas as pd
import tyro

from metrics.regimes import SimilarityRule
from sweeps.results.own_files import is_results_folder
from sweeps.results.phase import phase_table, resolved
from sweeps.results.phase_schema import P_REGIMES
from sweeps.results.recorded import Recorded, open_recorded
from sweeps.results.store import Store
from sweeps.results.user_table import table_content
from sweeps.spec.axes import TEMPERATURES
from sweeps.spec.checks import check_rule_values, check_thresholds, option_of
from sweeps.spec.choices import one_of
from sweeps.spec.command_line import OK, parse, run_command
from sweeps.spec.errors import NoSweepError, UsageError
from sweeps.spec.kinds import LmcThreshold
from sweeps.spec.presets import DEFAULT_PRESET, PRESETS
from sweeps.spec.study import Study
from sweeps.views.interactive_diagram import draw_json
from sweeps.views.live_diagram import LiveDiagram, serve
from sweeps.views.named_files import (
    TABLES,
    check_distinct,
    checked_file,
    checked_folder,
    checked_picture,
    data_beside,
    default_output,
)
from sweeps.views.panels import PANELS
from sweeps.views.paper import WIDTHS, Paper
from sweeps.views.phase_report import DIAGRAM, Look, diagram_of, show_report, texts, write_report

PORT = 8050


@dataclass(frozen=True)
class Report:
    """Draw the phase diagram of the results in a folder, and write its phase table; of a study its own picture.

    Reads the folder's latest sweep. Works while the sweep is running: what is not there yet is marked as missing.
    """

    results: tyro.conf.Positional[str]
    """Folder or s3://... that a sweep wrote (its --out), or a .csv or .parquet file (of what: docs/searching.md)."""

    out: str | None = None
    """File of the diagram: .html, or for a paper .svg, .pdf or .png, with its data as .csv beside it;
    phase_diagram.html in the folder if not given, or, of a file NAME.csv and of a folder NAME that cannot be written,
    results/NAME_phase_diagram.html."""

    panels: tuple[Annotated[str, one_of("--panels", PANELS)], ...] | None = None
    """What to draw, in this order; all that is known if not given."""

    smooth: bool = False
    """Draw the borders of the regimes as fitted curves with their bands."""

    paper_columns: Annotated[str, one_of("--paper-columns", WIDTHS)] | None = None
    """Of a picture for a paper: how many columns it is wide, 1 (3.25 inches) or 2 (6.75 inches, the default)."""

    font_size: float | None = None
    """Of a picture for a paper: size of its letters in points; 7 if not given."""

    table: str | None = None
    """File, .csv or .parquet, for the table with its regimes: a folder's phase table, or a file's own rows."""

    serve: bool = False
    """Of a folder: show the diagram in the browser instead, on this machine alone, and fill it in as points arrive;
    also of a sweep that is yet to begin."""

    port: int | None = None
    """Port of --serve; 8050 if not given."""

    tensorboard: str | None = None
    """Of a folder: folder for TensorBoard's event files, the training loss of every model over its epochs."""

    temperature: Annotated[str, one_of("--temperature", TEMPERATURES)] | None = None
    """Of a file: what its temperature is; if not given what the file itself says, or epochs."""

    storage_endpoint: str | None = None
    """Server of s3://..., if it is not Amazon's own, as http://host:port."""

    lmc_threshold: LmcThreshold | None = None
    """Regime I is where LMC lies below this; auto has the cells decide; the sweep's own if not given."""

    cka_threshold: float | None = None
    """With --cka-rule fixed: Regime II-B begins at this CKA; the sweep's own if not given."""

    cka_rule: SimilarityRule | None = None
    """Compare CKA with --cka-threshold (fixed) or the load's best (relative); the sweep's own if not given."""

    cka_margin: float | None = None
    """With --cka-rule relative: Regime II-B reaches so far below the best CKA; the sweep's own if not given."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Report, arguments)
    if options.out is not None:
        checked_picture("--out", options.out)
    if options.table is not None:
        checked_file("--table", options.table, TABLES)
    if options.tensorboard is not None:
        checked_folder("--tensorboard", options.tensorboard)
    files = {"RESULTS": options.results, "--out": options.out, "--table": options.table}
    check_distinct({**files, "the data of --out": data_beside(options.out)})
    look = _look(options)
    if (study := _study_in(options)) is not None:
        return _report_study(study, options, look)
    past = _opened(options)
    spec = replace(past.spec, **_changed(options))
    check_thresholds(spec.thresholds)
    _check_used(options, spec.cka_rule, past)
    if past.store is not None and options.serve:
        _serve(past.store, options, look)
        return OK
    if past.store is not None and options.tensorboard is not None:
        from sweeps.views.tensorboard_events import write_events

        print(f"Event files of {write_events(past.store, spec, options.tensorboard)} trainings: {options.tensorboard}")
    if past.store is not None:
        table = write_report(past.store, spec, options.out, look, or_elsewhere=True)
    else:
        cells = past.table(spec.thresholds)
        file = checked_picture("--out", options.out or default_output(past.path, DIAGRAM))
        show_report(cells, spec, file, past.title, look)
        cells = cells.set_index(["temperature", "load"])
        of_rows = pd.MultiIndex.from_frame(past.rows[["temperature", "density"]])
        told = ["regime", "lmc_threshold", *(name for name in P_REGIMES if cells[name].notna().any())]
        table = past.rows.assign(**{name: cells[name].loc[of_rows].array for name in told})
    if options.table:
        checked_file("--table", options.table, TABLES).write(table_content(table, options.table))
    return OK


def _study_in(options: Report) -> Study | None:
    """The study that a folder's latest sweep is; None if it is a grid, or no folder of one."""
    if "://" not in options.results and not is_results_folder(options.results):
        return None
    try:
        spec = Store(options.results, options.storage_endpoint).spec()
    except NoSweepError:
        return None
    return spec if isinstance(spec, Study) else None


def _report_study(study: Study, options: Report, look: Look) -> int:
    """Draw a study, or show it while it goes on."""
    if not study.has_picture:
        ways = f"{study.name}.py {options.results} says again what came out"
        raise UsageError(f"{options.results} is of {study.name}.py, which draws nothing; {ways}.")
    own = {"results", "out", "paper_columns", "font_size", "serve", "port", "storage_endpoint"}
    for field in fields(options):
        if field.name not in own and (value := getattr(options, field.name)) not in (None, False):
            said = f"{options.results} is of {study.name}.py, which has none; leave it out"
            words = [] if value is True else value if isinstance(value, tuple) else [value]
            raise UsageError(f"{' '.join([option_of(field.name), *map(str, words)])}: {said}.")
    _check_serving(options)
    store = Store(options.results, options.storage_endpoint)
    if options.serve:
        _serve(store, options, look)
        return OK
    from sweeps.views.study_report import write_study

    write_study(study, store, options.out, look.paper)
    return OK


def _check_serving(options: Report) -> None:
    """Raise UsageError for files that are not written with --serve, and for what is of that alone."""
    if options.serve and (given := options.out or options.table or options.tensorboard):
        raise UsageError(f"--serve writes no files; leave {given} out.")
    if options.port is not None and not options.serve:
        raise UsageError(f"--port {options.port}: it is that of --serve; give that, too, or leave it out.")


def _check_used(options: Report, rule: str, past: Recorded) -> None:
    """Raise UsageError for an option that was given, and that has no effect with another one or on these results."""
    if past.store is None and (options.serve or options.tensorboard):
        option = "--serve" if options.serve else "--tensorboard"
        raise UsageError(f"{option}: {options.results} is a file; name the folder of a sweep.")
    _check_serving(options)
    changed = _changed(options)
    check_rule_values(changed, rule, changed)
    for name in changed:
        if past.store is None and "cka" not in past.rows and name != "lmc_threshold":
            said = f"{options.results} has no column cka; leave it out"
            raise UsageError(f"{option_of(name)} {changed[name]}: {said}.")


def _opened(options: Report) -> Recorded:
    """The results; with --serve also those of a sweep that is yet to begin, taken for the default one until then."""
    try:
        return open_recorded(options.results, options.temperature, options.storage_endpoint)
    except NoSweepError:
        if not options.serve:
            raise
    store = Store(options.results, options.storage_endpoint)
    print(f"No sweep is in {store.folder} yet; the diagram is shown when one has begun.", flush=True)
    return Recorded(options.results, PRESETS[DEFAULT_PRESET], pd.DataFrame(), store)


def _serve(store: Store, options: Report, look: Look) -> None:
    """Show the diagram of what is stored at any time."""

    def figure() -> str:
        spec = store.spec()
        if isinstance(spec, Study):
            from sweeps.views.interactive_charts import draw_json as draw_charts
            from sweeps.views.study_report import study_charts

            return draw_charts(study_charts(spec, store))
        spec = replace(spec, **_changed(options))
        table = phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds, spec.measurement)
        diagram = diagram_of(table, spec, look)
        return draw_json(diagram, *texts(diagram, spec.title, resolved(spec.thresholds, table), searched=False))

    serve(LiveDiagram(store, figure), PORT if options.port is None else options.port)


def _look(options: Report) -> Look:
    """How to draw what was asked for.

    Raises:
        UsageError: If nothing is to be drawn, or a size is given of what has none.
    """
    if options.panels == ():
        raise UsageError(f"--panels (nothing): name some of {', '.join(PANELS)}.")
    sizes = {"--paper-columns": options.paper_columns, "--font-size": options.font_size}
    for option, value in sizes.items():
        if value is not None and data_beside(options.out) is None:
            raise UsageError(f"{option} {value}: it is of a picture for a paper; name one, --out diagram.pdf.")
    given = {"columns": options.paper_columns, "font_size": options.font_size}
    paper = Paper(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    return Look(options.panels, options.smooth, paper)


def _changed(options: Report) -> dict[str, Any]:
    """Boundaries of the regimes that were asked for."""
    values = {name: getattr(options, name) for name in ("lmc_threshold", "cka_threshold", "cka_rule", "cka_margin")}
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    run_command(main)
