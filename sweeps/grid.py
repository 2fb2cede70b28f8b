"""Compute a whole grid of temperatures and loads: ``python sweeps/grid.py``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import Inventory, inventory_of
from sweeps.running.carry_out import carry_out, report_failures
from sweeps.running.estimate import estimate
from sweeps.running.options import SweepOptions, read_options
from sweeps.running.preflight import check_before, check_models, checked
from sweeps.running.progress import SweepProgress
from sweeps.spec.command_line import INTERRUPTED, OK, run_command
from trainables.stages import DenseStage, PointStage, PruningStage, Stage


@dataclass(frozen=True)
class Grid(SweepOptions):
    """Train, prune and retrain a model for every temperature and load, and draw the phase diagram.

    Only what is not stored in --out yet is computed: the same command again continues after whatever stopped it.
    Exit codes: 0 all points stored, 1 some points failed, 2 bad usage, 130 interrupted.
    """

    dry_run: bool = False
    """Print what is wanted, stored and to do, and start nothing; data and models are not tried, but for
    --precision auto."""

    estimate: bool = False
    """As --dry-run, and try the models and measure some steps on this machine, to say what it would cost."""


MODELS: dict[type[Stage], tuple[str, str]] = {
    DenseStage: ("dense models", "trainings"),
    PruningStage: ("pruned models", "runs of a method"),
}
"""What kinds of stages before points give, and in what, for a person."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = checked(read_options(Grid, arguments))
    spec, store = options.spec, options.store
    store.check()
    points = store.with_added_siblings(spec.points())
    inventory = inventory_of(store)
    plan = GridPlan(points, spec.measurement, inventory, options.run.used_up)
    if options.dry_run or options.estimate:
        lines = _to_do(points, plan, inventory)
        if options.estimate:
            check_models(plan.points, spec.measurement)
            lines.append(estimate(plan.left, options.run))
        print("\n".join(lines))
        return OK
    if plan.left:
        checks = check_before(plan.points or points, spec.measurement, options.run)
    store.check_writable()
    stored = len(points) - len(plan.points)
    print(f"{len(points)} points wanted, {stored} stored{_how(plan)}; results in {store.folder}", flush=True)
    if not plan.left:
        store.set_spec(spec)
    else:
        progress = SweepProgress(len(points), stored, plan.left)
        if not carry_out(plan, store, lambda: store.set_spec(spec), options.run, progress, checks=checks):
            return INTERRUPTED
    code = report_failures(points, spec.measurement, store)
    from sweeps.views.phase_report import write_report  # pandas, for which nothing has to wait that draws nothing

    write_report(store, spec)
    return code


def _to_do(points: Sequence[PointStage], plan: GridPlan, inventory: Inventory) -> list[str]:
    """Lines that say what is wanted, stored and to do."""
    lines = []
    for kind, (models, runs) in MODELS.items():
        wanted = {(need.id, part): need.with_parts([part]) for need in _needs(points, kind) for part in need.parts}
        there = sum(not inventory.missing_artifacts(model) for model in wanted.values())
        begun = [stage for stage in plan.left if isinstance(stage, kind)]
        to_do = sum(len(stage.parts) for stage in begun)
        in_runs = f" in {len(begun)} {runs}" if to_do else ""
        if wanted:
            lines.append(f"{models}: {len(wanted)} wanted, {there} stored, {to_do} to do{in_runs}")
    done = len(points) - len(plan.points)
    return [*lines, f"points: {len(points)} wanted, {done} stored, {len(plan.points)} to do{_how(plan)}"]


def _needs(stages: Iterable[Stage], kind: type[Stage]) -> Iterator[Stage]:
    """All stages of a kind that these need, and what those need."""
    needs = {need for stage in stages for need in stage.needs}
    if needs:
        yield from (need for need in needs if isinstance(need, kind))
        yield from _needs(needs, kind)


def _how(plan: GridPlan) -> str:
    """What is not as usual about points to be done."""
    measured = f", {len(plan.trained)} only to be measured" if plan.trained else ""
    return measured + (f", {len(plan.again)} retrained since their siblings were not kept" if plan.again else "")


if __name__ == "__main__":
    run_command(main)
