"""Choose which trained model to prune to a density: ``python sweeps/select_model.py --density 0.1``."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table

from sweeps.case_studies.model_selection import DenseError, Selection, select
from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.phase import diverged_note, phase_table, resolved, rows_of, threshold_note
from sweeps.results.phase_schema import SCORES
from sweeps.results.recorded import check_recorded, lacking_cells, replayed
from sweeps.results.store import Store
from sweeps.running.carry_out import carry_out, report_failures
from sweeps.running.options import SweepOptions, read_options
from sweeps.running.own_checkpoints import kept_checkpoints
from sweeps.running.preflight import check_data, check_models, checked
from sweeps.running.progress import SweepProgress
from sweeps.spec.checks import option_of, words
from sweeps.spec.command_line import INTERRUPTED, OK, run_command
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import RETRAIN
from sweeps.spec.typed import typed
from sweeps.views.named_files import JSON, check_distinct, checked_file, print_table, write_json
from sweeps.views.panels import figure
from trainables.pruning import rule_of
from trainables.stages import DenseRun, Label, PointStage
from trainables.training.recipe import Recipe

WIDE = 150
"""Columns of a terminal from which on LMC, CKA and reasons are printed, too; --json always has them."""


@dataclass(frozen=True)
class SelectModel(SweepOptions):
    """Choose, of several trained models, the one to prune to a density.

    Candidates are the dense models of a sweep, one for each temperature (figures are means over its dense seeds), or
    files of yours. Each is pruned, and siblings are retrained from it; what --out holds already is not computed again.
    Shown are the choices of the lowest error before pruning, of the paper's Algorithms 2 and 2.1, and of an oracle.
    Exit codes: 0 done, 1 some points failed, 2 bad usage, 130 interrupted.
    """

    replay: str | None = None
    """Recorded results to choose from instead of training: a results folder, or a .csv or .parquet file."""

    checkpoints: tuple[str, ...] | None = None
    """Candidates of your own: files of torch.save with the weights of --model; instead of --temperatures."""

    select_by: DenseError | None = None
    """Error or BLEU of the models before pruning by which the first two compare them. The paper's is the test error. If
    not given, the validation error where it is known of all candidates; of --checkpoints the test error, since their
    training may have seen the images held out here."""

    json: str | None = None
    """File for the choices, one object for each density."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    past = replayed(arguments)
    options = read_options(SelectModel, arguments, past)
    spec = options.spec
    if options.json is not None:
        checked_file("--json", options.json, JSON)
        for path in options.checkpoints or ():
            check_distinct({"--checkpoints": path, "--json": options.json})
    if options.checkpoints == ():
        raise UsageError("--checkpoints (nothing): give at least one file.")
    if options.checkpoints:
        _check_used(typed(SelectModel, arguments))
    if past is not None:
        if options.checkpoints:
            raise UsageError("--checkpoints: with --replay nothing is trained; leave one of them out.")
        table = past.table(spec.thresholds)
        check_recorded(spec, past, table)
        if lacking := lacking_cells(table, product(spec.temperatures, spec.loads)):
            raise UsageError(f"--replay: {past.path} has no results of {', '.join(lacking)}; leave them out.")
        _report(options, table)
        return OK
    return _train(checked(options), options.store)


def _check_used(given: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError for an option that was given beside --checkpoints, and says how dense models are trained."""
    retrained = {name for name in given if RETRAIN + name in given}
    for name in given.keys() & ({"temperature", "temperatures", "dense_seeds", "rho"} | retrained):
        said = "the models of --checkpoints are trained already; leave it out"
        raise UsageError(f"{option_of(name)} {words(given[name])}: {said}.")


def _train(options: SelectModel, store: Store) -> int:
    """Prune every candidate, and retrain its siblings."""
    spec = options.spec
    store.check()
    points = store.with_added_siblings(spec.points())
    if options.checkpoints:
        store.check_writable()
        points = _points_of_checkpoints(options, store)
    plan = GridPlan(points, spec.measurement, inventory_of(store), options.run.used_up)
    stored = len(points) - len(plan.points)
    if plan.left:
        check_models(points, spec.measurement)
        check_data(points, options.run.data_folder)
    store.check_writable()
    print(f"{len(points)} points wanted, {stored} stored; results in {store.folder}", flush=True)
    progress = SweepProgress(len(points), stored, plan.left)

    def show() -> None:
        if not options.checkpoints:
            store.show(spec)

    if not plan.left:
        show()
    elif not carry_out(plan, store, show, options.run, progress):
        return INTERRUPTED
    code = report_failures(points, spec.measurement, store)
    _report(options, phase_table(points, store, spec.thresholds, spec.measurement))
    return code


def _points_of_checkpoints(options: SelectModel, store: Store) -> list[PointStage]:
    """Points whose dense models are the user's; in place of the temperature there is the number of the file."""
    spec = options.spec
    like = {stage.label.load: stage for stage in spec.points()}
    prunings = [stage.point.pruning for stage in like.values()]
    if rule_of(spec.pruner).epochs or any(each and {*each.dense_epochs} != {each.epoch} for each in prunings):
        raise UsageError(f"--pruner {spec.pruner}: it takes models of other epochs, which --checkpoints do not have.")
    runs = {stage.point.dense.model: stage.point.dense for stage in like.values()}
    points: list[PointStage] = []
    names = kept_checkpoints(options.checkpoints or (), list(runs), spec.data, store.artifacts)
    for number, checkpoint in enumerate(names, start=1):
        for load, stage in like.items():
            run = stage.point.dense
            dense = DenseRun(
                run.data,
                run.validation_fraction,
                run.model,
                Recipe(epochs=0),  # it is not trained: nothing of a recipe is to enter its key
                seed=0,
                augmentation=run.augmentation,
                checkpoint=checkpoint,
                loss=run.loss,
            )
            pruning = stage.point.pruning and replace(stage.point.pruning, dense=dense, epoch=0)
            point = replace(stage.point, dense=dense, epoch=0, pruning=pruning)
            points.append(PointStage(point, stage.seeds, Label("checkpoint", number, spec.load_name, load)))
    return points


def _report(options: SelectModel, table: pd.DataFrame) -> None:
    """Print the choices, and write them; a threshold that a table decides comes from all of this one."""
    spec = options.spec
    thresholds = resolved(spec.thresholds, table)
    table = table[table["load"].isin(spec.loads)]
    if not options.checkpoints:
        table = table[table["temperature"].isin(spec.temperatures)]
    candidate = "checkpoint" if options.checkpoints else spec.temperature
    shown = Table(box=SIMPLE, collapse_padding=True)
    wide = not sys.stdout.isatty() or shutil.get_terminal_size().columns >= WIDE
    headings = [spec.load_name, "chosen by", candidate, "regime", *(["LMC", "CKA"] if wide else [])]
    bleu = options.select_by in SCORES or bool(table["bleu"].notna().any())
    dense = "dense BLEU" if options.select_by in SCORES else "dense error"
    for heading in (*headings, dense, "test error", "regret", *["BLEU"] * bleu, *["reason"] * wide):
        words = heading in ("chosen by", "reason")
        shown.add_column(heading, justify="left" if words else "right", no_wrap=True)
    answers: list[dict[str, Any]] = []
    select_by = options.select_by or ("dense_test_error" if options.checkpoints else None)
    used: dict[str, list[str]] = {}
    for load in sorted(spec.loads):
        choices = select(rows_of(table[table["load"] == load]), thresholds.lmc, select_by)
        used.setdefault(choices[0].select_by, []).append(f"{load:g}")
        answers.append({spec.load_name: load, "selections": [_as_json(choice, options) for choice in choices]})
        for first, choice in enumerate(choices):
            shown.add_row("" if first else f"{load:g}", *_cells(choice, wide, bleu))
        shown.add_section()
    print_table(shown)
    for number, path in enumerate(options.checkpoints or (), start=1):
        print(f"Checkpoint {number}: {path}")
    if (table["status"] == "incomplete").any():
        print("Note: some cells lack a part of their results; what there is was taken.")
    for name, loads in used.items():
        at = f" at {spec.load_name} {' '.join(loads)}" if len(used) > 1 else ""
        what = {"dense_test_error": "images", "dense_bleu": "pairs"}.get(name)
        warning = f", so the test {what} choose, and judge what they chose" if what else ""
        print(f"D{dense[1:]}: {name}{at}{warning}.")
    for note in filter(None, (threshold_note(thresholds), diverged_note(table))):
        print(note)
    if options.json:
        write_json("--json", options.json, answers)
        print(f"Choices: {options.json}")


def _cells(choice: Selection, wide: bool, bleu: bool) -> list[str]:
    values = choice.as_json()
    names = [*(["lmc", "cka"] if wide else []), choice.select_by, "test_error", "regret", *["bleu"] * bleu]
    chosen = "–" if values["temperature"] is None else f"{values['temperature']:g}"
    numbers = ("–" if values[name] is None else figure(name, values[name]) for name in names)
    return [choice.method, chosen, choice.regime or "–", *numbers, *([choice.reason] if wide else [])]


def _as_json(choice: Selection, options: SelectModel) -> dict[str, Any]:
    values = choice.as_json()
    if options.checkpoints:
        number = values.pop("temperature")
        values["checkpoint"] = None if number is None else options.checkpoints[round(number) - 1]
    return values


if __name__ == "__main__":
    run_command(main)
