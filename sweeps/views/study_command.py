"""What the commands of studies do: run the study, or draw again what is stored of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sweeps.results.store import Store
from sweeps.results.sweep_file import read_study
from sweeps.running.options import read_options
from sweeps.running.preflight import checked
from sweeps.running.run_sweep import run_sweep
from sweeps.running.study_options import StudyOptions
from sweeps.spec.command_line import OK
from sweeps.spec.errors import NoSweepError, UsageError
from sweeps.spec.prunability import Prunability
from sweeps.spec.study import Study
from sweeps.spec.study_presets import STUDY_PRESETS
from sweeps.spec.typed import typed
from sweeps.views.named_files import checked_picture

_OF_DRAWING = {"results", "picture", "storage_endpoint"}
"""Options that may be given with RESULTS, beside those of how results are read."""


def study_command(command: type[StudyOptions], kind: type[Study], arguments: Sequence[str]) -> int:
    """Run the command of a study.

    Args:
        command: Dataclass of its options.
        kind: Of the study.
        arguments: As typed.
    """
    options = read_options(command, arguments, presets=STUDY_PRESETS[kind])
    if options.picture is not None:
        checked_picture("--picture", options.picture)
    if options.results is not None:
        return _draw_again(options, kind, typed(command, arguments))
    options = checked(options)

    def report() -> None:
        from sweeps.views.study_report import write_study  # pandas, for which nothing has to wait that draws nothing

        assert isinstance(options.spec, Study)
        write_study(options.spec, options.store, options.picture)

    return run_sweep(options, report)


def _draw_again(options: StudyOptions, kind: type[Study], given: dict[str, list[str]]) -> int:
    """Draw what is stored in a folder."""
    assert options.results is not None  # this is only called with it
    check_reading(given, {*_OF_DRAWING, *kind.of_reading})
    store = Store(options.results, options.storage_endpoint)
    study = study_of(store, options, kind)
    study = replace(study, **{name: getattr(options.spec, name) for name in given.keys() & {*kind.of_reading}})
    study.check()
    from sweeps.views.study_report import write_study

    write_study(study, store, options.picture)
    return OK


def check_reading(given: Mapping[str, Sequence[str]], allowed: Collection[str]) -> None:
    """Raise UsageError for an option that was given beside RESULTS, and is not of reading them.

    Args:
        given: Words that were typed, by field.
        allowed: Fields that may be given.
    """
    for name in given.keys() - set(allowed):
        words = " ".join([f"--{name.replace('_', '-')}", *given[name]])
        raise UsageError(f"{words}: with RESULTS nothing is run; leave one of them out.")


def study_of(store: Store, options: StudyOptions, kind: type[Study]) -> Study:
    """The study whose results a folder has; how much can be pruned is read of a grid, too.

    Raises:
        UsageError: If it has none of this kind.
    """
    try:
        return read_study(store.folder, kind)
    except NoSweepError:
        spec = store.spec()  # says so if there is no sweep at all
        if isinstance(options.spec, Prunability) and not isinstance(spec, Study):
            from sweeps.results.prunability_table import prunability_of

            return prunability_of(spec, store, options.spec.tolerance)
        held = f"the results of {spec.name}.py" if isinstance(spec, Study) else "the results of a grid"
        other = " or grid.py" if kind is Prunability else ""
        raise UsageError(f"{store.folder} holds {held}; name a folder that {kind.name}.py{other} wrote.") from None
