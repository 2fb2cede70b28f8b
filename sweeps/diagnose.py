"""Say whether one training is too hot, too cold, too small or fine: ``python sweeps/diagnose.py``."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import tyro

from sweeps.results.store import Store
from sweeps.running.options import read_options
from sweeps.running.own_checkpoints import kept_checkpoints
from sweeps.running.preflight import checked
from sweeps.running.run_sweep import run_sweep
from sweeps.running.study_options import StudyOptions
from sweeps.spec.checks import option_of, require, words
from sweeps.spec.choices import described
from sweeps.spec.command_line import OK, run_command
from sweeps.spec.diagnosis import Diagnosis
from sweeps.spec.errors import UsageError
from sweeps.spec.study import without_options
from sweeps.spec.study_presets import STUDY_PRESET_HELP, STUDY_PRESETS
from sweeps.spec.typed import typed
from sweeps.views.named_files import JSON, check_distinct, checked_file, print_table, write_json
from sweeps.views.study_command import check_reading, study_of
from trainables.storage.folder import Folder
from trainables.storage.local_folder import LocalFolder

OF_CURVES = ("lr", "batch_size", "epochs")
"""Of a recipe, what has to be told of models that are trained already."""


@without_options("picture")
@dataclass(frozen=True)
class Diagnose(StudyOptions):
    """Say of one training whether it is too hot, too cold, too small or fine, what to change first, how sure that is.

    Two models of one recipe are trained, or are --checkpoints of yours; they are connected by a curve, and measured.
    Dense models are shared with grids in the same --out. Only what is not stored yet is computed: the same command
    again continues. Exit codes: 0 done, 1 something failed, 2 bad usage, 130 interrupted.
    """

    spec: Diagnosis

    preset: Annotated[str, described("Recipe to start from", STUDY_PRESET_HELP[Diagnosis])] = "digits-diagnosis"

    results: tyro.conf.Positional[str | None] = None
    """Folder or s3://... of a diagnosis to say again: nothing is trained, and no Ray is needed. If not given it is
    made, and results go to --out."""

    json: str | None = None
    """File for all of it: numbers with their intervals, verdict, advice, thresholds."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = read_options(Diagnose, arguments, presets=STUDY_PRESETS[Diagnosis])
    given = typed(Diagnose, arguments)
    if options.json is not None:
        checked_file("--json", options.json, JSON)
        for path in options.spec.checkpoints or ():
            check_distinct({"--checkpoints": path, "--json": options.json})
    if options.results is not None:
        return _say_again(options, given)
    _check_used(options.spec, given)
    if (files := options.spec.checkpoints) and (lacking := [name for name in OF_CURVES if name not in given]):
        said = "say how they were trained, as the curve between them and the advice go by it; give"
        raise UsageError(f"--checkpoints {words(files)}: {said} {' and '.join(map(option_of, lacking))}, too.")
    options = checked(options)
    store = options.store
    if options.spec.checkpoints is None:
        return _run(options, options.spec)
    store.check()
    if options.dry_run or options.estimate:  # which write nothing
        with tempfile.TemporaryDirectory() as folder:
            return _run(options, _kept(options.spec, LocalFolder(folder)))
    store.check_writable()
    return _run(options, _kept(options.spec, store.artifacts))


def _run(options: Diagnose, study: Diagnosis) -> int:
    """Compute what is not stored, and say what came out."""
    return run_sweep(replace(options, spec=study), lambda: _report(study, options.store, options.json))


def _kept(study: Diagnosis, folder: Folder) -> Diagnosis:
    """The same, with its checkpoints tied to what they hold."""
    assert study.checkpoints is not None  # this is only called with them
    names = kept_checkpoints(study.checkpoints, [study.model], study.data, folder)
    return replace(
        study, checkpoints=tuple(f"{path}#{name}" for path, name in zip(study.checkpoints, names, strict=True))
    )


def _check_used(study: Diagnosis, given: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError for an option that was given, and that another one, or its absence, leaves without effect."""
    for name in given.keys() & {"dense_seeds", "rho"}:
        said = "the models of --checkpoints are trained already; leave it out"
        require(study.checkpoints is None, option_of(name), words(given[name]), said)
    for name in given.keys() & {*Diagnosis.of_siblings}:
        said = "it is of pruned siblings; give --density, too, or leave it out"
        require(study.density is not None, option_of(name), words(given[name]), said)


def _say_again(options: Diagnose, given: Mapping[str, Sequence[str]]) -> int:
    """Say what is stored in a folder, with other thresholds if any are given."""
    check_reading(given, {"results", "json", "storage_endpoint", *Diagnosis.of_reading})
    assert options.results is not None  # this is only called with it
    store = Store(options.results, options.storage_endpoint)
    study = study_of(store, options, Diagnosis)
    assert isinstance(study, Diagnosis)  # as it was asked for
    study = replace(study, **{name: getattr(options.spec, name) for name in given.keys() & {*Diagnosis.of_reading}})
    _check_used(study, {name: given[name] for name in given.keys() & {*Diagnosis.of_siblings}})
    study.check()
    _report(study, store, options.json)
    return OK


def _report(study: Diagnosis, store: Store, json: str | None) -> None:
    """Print what came out, and write it."""
    from sweeps.results.diagnosis_answer import diagnosis_answer  # pandas
    from sweeps.views.diagnosis_words import diagnosis_words, numbers_table

    answer = diagnosis_answer(study, store)
    for said in diagnosis_words(answer):
        print(said)
    print_table(numbers_table(answer))
    if json is not None:
        write_json("--json", json, answer)
        print(f"Diagnosis: {json}")


if __name__ == "__main__":
    run_command(main)
