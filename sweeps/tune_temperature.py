"""Find the temperature for a density without a grid: ``python sweeps/tune_temperature.py --density 0.1``."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa

from metrics.regimes import AUTO
from sweeps.case_studies.answer import Answer
from sweeps.case_studies.boundary import Cell, Row, Strategy
from sweeps.case_studies.boundary_search import Request
from sweeps.case_studies.choosing import Choice
from sweeps.case_studies.temperature_tuning import FIRST_SIBLINGS, TemperatureTuning, Tuning
from sweeps.plans.replay import replay
from sweeps.plans.search_plan import SearchPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.phase import diverged_note, phase_table, rows_of, threshold_note
from sweeps.results.phase_schema import PHASE, SCORES
from sweeps.results.recorded import Recorded, check_recorded, replayed
from sweeps.results.search_answers import keep_answers
from sweeps.results.store import Store
from sweeps.running.budget import BudgetSpent, budget_of
from sweeps.running.carry_out import carry_out, report_failures
from sweeps.running.options import SweepOptions, read_options
from sweeps.running.preflight import check_before, checked
from sweeps.running.progress import SweepProgress
from sweeps.spec.command_line import INTERRUPTED, OK, SOME_FAILED, run_command
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import SweepSpec
from sweeps.spec.typed import typed
from sweeps.views.answer_table import print_answers
from sweeps.views.diagram import Search
from sweeps.views.diagram_texts import titled
from sweeps.views.named_files import (
    JSON,
    File,
    check_distinct,
    checked_file,
    checked_picture,
    data_beside,
    default_output,
    write_json,
)
from sweeps.views.phase_diagram import phase_diagram
from sweeps.views.pictures import write_picture

PICTURE = "temperature_tuning.html"
SELECT_BY = Tuning.select_by


@dataclass(frozen=True)
class TuneTemperature(SweepOptions):
    """Find the temperature at which to train a model that is to be pruned to a density, by Algorithm 1 of the paper.

    Looks for the coldest temperature at which retrained siblings are still connected (LMC not below --lmc-threshold),
    for all densities at once, and weighs that against the errors on held-out images. What --out holds already is not
    computed again, of a grid as well; the same command again continues after whatever stopped it.
    Exit codes: 0 done, 1 some points failed or a density has no answer, 2 bad usage, 130 interrupted.
    """

    replay: str | None = None
    """Recorded results to search instead of training: a results folder, or a table (docs/searching.md)."""

    start: float | None = None
    """Temperature to begin with; the one nearest to the recipe's own if not given, in a file the coldest."""

    strategy: Strategy = "border"
    """Evaluate what is least known of the border between the regimes, which moves one way with density (border), or go
    temperature by temperature as the paper does (step)."""

    choose: Choice = "weighed"
    """Answer with the boundary, as the paper does; with the best --select-by of the temperatures evaluated; or weigh
    the two by how noisy they are."""

    select_by: str = SELECT_BY
    """Column by which weighed and best-visited choose: an error, of which the lowest is the best, or validation_bleu or
    bleu, of which the highest is; where there is none, the boundary is the answer."""

    most_siblings: int = 6
    """A search begins with two siblings of each dense model. They are added one by one, up to so many, where it is not
    decided whether a temperature is connected."""

    budget: float | None = None
    """Stop after so many core hours (GPU hours if trials have GPUs) of this command, and give the best answers so far;
    the same command continues."""

    json: str | None = None
    """File for the answers, one object for each density."""

    picture: str | None = None
    """File for the way over the phase diagram: .html, or for a paper .svg, .pdf or .png; temperature_tuning.html in the
    folder if not given, or, of a file NAME.csv, results/NAME_temperature_tuning.html."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    past = replayed(arguments)
    options = read_options(TuneTemperature, arguments, past, lmc_threshold=AUTO)
    spec = options.spec
    _check(options)
    _check_used(options, typed(TuneTemperature, arguments), past)
    if past is not None:
        table = past.table(spec.thresholds)
        check_recorded(spec, past, table)
        _check_selection(options, [str(name) for name in table.select_dtypes("number")])
        tuning = _replayed(options, past, table)
        if spec.lmc_threshold == AUTO:
            table = past.table(tuning.thresholds)
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
    chooses = [name for name in PHASE.names if name.endswith("_error") or name in SCORES]
    known = [name for name in columns if name in chooses or name not in (*PHASE.names, "n_rows")]
    if options.choose != "boundary" and options.select_by not in (SELECT_BY, *known):
        said = f"there is no such column of errors or BLEU; there are {', '.join(known)}"
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


def _check_used(options: TuneTemperature, given: Container[str], past: Recorded | None) -> None:
    """Raise UsageError for an option that was given, and that another one leaves without effect."""
    if "select_by" in given and options.choose == "boundary":
        said = f"--choose {options.choose} asks for no errors; leave one of them out"
        raise UsageError(f"--select-by {options.select_by}: {said}.")
    if "budget" in given and options.replay is not None:
        said = "with --replay nothing is trained; leave one of them out"
        raise UsageError(f"--budget {options.budget:g}: {said}.")
    if "most_siblings" in given and past is not None and past.store is None:
        said = f"{past.path} has a row for each cell, and no siblings to ask for; leave it out"
        raise UsageError(f"--most-siblings {options.most_siblings}: {said}.")


def _tuning(options: TuneTemperature, siblings: int) -> TemperatureTuning:
    spec = options.spec
    start = spec.default_temperature if options.start is None else options.start
    how = Tuning(options.strategy, options.choose, options.select_by, options.most_siblings if siblings else 0)
    costs = {temperature: spec.axis.cost(temperature) for temperature in spec.temperatures}
    return TemperatureTuning(spec.hot_to_cold, spec.loads, start, spec.thresholds, how, siblings, costs)


def _replayed(options: TuneTemperature, past: Recorded, table: pd.DataFrame) -> TemperatureTuning:
    """Search what was recorded: of a results folder with as many siblings as the search asks for."""
    if past.store is None:
        tuning = _tuning(options, 0)
        replay(tuning, table)
        return tuning
    tuning = _tuning(options, FIRST_SIBLINGS)

    @cache
    def rows_with(siblings: int) -> dict[Cell, dict[str, Any]]:
        return past.rows_with(siblings, options.spec.thresholds)

    def row(request: Request) -> Row | None:
        return rows_with(request.siblings).get((request.temperature, request.load))

    replay(tuning, table, row)
    return tuning


def _search(options: TuneTemperature, store: Store) -> int:
    """Train what the search wants."""
    spec = options.spec
    store.check()
    budget = budget_of(options.budget, options.run)
    candidates = spec.points()
    tuning = _tuning(options, FIRST_SIBLINGS)
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
        checks = check_before(candidates, spec.measurement, options.run)
    store.check_writable()
    print(f"Searching among {len(tuning.temperatures)} temperatures; results in {store.folder}", flush=True)
    shown = replace(spec, retrain_seeds=tuple(sorted(spec.retrain_seeds)[:FIRST_SIBLINGS]))
    try:
        if not plan.left:
            store.show(shown)
        else:
            progress = SweepProgress(None, 0, [])
            if not carry_out(plan, store, lambda: store.show(shown), options.run, progress, budget, checks):
                return INTERRUPTED
        code = report_failures(plan.evaluated, spec.measurement, store)
    except BudgetSpent:
        print(f"Stopped: the --budget of {options.budget:g} hours is spent; the same command continues.")
        code = report_failures(plan.failed, spec.measurement, store)
    known = plan.with_all_stored(store.with_added_siblings(candidates))  # a grid's cells with all of their siblings
    table = phase_table(known, store, tuning.thresholds, spec.measurement)
    answers = _report(options, tuning, table, File(store.folder, PICTURE), spec.title)
    keep_answers(store.folder, {answer.load: answer.temperature for answer in answers}, candidates)
    return SOME_FAILED if any(answer.temperature is None for answer in answers) else code


def _report(
    options: TuneTemperature, tuning: TemperatureTuning, table: pd.DataFrame, picture: File, title: str
) -> list[Answer]:
    """Print the answers, and write them and the picture."""
    spec = options.spec
    answers = tuning.answers(table)
    limit = tuning.thresholds.lmc
    if options.json:
        write_json("--json", options.json, [answer.as_json(spec.load_name, limit) for answer in answers])
    print_answers(answers, spec.temperature, spec.load_name)
    print(_cost(answers, tuning, spec))
    if note := threshold_note(tuning.thresholds):
        print(note)
    for note in dict.fromkeys(answer.note for answer in answers if answer.note):
        loads = " ".join(f"{answer.load:g}" for answer in answers if answer.note == note)
        print(f"Note on {spec.load_name} {loads}: {note}.")
    unsure = sum(visit.row.get("status") in ("incomplete", "failed") for each in answers for visit in each.visits)
    if unsure:
        print(f"Note: {unsure} of the cells evaluated lack some of their results; what there is was taken.")
    if note := diverged_note(table):
        print(note)
    if options.json:
        print(f"Answers: {options.json}")
    diagram = phase_diagram(table, spec.hot_is_low, tuning.thresholds)
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
    beside = write_picture(file, titled(diagram, title, searches))
    print(f"Picture: {file}{beside}")
    return answers


def _cost(answers: Sequence[Answer], tuning: TemperatureTuning, spec: SweepSpec) -> str:
    """What the answers took, for a person."""
    counts = [answer.retrainings for answer in answers]
    retrainings = "" if None in counts else f", {sum(filter(None, counts))} retrainings"
    models = list(tuning.dense_models.values())
    dense = max(models, default=0) if spec.axis.is_one_training else sum(models)
    cells = sum(len(answer.visits) for answer in answers)
    return f"Evaluated: {cells} cells{retrainings}" + f", {dense} dense training{'s' * (dense > 1)}" * (dense > 0) + "."


if __name__ == "__main__":
    run_command(main)
