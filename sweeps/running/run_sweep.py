"""Running all that a sweep wants: what there is to do, doing it, and what came of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import Inventory, inventory_of
from sweeps.running.carry_out import carry_out, report_failures
from sweeps.running.estimate import estimate
from sweeps.running.options import SweepOptions
from sweeps.running.preflight import check_before, check_models
from sweeps.running.progress import SweepProgress
from sweeps.spec.command_line import INTERRUPTED, OK
from trainables.stages import DenseStage, PruningStage, Stage


@dataclass(frozen=True)
class WholeSweepOptions(SweepOptions):
    """Of commands that know from the start all that they want."""

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


def run_sweep(options: WholeSweepOptions, report: Callable[[], object]) -> int:
    """Compute what is not stored, draw what is, and give the exit code.

    Args:
        options: Checked ones.
        report: Draws it.
    """
    spec, store = options.spec, options.store
    store.check()
    points = store.with_added_siblings(spec.points())
    inventory = inventory_of(store)
    others = spec.others()
    plan = GridPlan(points, spec.measurement, inventory, options.run.used_up, others)
    wanted = [*points, *(stage for stage in others if stage.completes_point)]
    to_do = [*plan.points, *(stage for stage in plan.others if stage.completes_point)]
    if options.dry_run or options.estimate:
        lines = _to_do([*points, *others], plan, inventory)
        for kind in {stage.kind: type(stage) for stage in others if not stage.completes_point}.values():
            all_of_it, left = (sum(isinstance(stage, kind) for stage in own) for own in (others, plan.others))
            name = kind.kind.replace("_", " ")
            lines.append(f"{name}: {all_of_it} dense trainings wanted, {all_of_it - left} stored, {left} to do")
        lines.append(f"points: {len(wanted)} wanted, {len(wanted) - len(to_do)} stored, {len(to_do)} to do{_how(plan)}")
        if options.estimate:
            check_models(spec.tried(plan.points), spec.measurement)
            lines.append(estimate(plan.left, options.run))
        print("\n".join(lines))
        return OK
    if plan.left:
        checks = check_before(spec.tried(plan.points or points), spec.measurement, options.run)
    store.check_writable()
    stored = len(wanted) - len(to_do)
    print(f"{len(wanted)} points wanted, {stored} stored{_how(plan)}; results in {store.folder}", flush=True)
    if not plan.left:
        store.set_spec(spec)
    else:
        progress = SweepProgress(len(wanted), stored, plan.left)
        if not carry_out(plan, store, lambda: store.set_spec(spec), options.run, progress, checks=checks):
            return INTERRUPTED
    code = report_failures(points, spec.measurement, store, others)
    report()
    return code


def _to_do(wanted: Sequence[Stage], plan: GridPlan, inventory: Inventory) -> list[str]:
    """Lines that say what is wanted, stored and to do before points."""
    lines = []
    for kind, (models, runs) in MODELS.items():
        needed = {(need.id, part): need.with_parts([part]) for need in _needs(wanted, kind) for part in need.parts}
        there = sum(not inventory.missing_artifacts(model) for model in needed.values())
        begun = [stage for stage in plan.left if isinstance(stage, kind)]
        to_do = sum(len(stage.parts) for stage in begun)
        in_runs = f" in {len(begun)} {runs}" if to_do else ""
        if needed:
            lines.append(f"{models}: {len(needed)} wanted, {there} stored, {to_do} to do{in_runs}")
    return lines


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
