"""What several files of tests do with points: carry them out, make up their results, and say what is there."""

import math
from itertools import combinations

from sweeps.results.inventory import Inventory
from trainables.measuring.registry import metrics_of
from trainables.stages import MeasurementSettings, finish
from trainables.stages.measurement import measurements, settings_key


def measurement(point, settings=None):
    """What is measured of the siblings of a point."""
    (stage,) = measurements([point], settings or MeasurementSettings())
    return stage


def carry_out(point, machine, settings=None):
    """Rows of a point, retrained and measured, as one worker after the other would."""
    runs = finish(point.execute(machine))
    return runs | finish(measurement(point, settings).execute(machine))


def made_up_rows(stage, lmc=0.0, cka=0.99, error=0.1, status="ok"):
    """Rows a point's execution might have given."""
    common = {"point": stage.point.key, "status": status, "message": "", "seconds": 1.0}
    bad = status != "ok"
    errors = dict.fromkeys(("train_error", "validation_error", "test_error"), math.nan if bad else error)
    return {
        "pairs": [
            common
            | {"first_seed": a, "second_seed": b, "lmc": math.nan if bad else lmc, "cka": math.nan if bad else cka}
            | {"path_errors": [error, error - lmc, error], "measurement": settings_key(MeasurementSettings())}
            | {metric.columns[0].name: 0.0 for metric in metrics_of("pairs") if metric.name not in ("lmc", "cka")}
            for a, b in combinations(stage.seeds, 2)
        ],
        "runs": [
            common
            | errors
            | {"retrain_seed": seed, "density": stage.label.load, "density_by_layer": {"c": 0.5}, "stack": [seed]}
            for seed in stage.seeds
        ],
    }


def record(store, point, rows):
    """Store rows of siblings and of their pairs."""
    store.record(point, {"runs": rows["runs"]}, "cpu")
    store.record(measurement(point), {"pairs": rows["pairs"]}, "cpu")


def inventory(points=(), dense=()):
    """Where these points have all results, siblings included, and these dense models, given as key and epoch, are."""
    stages = [stage for point in points for stage in (point, measurement(point))]
    have = {}
    for kind, key, parts in [
        *((stage.kind, stage.key, stage.parts) for stage in stages),
        *(("dense", key, [epoch]) for key, epoch in dense),
    ]:
        have.setdefault(kind, {}).setdefault(key, set()).update(parts)
    return Inventory(lambda kind: have.get(kind, {}), lambda kind: have.get(kind, {}))


def grid_plan(points, there=None, **options):
    """A plan of a grid of which nothing is there, or this."""
    from sweeps.plans.grid_plan import GridPlan

    return GridPlan(points, MeasurementSettings(), there or inventory(), **options)


def run_plan(plan, store, machine):
    """Carry out a plan as a sweep does, without Ray; the stages, in order."""
    done = []
    while (stage := plan.ask()) is not None:
        rows = finish(stage.execute(machine))
        store.record(stage, rows, "cpu")
        stage.discard(machine)
        assert plan.tell(stage, "ok") == []
        done.append(stage)
    assert plan.left == []
    return done
