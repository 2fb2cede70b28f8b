"""Rounds and densities of one run of a method in one results folder: a row for each round, whoever trained it."""

from dataclasses import replace

import pytest
import torch
from points import run_plan

from sweeps.plans.plan import StagePlan
from sweeps.results.inventory import inventory_of
from trainables.pruning.settings import PruningSettings
from trainables.stages import DenseRun, PruningRun, PruningStage, RoundsStage
from trainables.stages.machine import Machine
from trainables.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(epochs=1, batch_size=32, lr=0.05)
RUN = PruningRun(DenseRun("digits", 0.9, "mlp8", RECIPE, 1), 1, "lottery", PruningSettings(), RECIPE, 1)
ROUNDS, DENSITIES = RoundsStage(RUN, (1, 2, 3, 4)), PruningStage(RUN, (0.7, 0.5))


@pytest.fixture
def machine(store):
    return Machine(store.artifacts, torch.device("cpu"))


def carry_out(stage, store, machine):
    """What a command does that wants this stage; the stages that it took, but for the dense model."""
    return run_plan(StagePlan([stage], inventory_of(store)), store, machine)


def table(store):
    """Rounds and their statuses."""
    return [(row["round"], row["status"]) for row in store.rows("rounds")]


ALL_OK = [(number, "ok") for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("stages", [(ROUNDS, DENSITIES), (DENSITIES, ROUNDS)])
def test_both_kinds_write_one_row_for_each_round(stages, store, machine):
    for stage in stages:
        assert carry_out(stage, store, machine)
    assert table(store) == ALL_OK
    assert [row["density"] for row in store.rows("rounds")] == pytest.approx([0.8, 0.64, 0.51, 0.41], abs=0.01)
    for row in store.rows("rounds"):
        assert dict(row["density_by_layer"]) == {"hidden.0.weight": row["density"]}
        assert dict(row["pq_index_by_layer"])["hidden.0.weight"] == pytest.approx(row["pq_index"])
    assert len(store.rows("pruned")) == 2
    assert all(not carry_out(stage, store, machine) for stage in stages)


def test_rounds_that_densities_passed_are_stored_and_only_the_others_wanted(store, machine):
    carry_out(DENSITIES, store, machine)
    assert StagePlan([ROUNDS], inventory_of(store)).left == [replace(ROUNDS, rounds=(4,))]
    carry_out(ROUNDS, store, machine)
    assert StagePlan([replace(ROUNDS, rounds=(2, 3, 5, 6))], inventory_of(store)).left == [
        replace(ROUNDS, rounds=(5, 6))
    ]


def test_failures_are_stored_until_there_are_results_and_replace_none(store, machine):
    store.record_failure(ROUNDS, "no luck")
    store.record_failure(ROUNDS, "no luck")
    assert table(store) == [(number, "failed") for number in (1, 2, 3, 4)]
    assert StagePlan([ROUNDS], inventory_of(store)).left
    carry_out(replace(ROUNDS, rounds=(1, 2)), store, machine)
    assert table(store) == [(1, "ok"), (2, "ok"), (3, "failed"), (4, "failed")]
    store.record_failure(ROUNDS, "worse luck")
    assert table(store) == [(1, "ok"), (2, "ok"), (3, "failed"), (4, "failed")]
    carry_out(ROUNDS, store, machine)
    assert table(store) == ALL_OK


def test_rounds_that_were_not_trained_are_stored_once(store, machine):
    run = replace(RUN, recipe=replace(RECIPE, lr=1e9))
    for rounds in ((1, 2), (1, 2, 3)):
        carry_out(RoundsStage(run, rounds), store, machine)
    store.record(RoundsStage(run, (3,)), {"rounds": [row for row in store.rows("rounds") if row["round"] == 3]}, "cpu")
    assert table(store) == [(number, "diverged") for number in (1, 2, 3)]
    carry_out(PruningStage(run, (0.5,)), store, machine)
    assert table(store) == [(number, "diverged") for number in (1, 2, 3)]
    assert StagePlan([RoundsStage(run, (1, 2, 3))], inventory_of(store)).left == []
