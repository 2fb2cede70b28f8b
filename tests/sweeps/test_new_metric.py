"""A metric is one file and one line in a registry; a sweep that was stored without it is filled in without training."""

import math
import shutil
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from points import run_plan

from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.phase import phase_table
from sweeps.results.store import Store
from sweeps.running.carry_out import report_failures
from sweeps.spec.command_line import OK, SOME_FAILED
from sweeps.spec.presets import PRESETS
from sweeps.views.sweep_status import sweep_status
from trainables.faults import fault_of
from trainables.measuring.metric import MESSAGE, Column, Metric, MetricError
from trainables.measuring.registry import METRICS
from trainables.stages import DenseStage, PointStage, finish
from trainables.stages.machine import Machine

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = replace(
    PRESETS["smoke"], temperatures=(1, 2), densities=(0.2,), dense_seeds=(1, 2), epochs=2, validation_fraction=0.9
)


class Norms(Metric):
    """Norm of all weights of a model, or of the difference of two."""

    columns = (Column("norm", "", "of a test"),)

    def __init__(self, of):
        self.name, self.of = f"norm of a {of}", of

    def measure(self, models, places, settings):
        for first, *others in places:
            state = models.states[first]
            other = models.states[others[0]] if others else {name: torch.zeros_like(t) for name, t in state.items()}
            difference = [(state[name].double() - other[name].double()).square().sum() for name in state]
            yield {"norm": float(torch.stack(difference).sum().sqrt())}

    def samples(self, train, models, places, settings):
        return 0.0


@pytest.fixture(scope="module")
def computed(tmp_path_factory, one_thread):
    """Results of a small grid."""
    store = Store(tmp_path_factory.mktemp("computed"))
    run_plan(plan(store), store, machine_of(store))
    return store


@pytest.fixture
def complete(computed, tmp_path):
    """A copy of them."""
    return Store(shutil.copytree(computed.folder.path, tmp_path / "complete"))


@pytest.fixture
def machine(complete):
    return machine_of(complete)


def machine_of(store):
    return Machine(store.artifacts, torch.device("cpu"))


def plan(store, spec=SPEC):
    return GridPlan(spec.points(), spec.measurement, inventory_of(store))


def values(store, table):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in store.rows(table)]


@pytest.mark.parametrize(
    ("of", "table", "rows"),
    [
        ("sibling", "run_metrics", 8),
        ("pair", "pairs", 4),
    ],
)
def test_a_metric_that_is_added_fills_in_what_is_stored_without_training(
    of, table, rows, complete, machine, monkeypatch
):
    assert plan(complete).left == []
    before = {name: values(complete, name) for name in ("dense", "runs", "pairs")}
    monkeypatch.setitem(METRICS, f"norm of a {of}", Norms(of))
    store = Store(complete.folder.path)  # as a new command opens it
    to_do = plan(store)
    assert to_do.dense == []
    assert to_do.trained == to_do.points != []
    done = run_plan(to_do, store, machine)
    assert not [stage for stage in done if isinstance(stage, (DenseStage, PointStage))]
    assert {part[0] for stage in done for part in stage.parts} == {f"norm of a {of}"}
    measured = store.rows(table)
    assert len(measured) == rows
    assert all(row["norm"] > 0 and row["status"] == "ok" for row in measured)
    for name, old in before.items():
        new = values(store, name)
        known = [{column: row[column] for column in old[0]} for row in new]
        for row in (*known, *old):
            for changed in ("created_at",):
                row.pop(changed)
        assert known == old
    assert plan(store).left == []


def test_seconds_of_what_was_measured_in_addition_are_added(complete, machine, monkeypatch):
    (before, *_) = (row["seconds"] for row in complete.rows("pairs"))
    monkeypatch.setitem(METRICS, "norm of a pair", Norms("pair"))
    store = Store(complete.folder.path)
    run_plan(plan(store), store, machine)
    assert store.rows("pairs")[0]["seconds"] > before


def test_another_setting_measures_again_and_keeps_both(complete, machine):
    finer = replace(SPEC, path_points=5)
    to_do = plan(complete, finer)
    assert len(to_do.trained) == len(to_do.points) == 4
    done = run_plan(to_do, complete, machine)
    assert {stage.kind for stage in done} == {"measurement"}
    lengths = sorted((row["path_points"], len(row["path_errors"])) for row in complete.rows("pairs"))
    assert lengths == [(5, 5)] * 4 + [(11, 11)] * 4
    assert plan(complete).left == plan(complete, finer).left == []
    coarse, fine = (phase_table(SPEC.points(), complete, SPEC.thresholds, spec.measurement) for spec in (SPEC, finer))
    assert list(coarse["n_pairs"]) == list(fine["n_pairs"]) == [2, 2]
    assert list(coarse["cka"]) == list(fine["cka"])
    assert list(coarse["test_error"]) == list(fine["test_error"])


def test_a_metric_without_a_value_is_measured_all_the_same(complete, machine, monkeypatch):
    class Undefined(Norms):
        def measure(self, models, places, settings):
            for _ in places:
                yield {"norm": math.nan}

    monkeypatch.setitem(METRICS, "norm of a pair", Undefined("pair"))
    store = Store(complete.folder.path)
    assert len(run_plan(plan(store), store, machine)) == 4
    assert plan(store).left == []
    assert all(math.isnan(row["norm"]) for row in store.rows("pairs"))


@pytest.mark.parametrize("of", ["sibling", "pair"])
def test_a_metric_that_fails_is_told_and_not_passed_over(of, complete, monkeypatch, capsys):
    assert report_failures(SPEC.points(), SPEC.measurement, complete) == OK
    monkeypatch.setitem(METRICS, f"norm of a {of}", Norms(of))
    store = Store(complete.folder.path)
    to_do = plan(store)
    while (stage := to_do.ask()) is not None:
        store.record_failure(stage, "it raised")
        to_do.tell(stage, "failed", "it raised")
    assert report_failures(SPEC.points(), SPEC.measurement, store) == SOME_FAILED
    assert "  epochs 1, density 0.2, dense seed 1: it raised" in capsys.readouterr().err.splitlines()


def test_a_failure_is_noted_beside_the_values_of_other_metrics_until_it_is_mended(complete, machine, monkeypatch):
    before = values(complete, "pairs")
    monkeypatch.setitem(METRICS, "norm of a pair", Norms("pair"))
    store = Store(complete.folder.path)
    store.set_spec(SPEC)
    (first, *_) = to_do = plan(store).left
    for stage in to_do:
        store.record_failure(stage, "it raised")
    assert [row["lmc"] for row in values(store, "pairs") if row["status"] == "ok"] == [row["lmc"] for row in before]
    assert sweep_status(store).points["failed"] == 4
    table = phase_table(SPEC.points(), store, SPEC.thresholds, SPEC.measurement)
    assert set(table["status"]) == {"failed"}
    assert list(table["n_pairs"]) == [2, 2]
    run_plan(plan(store), store, machine)
    assert sweep_status(store).points["done"] == 4
    assert {row["status"] for row in store.rows("pairs")} == {"ok"}
    assert len(store.rows("pairs")) == len(before)
    assert first.lost_tables == ("pairs",)


def kept_rows(stage, machine):
    """What a stage that fails gives before."""
    rows = {}
    with suppress(MetricError):
        for progress in stage.execute(machine):
            rows |= progress.rows
    return rows


def test_values_of_other_metrics_survive_one_that_fails_or_has_none(complete, machine, monkeypatch):
    class Fails(Norms):
        def measure(self, models, places, settings):
            yield {"norm": 1.0}
            raise ZeroDivisionError("by zero")

    class HasNone(Norms):
        def measure(self, models, places, settings):
            for _ in places:
                yield {"norm": math.nan, MESSAGE: "it is not there"}

    finer = replace(SPEC, path_points=3)
    monkeypatch.setitem(METRICS, "norm of a pair", Fails("pair"))
    store = Store(complete.folder.path)
    (stage, *_) = plan(store, finer).left
    with pytest.raises(MetricError, match="metric norm of a pair: ZeroDivisionError: by zero") as error:
        finish(stage.execute(machine))
    rows = kept_rows(stage, machine)
    assert fault_of(error.value) == "stage"
    store.record(stage, rows, "cpu")
    ours = [left for left in plan(store, finer).left if left.id == stage.id]
    assert [{part[0] for part in left.parts} for left in ours] == ([{"norm of a pair"}] if len(stage.parts) > 3 else [])

    before = {row["point"]: row for row in values(complete, "pairs")}
    monkeypatch.setitem(METRICS, "norm of a pair", HasNone("pair"))
    store = Store(complete.folder.path)
    run_plan(plan(store), store, machine)
    for row in store.rows("pairs"):
        if row["path_points"] == 11:
            assert (row["status"], row["message"]) == ("diverged", "it is not there")
            assert [row[name] for name in ("lmc", "cka", "path_errors")] == [
                before[row["point"]][name] for name in ("lmc", "cka", "path_errors")
            ]
    assert plan(store).left == []
