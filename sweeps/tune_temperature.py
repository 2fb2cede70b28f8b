"""Find the temperature for a density without a grid: ``python sweeps/tune_temperature.py --density 0.1``."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
from rich.box import SIMPLE
from rich.table import Table

from sweeps.case_studies.boundary import Strategy
from sweeps.case_studies.temperature_tuning import Answer, Choice, TemperatureTuning, Tuning
from sweeps.plans.replay import replay
from sweeps.plans.search_plan import SearchPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.phase import diverged_note, phase_table, rows_of
from sweeps.results.recorded import Recorded, check_recorded, replayed
from sweeps.results.schema import PHASE
from sweeps.results.store import Store
from sweeps.running.carry_out import carry_out, report_failures
from sweeps.running.options import SweepOptions, read_options
from sweeps.running.preflight import check_data, check_models, checked
from sweeps.running.progress import SweepProgress
from sweeps.spec.command_line import INTERRUPTED, OK, SOME_FAILED, run_command
from sweeps.spec.errors import UsageError
from sweeps.spec.typed import typed
from sweeps.views.named_files import (
    JSON,
    File,
    check_distinct,
    checked_file,
    checked_picture,
    data_beside,
    default_output,
    print_table,
    write_json,
)
from sweeps.views.phase_diagram import Search, phase_diagram
from sweeps.views.phase_report import write_diagram

PICTURE = "temperature_tuning.html"
SELECT_BY = Tuning.select_by


@dataclass(frozen=True)
class TuneTemperature(SweepOptions):
    """Find the temperature at which to train a model that is to be pruned to a density, by Algorithm 1 of the paper.

    Looks for the coldest temperature at which retrained siblings are still connected (LMC not below --lmc-threshold),
    one search for each density, all at once. What --out holds already is not computed again, of a grid as well; the
    same command again continues after whatever stopped it.
    Exit codes: 0 done, 1 some points failed, 2 bad usage, 130 interrupted.
    """

    replay: str | None = None
    """Recorded results to search instead of training: a results folder, or a table (docs/searching.md)."""

    start: float | None = None
    """Temperature to begin with; the one nearest to the recipe's own if not given, in a file the coldest."""

    strategy: Strategy = "bisect"
    """Go temperature by temperature (step), or find the same boundary in about log2 of the steps (bisect)."""

    choose: Choice = "best-visited"
    """Answer with the boundary, as the paper does, or with the lowest --select-by of the temperatures evaluated."""

    select_by: str = SELECT_BY
    """Column by which best-visited chooses; where there is none, the boundary is the answer."""

    neighbours: bool = False
    """Begin each density at the boundary of the next larger one: fewer evaluations, but one density after the other."""

    most_siblings: int = 6
    """Siblings are added up to so many where LMC is within its noise of the threshold, or of one pair only."""

    json: str | None = None
    """File for the answers, one object for each density."""

    picture: str | None = None
    """File for the way over the phase diagram: .html, or for a paper .svg, .pdf or .png; temperature_tuning.html in the
    folder if not given, or, of a file NAME.csv, results/NAME_temperature_tuning.html."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    past = replayed(arguments)
    options = read_options(TuneTemperature, arguments, past)
    spec = options.spec
    _check(options)
    _check_used(options, typed(TuneTemperature, arguments))
    if past is not None:
        table = past.table(spec.thresholds)
        check_recorded(spec, past, table)
        _check_selection(options, [str(name) for name in table.select_dtypes("number")])
        tuning = _tuning(options)
        replay(tuning, table)
        shown = table[table["temperature"].isin(spec.temperatures) & table["load"].isin(spec.loads)]
        _report(options, tuning, shown, _place(past), past.title)
        return OK
    options = checked(options)
    _check_selection(options, [field.name for field in PHASE if pa.types.is_floating(field.type)])
    return _search(options, options.store)


def _place(past: Recorded) -> File:
    """Where the picture of a replay goes: to the results, if these are a folder that can be written."""
    try:
        if past.store is not None:
            past.store.check_writable()
            return File(past.store.folder, PICTURE)
    except UsageError:
        pass
    return checked_picture("--picture", default_output(past.path, PICTURE))


def _check_selection(options: TuneTemperature, columns: Sequence[str]) -> None:
    """Raise UsageError for a column to select by that there is not; the default may be missing."""
    known = [name for name in columns if name.endswith("_error") or name not in (*PHASE.names, "n_rows")]
    if options.choose == "best-visited" and options.select_by not in (SELECT_BY, *known):
        said = f"there is no such column of errors; there are {', '.join(known)}"
        raise UsageError(f"--select-by {options.select_by}: {said}.")


def _check(options: TuneTemperature) -> None:
    """Raise UsageError for what no search can do."""
    spec = options.spec
    if len(spec.temperatures) < 2:
        given = " ".join(f"{value:g}" for value in spec.temperatures) or "(nothing)"
        raise UsageError(f"--temperatures {given}: a search needs at least two.")
    if options.start is not None and options.start not in spec.temperatures:
        among = " ".join(f"{value:g}" for value in spec.temperatures)
        raise UsageError(f"--start {options.start:g}: it is one of the --temperatures {among}.")
    if options.most_siblings < 0:
        raise UsageError(f"--most-siblings {options.most_siblings}: it is 0 or more.")
    if options.json is not None:
        checked_file("--json", options.json, JSON)
    if options.picture is not None:
        checked_picture("--picture", options.picture)
        check_distinct({"--replay": options.replay, "the data of --picture": data_beside(options.picture)})


def _check_used(options: TuneTemperature, given: Container[str]) -> None:
    """Raise UsageError for an option that was given, and that another one leaves without effect."""
    if "select_by" in given and options.choose != "best-visited":
        said = f"--choose {options.choose} asks for no errors; leave one of them out"
        raise UsageError(f"--select-by {options.select_by}: {said}.")
    if "most_siblings" in given and options.replay is not None:
        said = "with --replay nothing is trained; leave one of them out"
        raise UsageError(f"--most-siblings {options.most_siblings}: {said}.")


def _tuning(options: TuneTemperature, siblings: int = 0) -> TemperatureTuning:
    spec = options.spec
    start = spec.default_temperature if options.start is None else options.start
    most = options.most_siblings if siblings else 0
    how = Tuning(options.strategy, options.choose, options.select_by, options.neighbours, most)
    return TemperatureTuning(spec.hot_to_cold, spec.loads, start, spec.thresholds, how, siblings)


def _search(options: TuneTemperature, store: Store) -> int:
    """Train what the search wants."""
    spec = options.spec
    store.check()
    candidates = spec.points()
    tuning = _tuning(options, len(spec.retrain_seeds))
    plan = SearchPlan(
        tuning,
        candidates,
        spec.measurement,
        inventory_of(store),
        lambda stages: rows_of(phase_table(stages, store, spec.thresholds, spec.measurement))[0],
        store.add_siblings,
        options.run.used_up,
    )
    if plan.left:
        check_models(candidates, spec.measurement)
        check_data(candidates, options.run.data_folder)
    store.check_writable()
    print(f"Searching among {len(tuning.temperatures)} temperatures; results in {store.folder}", flush=True)
    if not plan.left:
        store.show(spec)
    elif not carry_out(plan, store, lambda: store.show(spec), options.run, SweepProgress(None, 0, [])):
        return INTERRUPTED
    code = report_failures(plan.evaluated, spec.measurement, store)
    table = phase_table(plan.cells, store, spec.thresholds, spec.measurement)
    answers = _report(options, tuning, table, File(store.folder, PICTURE), spec.title)
    return SOME_FAILED if any(answer.temperature is None for answer in answers) else code


def _report(
    options: TuneTemperature, tuning: TemperatureTuning, table: pd.DataFrame, picture: File, title: str
) -> list[Answer]:
    """Print the answers, and write them and the picture."""
    spec = options.spec
    answers = tuning.answers(table)
    if options.json:
        write_json("--json", options.json, [answer.as_json(spec.load) for answer in answers])
    shown = Table(box=SIMPLE, collapse_padding=True)
    for heading in (spec.load, f"chosen {spec.temperature}", "regime", "evaluated, in order", "test error", "regret"):
        shown.add_column(heading, justify="right", no_wrap=heading != "evaluated, in order")
    for answer in answers:
        way = " ".join(f"{visit.row['temperature']:g}" for visit in answer.visits)
        chosen = "none" if answer.temperature is None else f"{answer.temperature:g}"
        errors = ("" if value is None else f"{value:.4f}" for value in (answer.chosen_error, answer.regret))
        shown.add_row(f"{answer.load:g}", chosen, answer.regime or "–", way, *errors)
    print_table(shown)
    for note in dict.fromkeys(answer.note for answer in answers if answer.note):
        loads = " ".join(f"{answer.load:g}" for answer in answers if answer.note == note)
        print(f"Note on {spec.load} {loads}: {note}.")
    unsure = sum(visit.row.get("status") in ("incomplete", "failed") for each in answers for visit in each.visits)
    if unsure:
        print(f"Note: {unsure} of the cells evaluated lack some of their results; what there is was taken.")
    if note := diverged_note(table):
        print(note)
    if options.json:
        print(f"Answers: {options.json}")
    diagram = phase_diagram(table, spec.hot_is_low, spec.thresholds)
    file = checked_picture("--picture", options.picture) if options.picture else picture
    rows = spec.hot_to_cold
    searches = [
        Search(
            sorted(spec.loads).index(answer.load),
            [rows.index(visit.row["temperature"]) for visit in answer.visits],
            None if answer.temperature is None else rows.index(answer.temperature),
        )
        for answer in answers
    ]
    beside = write_diagram(file, diagram, title, spec.thresholds, searches=searches)
    print(f"Picture: {file}{beside}")
    return answers


if __name__ == "__main__":
    run_command(main)
