"""Compute a whole grid of temperatures and loads: ``python sweeps/grid.py``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.command import INTERRUPTED, OK, SOME_FAILED, parse, run_command
from sweeps.errors import UsageError
from sweeps.estimate import estimate
from sweeps.options import RunOptions
from sweeps.plan import GridPlan, missing_points
from sweeps.preflight import check_data, check_models, pinned
from sweeps.presets import PRESETS
from sweeps.progress import SweepProgress
from sweeps.report import write_report
from sweeps.spec import SweepSpec
from sweeps.store import Store
from trainables.stages import PointStage

DEFAULT_PRESET = "digits"
SHOWN_FAILURES = 10


@dataclass(frozen=True)
class Grid:
    """Train, prune and retrain a model for every temperature and load, and draw the phase diagram.

    Only what is not stored in --out yet is computed: the same command again continues after whatever stopped it.
    Exit codes: 0 all points stored, 1 some points failed, 2 bad usage, 130 interrupted.
    """

    spec: SweepSpec

    run: RunOptions

    preset: str = DEFAULT_PRESET
    """Sweep to start from: digits, smoke (tiny), fashion-... (half an hour on two cores), paper-... (for GPUs)."""

    out: str | None = None
    """Folder of the results; results/<preset> if not given."""

    dry_run: bool = False
    """Print what is wanted, stored and to do, and start nothing; data and models are not tried."""

    estimate: bool = False
    """As --dry-run, and try the models and measure some steps on this machine, to say what it would cost."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    preset = _preset(arguments)
    options = parse(Grid, arguments, Grid(PRESETS[preset], RunOptions(), preset))
    _check_axes(options.spec, PRESETS[preset], arguments)
    spec = pinned(options.spec)
    spec.check()
    options.run.check()
    store = Store(f"results/{preset}" if options.out is None else options.out)
    store.check()
    points = spec.points()
    kept = store.dense_models()
    plan = GridPlan(points, store.stored(), kept)
    stored = len(points) - len(plan.points)
    if options.dry_run or options.estimate:
        dense = {(stage.point.dense.key, stage.point.epoch) for stage in points}
        to_do = sum(len(stage.epochs) for stage in plan.dense)
        trainings = f" in {len(plan.dense)} trainings" if to_do else ""
        print(f"dense models: {len(dense)} wanted, {len(dense & kept)} stored, {to_do} to do{trainings}")
        print(f"points: {len(points)} wanted, {stored} stored, {len(plan.points)} to do")
        if options.estimate:
            check_models(plan.points)
            print(estimate(plan.left, options.run))
        return OK
    if plan.points:
        check_models(plan.points)
        check_data(plan.points, options.run.data_folder)
    store.check_writable()
    print(f"{len(points)} points wanted, {stored} stored; results in {store.folder}", flush=True)
    if not plan.left:
        store.set_spec(spec)
    elif not _run(plan, store, spec, options.run, SweepProgress(len(points), stored, plan.left)):
        print(f"Stopped. Everything finished is in {store.folder}; the same command continues.")
        return INTERRUPTED
    code = _report_failures(points, store)
    write_report(store, spec)
    return code


def _preset(arguments: Sequence[str]) -> str:
    """Name of the preset, which decides the defaults of all other options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", default=DEFAULT_PRESET)
    try:
        preset = parser.parse_known_args(arguments)[0].preset
    except argparse.ArgumentError:
        raise UsageError("--preset needs a name.") from None
    if preset not in PRESETS:
        raise UsageError(f"--preset {preset}: there is no such preset; the presets are {', '.join(PRESETS)}.")
    return preset


def _check_axes(spec: SweepSpec, preset: SweepSpec, arguments: Sequence[str]) -> None:
    """Raise UsageError if another axis than the preset's was asked for, but not its values."""
    for axis, values in (("temperature", "temperatures"), ("load", "widths" if spec.load == "width" else "densities")):
        name = getattr(spec, axis)
        given = any(argument.partition("=")[0] == f"--{values}" for argument in arguments)
        if name != getattr(preset, axis) and not given:
            raise UsageError(f"--{axis} {name}: the preset's --{values} are of another axis; give --{values}, too.")


def _run(plan: GridPlan, store: Store, spec: SweepSpec, options: RunOptions, progress: SweepProgress) -> bool:
    """Carry out the plan; False if it was interrupted."""
    from sweeps.runner import Interrupted, ray_cluster, run

    try:
        with ray_cluster(options):
            store.set_spec(spec)  # not before: a sweep that cannot start does not replace the latest one
            run(plan, store, options, progress)
    except Interrupted:
        return False
    return True


def _report_failures(wanted: Sequence[PointStage], store: Store) -> int:
    """Say which points have no result, and why; give the exit code."""
    missing = {stage.point.key: stage for stage in missing_points(wanted, store.stored())}
    if not missing:
        return OK
    messages = {
        row["point"]: row["message"]
        for row in store.rows("runs", ["point", "status", "message"])
        if row["status"] == "failed" and row["point"] in missing
    }
    print(f"{len(missing)} of {len(wanted)} points failed; the same command tries them again:", file=sys.stderr)
    for key, stage in list(missing.items())[:SHOWN_FAILURES]:
        print(f"  {stage}: {messages.get(key, 'not run')}", file=sys.stderr)
    return SOME_FAILED


if __name__ == "__main__":
    run_command(main)
