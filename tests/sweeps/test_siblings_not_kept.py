"""Siblings that were not kept, and are needed again, are retrained: what is stored stays of one and the same models."""

from dataclasses import replace

import pytest
import torch
from points import measurement, record, run_plan
from support import run_here

from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from sweeps.spec.presets import PRESETS
from trainables.stages import PointStage
from trainables.stages.machine import Machine
from trainables.stages.siblings import stacks_to_retrain

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = replace(
    PRESETS["smoke"],
    epochs=2,
    temperatures=(2,),
    densities=(0.2,),
    dense_seeds=(1,),
    retrain_seeds=(1, 2, 3),
    validation_fraction=0.9,
)


def carry_out(store, spec, keep):
    used_up = () if keep == "siblings" else (PointStage.kind,)
    plan = GridPlan(spec.points(), spec.measurement, inventory_of(store), used_up)
    run_plan(plan, store, Machine(store.artifacts, torch.device("cpu"), keep=keep))
    return plan


def numbers(store, table, *columns):
    seeds = ["retrain_seed"] if table == "runs" else ["path_points", "first_seed", "second_seed"]
    return {tuple(row[name] for name in seeds): [row[name] for name in columns] for row in store.rows(table)}


@pytest.mark.parametrize("keep", ["best", "nothing"])
def test_a_finer_path_changes_no_training_result_and_no_pair(keep, store):
    carry_out(store, SPEC, keep)
    runs, pairs = numbers(store, "runs", "test_error", "losses", "stack"), numbers(store, "pairs", "lmc", "cka")
    plan = carry_out(store, replace(SPEC, path_points=5), keep)
    assert plan.again == plan.points == SPEC.points()
    assert numbers(store, "runs", "test_error", "losses", "stack") == runs
    both = numbers(store, "pairs", "lmc", "cka")
    assert {pair: both[pair] for pair in pairs} == pairs
    assert len(both) == 6
    assert GridPlan(SPEC.points(), SPEC.measurement, inventory_of(store)).left == []


def test_with_a_sibling_more_all_are_of_one_stack_and_all_pairs_of_these(store, tmp_path):
    for spec in (replace(SPEC, retrain_seeds=(1, 2)), SPEC):
        carry_out(store, spec, "nothing")
    fresh = Store(tmp_path / "fresh")
    carry_out(fresh, SPEC, "nothing")
    for table, columns in (("runs", ["test_error", "losses", "stack"]), ("pairs", ["lmc", "cka", "path_errors"])):
        assert numbers(store, table, *columns) == numbers(fresh, table, *columns)


def test_what_was_measured_of_siblings_that_are_others_now_goes(store, made_up):
    point, other = PRESETS["digits-epochs"].points()[:2]
    finer = measurement(point, replace(SPEC, path_points=5).measurement)
    for stage in (point, other):
        record(store, stage, made_up(stage))
    key = finer.key.rpartition("-")[2]
    store.record(finer, {"pairs": [row | {"measurement": key} for row in made_up(point)["pairs"]]}, "cpu")
    rows = made_up(point)["runs"]
    store.record(point, {"runs": rows}, "cpu")  # the same models, made again
    assert len(store.rows("pairs")) == 9
    rows = [row | {"data_dimension": 7.5, "data_dimension_se": 0.1} for row in rows]  # of which older rows know nothing
    store.record(point, {"runs": rows}, "cpu")
    assert len(store.rows("pairs")) == 9
    rows[0]["test_error"] = 0.2
    store.record(point, {"runs": rows}, "cpu")
    left = [(row["point"], row["first_seed"], row["second_seed"]) for row in store.rows("pairs")]
    assert sorted(left) == sorted([(point.key, 2, 3)] * 2 + [(other.key, *pair) for pair in ((1, 2), (1, 3), (2, 3))])
    assert inventory_of(store).missing_results(measurement(point)) == [
        part for part in measurement(point).parts if 1 in part
    ]


def test_a_stack_is_retrained_as_it_was():
    kept = {2: {"seed": 2, "stack": [1, 2, 3]}, 7: {"seed": 7, "stack": [7]}}
    assert stacks_to_retrain((1, 2, 3, 7), kept) == [[1, 2, 3]]
    assert stacks_to_retrain((1, 2, 7, 8, 9), kept) == [[1, 2, 3], [8, 9]]
    assert stacks_to_retrain((2, 7), kept) == []
    assert stacks_to_retrain((3, 1), {}) == [[3, 1]]


def test_siblings_that_a_search_added_are_measured_with_other_settings_too(store, made_up):
    spec = PRESETS["smoke"]
    store.set_spec(spec)
    for stage in spec.points():
        more = replace(stage, seeds=(1, 2, 3)) if stage == spec.points()[0] else stage
        record(store, more, made_up(more))
        store.artifacts.write(f"siblings/{stage.key}/{'-'.join(map(str, more.seeds))}.pt", b"")
        store.add_siblings([more] if more != stage else [])
    again = run_here("grid", "--preset", "smoke", "--out", store.folder, "--path-points", 5, "--dry-run")
    assert "4 points" not in again.stderr
    assert "points: 4 wanted, 0 stored, 4 to do, 4 only to be measured\n" in again.stdout
    for stage in spec.points()[1:]:
        finer = measurement(stage, replace(spec, path_points=5).measurement)
        rows = [row | {"measurement": finer.key.rpartition("-")[2]} for row in made_up(stage)["pairs"]]
        store.record(finer, {"pairs": rows}, "cpu")
    first = measurement(spec.points()[0], replace(spec, path_points=5).measurement)
    rows = [row | {"measurement": first.key.rpartition("-")[2]} for row in made_up(spec.points()[0])["pairs"]]
    store.record(first, {"pairs": rows}, "cpu")  # of the siblings of the sweep alone
    again = run_here("grid", "--preset", "smoke", "--out", store.folder, "--path-points", 5, "--dry-run")
    assert "points: 4 wanted, 3 stored, 1 to do, 1 only to be measured\n" in again.stdout
