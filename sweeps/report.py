"""Draw the phase diagram of stored results: ``python sweeps/report.py RESULTS``. No Ray, no training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from metrics.five_phases import PhaseThresholds
from sweeps.results.own_files import is_results_folder
from sweeps.results.phase import phase_table
from sweeps.results.phase_schema import P_REGIMES
from sweeps.results.recorded import Recorded, open_recorded
from sweeps.results.store import Store
from sweeps.results.user_files import read_file, table_content, with_columns
from sweeps.results.user_landscape import TOLD, is_landscape, landscape_of, landscape_rows
from sweeps.results.user_table import axis_of
from sweeps.spec.axes import TEMPERATURES
from sweeps.spec.checks import check_phase_thresholds, check_rule_values, check_thresholds, option_of
from sweeps.spec.command_line import OK, parse, run_command
from sweeps.spec.errors import NoSweepError, UsageError
from sweeps.spec.landscape import Landscape
from sweeps.spec.presets import DEFAULT_PRESET, PRESETS
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study
from sweeps.views.diagram_texts import titled
from sweeps.views.landscape_diagram import LANDSCAPE_PANELS, landscape_diagram
from sweeps.views.landscape_view import phases_as_text
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
from sweeps.views.phase_report import DIAGRAM, Look, diagram_of, show_report, write_report
from sweeps.views.pictures import json_of, write_picture
from sweeps.views.report_options import Report

PORT = 8050


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
    look = options.look()
    if (study := _study_in(options)) is not None:
        return _report_study(study, options, look)
    if (rows := _landscape_in(options)) is not None:
        return _report_landscape(rows, options, look)
    past = _opened(options)
    spec = replace(past.spec, **_changed(options))
    check_thresholds(spec.thresholds)
    _check_used(options, spec.cka_rule, past)
    if past.store is not None and options.serve:
        _serve(past.store, options, look)
        return OK
    if past.store is not None:
        _write_events(past.store, spec, options)
        table = write_report(past.store, spec, options.out, look, or_elsewhere=True)
    else:
        cells = past.table(spec.thresholds)
        file = checked_picture("--out", options.out or default_output(past.path, DIAGRAM))
        show_report(cells, spec, file, past.title, look)
        told = ["regime", "lmc_threshold", *(name for name in P_REGIMES if cells[name].notna().any())]
        table = with_columns(past.rows, cells, told, "density")
    _write_table(table, options)
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
    if isinstance(study, Landscape):
        own |= {"panels", "table", "tensorboard", *Landscape.of_reading}
        options.check_panels(LANDSCAPE_PANELS)
    options.check_only(own, f"{options.results} is of {study.name}.py, which has none")
    options.check_serving()
    study = replace(study, **options.given(*Landscape.of_reading))
    study.check()
    store = Store(options.results, options.storage_endpoint)
    if options.serve:
        _serve(store, options, look)
        return OK
    from sweeps.views.study_report import write_study

    _write_events(store, study, options)
    tables = write_study(study, store, options.out, look.paper, look.panels)
    if options.table:
        _write_table(tables[study.name], options)
    return OK


def _landscape_in(options: Report) -> pd.DataFrame | None:
    """Rows of a file that is of a landscape of dense models; None of another one, or a folder."""
    if "://" in options.results or not Path(options.results).is_file():
        return None
    table = read_file(options.results)
    return landscape_rows(table, options.results) if is_landscape(table) else None


def _report_landscape(rows: pd.DataFrame, options: Report, look: Look) -> int:
    """Draw the phases of the rows of a file."""
    path = options.results
    options.check_file()
    options.check_panels(LANDSCAPE_PANELS)
    own = {"results", "out", "panels", "paper_columns", "font_size", "table", "temperature", *Landscape.of_reading}
    options.check_only(own, f"{path} is a table of phases (it has mc and no lmc), which has none")
    if "cka" not in rows and options.cka_threshold is not None:
        raise UsageError(f"--cka-threshold {options.cka_threshold}: {path} has no column cka; leave it out.")
    changed = options.given(*Landscape.of_reading)
    thresholds = PhaseThresholds(**{name.removesuffix("_threshold"): value for name, value in changed.items()})
    check_phase_thresholds(thresholds)
    axis = axis_of(rows, path, options.temperature)
    cells = landscape_of(rows, path, axis, thresholds)
    file = checked_picture("--out", options.out or default_output(path, DIAGRAM))
    hot_is_low = TEMPERATURES[axis].hot_is_low
    beside = write_picture(file, titled(landscape_diagram(cells, hot_is_low, look.panels), Path(path).name), look.paper)
    print(phases_as_text(cells, hot_is_low))
    print(f"Phase diagram: {file}{beside}")
    _write_table(with_columns(rows, cells, TOLD, "load"), options)
    return OK


def _write_events(store: Store, spec: SweepSpec, options: Report) -> None:
    if options.tensorboard is not None:
        from sweeps.views.tensorboard_events import write_events

        print(f"Event files of {write_events(store, spec, options.tensorboard)} trainings: {options.tensorboard}")


def _write_table(table: pd.DataFrame, options: Report) -> None:
    if options.table:
        checked_file("--table", options.table, TABLES).write(table_content(table, options.table))


def _check_used(options: Report, rule: str, past: Recorded) -> None:
    """Raise UsageError for an option that was given, and that has no effect with another one or on these results."""
    if past.store is None:
        options.check_file()
    options.check_serving()
    options.check_panels(PANELS)
    for name, value in options.given("loss_threshold", "mc_threshold").items():
        said = f"{options.results} is of regimes, and it is a border of phases; leave it out"
        raise UsageError(f"{option_of(name)} {value}: {said}.")
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
            from sweeps.views.study_report import study_picture

            own = options.given(*Landscape.of_reading) if isinstance(spec, Landscape) else {}
            return json_of(study_picture(replace(spec, **own), store, look.panels))
        spec = replace(spec, **_changed(options))
        table = phase_table(store.with_added_siblings(spec.points()), store, spec.thresholds, spec.measurement)
        return json_of(titled(diagram_of(table, spec, look), spec.title))

    serve(LiveDiagram(store, figure), PORT if options.port is None else options.port)


def _changed(options: Report) -> dict[str, Any]:
    """Boundaries of the regimes that were asked for."""
    return options.given("lmc_threshold", "cka_threshold", "cka_rule", "cka_margin")


if __name__ == "__main__":
    run_command(main)
