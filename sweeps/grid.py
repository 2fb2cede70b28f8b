"""Compute a whole grid of temperatures and loads: ``python sweeps/grid.py``."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.plans.plan import GridPlan
from sweeps.running.carry_out import carry_out, report_failures
from sweeps.running.estimate import estimate
from sweeps.running.options import RunOptions, SweepOptions
from sweeps.running.preflight import check_data, check_models, pinned
from sweeps.running.progress import SweepProgress
from sweeps.spec.command_line import INTERRUPTED, OK, check_axes, parse, preset_of, run_command
from sweeps.spec.presets import PRESETS
from sweeps.views.phase_report import write_report


@dataclass(frozen=True)
class Grid(SweepOptions):
    """Train, prune and retrain a model for every temperature and load, and draw the phase diagram.

    Only what is not stored in --out yet is computed: the same command again continues after whatever stopped it.
    Exit codes: 0 all points stored, 1 some points failed, 2 bad usage, 130 interrupted.
    """

    dry_run: bool = False
    """Print what is wanted, stored and to do, and start nothing; data and models are not tried."""

    estimate: bool = False
    """As --dry-run, and try the models and measure some steps on this machine, to say what it would cost."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    preset = preset_of(arguments)
    options = parse(Grid, arguments, Grid(PRESETS[preset], RunOptions(), preset))
    check_axes(options.spec, PRESETS[preset], arguments)
    spec = pinned(options.spec)
    spec.check()
    options.run.check()
    store = options.store
    store.check()
    points = spec.points()
    kept, results = store.dense_models(), store.stored()
    plan = GridPlan(points, results, kept)
    stored = len(points) - len(plan.points)
    if options.dry_run or options.estimate:
        dense = {(stage.point.dense.key, stage.point.epoch) for stage in points}
        to_do = sum(len(stage.epochs) for stage in plan.dense)
        trainings = f" in {len(plan.dense)} trainings" if to_do else ""
        print(f"dense models: {len(dense)} wanted, {len(dense & kept)} stored, {to_do} to do{trainings}")
        print(f"points: {len(points)} wanted, {stored} stored, {len(plan.points)} to do")
        if options.estimate:
            check_models(plan.points)
            print(estimate(plan.left, results, options.run))
        return OK
    if plan.points:
        check_models(plan.points)
        check_data(plan.points, options.run.data_folder)
    store.check_writable()
    print(f"{len(points)} points wanted, {stored} stored; results in {store.folder}", flush=True)
    if not plan.left:
        store.set_spec(spec)
    else:
        progress = SweepProgress(len(points), stored, plan.left)
        if not carry_out(plan, store, lambda: store.set_spec(spec), options.run, progress):
            return INTERRUPTED
    code = report_failures(points, store)
    write_report(store, spec)
    return code


if __name__ == "__main__":
    run_command(main)
