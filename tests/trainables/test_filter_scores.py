"""Scores of filters as a stage: they are what pruning rules go by, and an epoch is stored once all measures are."""

from dataclasses import replace

import pytest
import torch
from points import run_plan

from sweeps.plans.plan import StagePlan
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from trainables.models import pin
from trainables.pruning.channels import highest_channels, without_channels
from trainables.pruning.filter_scores import FILTER_SCORES
from trainables.pruning.filters import EXAMPLES, channel_groups
from trainables.pruning.settings import PruningSettings
from trainables.stages import DenseRun, DenseStage, FilterScoresStage, PruningRun, PruningStage, finish
from trainables.stages.cost import StageCosts
from trainables.stages.filter_scores import MEASURES
from trainables.stages.machine import Machine
from trainables.stages.pruning import pruned_model
from trainables.stages.pruning_context import dense_context
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

DENSE = DenseRun("digits", 0.7, "preresnet8-w0.25", Recipe(epochs=2, batch_size=64, lr=0.05), 1)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return Machine(LocalFolder(tmp_path_factory.mktemp("artifacts")), torch.device("cpu"))


def execute(stage, machine):
    for need in stage.needs:
        finish(need.execute(machine))
    return finish(stage.execute(machine))


@pytest.fixture(scope="module")
def scores(machine):
    """Of the model after two epochs, by measure."""
    rows = execute(FilterScoresStage(DENSE, (2,)), machine)["filter_scores"]
    assert {(row["dense"], row["epoch"], row["status"], row["message"]) for row in rows} == {(DENSE.key, 2, "ok", "")}
    return {row["measure"]: row["scores"] for row in rows}


def test_there_is_a_row_for_each_measure_and_measures_differ(scores):
    assert list(scores) == list(MEASURES) == list(FILTER_SCORES)
    assert len({tuple(own) for own in scores.values()}) == len(MEASURES)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_lowest_scores_are_the_filters_that_the_rule_removes(measure, scores, machine):
    run = PruningRun(DENSE, 2, measure, PruningSettings())
    execute(PruningStage(run, (0.5,)), machine)
    context = dense_context(DENSE, 2, 0.5, machine)
    groups = channel_groups(context.model_at(2), context.example_inputs(EXAMPLES))
    own = torch.tensor(scores[measure], dtype=torch.float64).split([group.channels for group in groups])
    kept = highest_channels(own, 0.5)
    assert sum(int(each.sum()) for each in kept) == round(0.5 * len(scores[measure]))
    expected = without_channels(context.state, groups, kept)
    found = pruned_model(run, 0.5, machine.folder)["model"]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_a_model_without_batch_norm_has_all_scores_but_those_of_its_scales(machine, tmp_path, monkeypatch):
    (tmp_path / "plain_net.py").write_text(
        "from torch import nn\n"
        "def net(channels, classes):\n"
        "    body = [nn.Conv2d(channels, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]\n"
        "    return nn.Sequential(*body, nn.Linear(20, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = replace(DENSE, model=pin("plain_net:net"))
    stage = FilterScoresStage(own, (1,))
    assert stage.functions == own.functions != ()
    rows = execute(stage, machine)["filter_scores"]
    assert {len(row["scores"]) for row in rows if row["measure"] != "filter-bn"} == {5}
    (row,) = (row for row in rows if row["measure"] == "filter-bn")
    assert row["status"] == "ok"
    assert row["scores"] == []
    assert row["message"].startswith("no batch-norm normalises the filters of 0")


def test_a_dense_model_that_diverged_has_rows_that_say_so(machine):
    diverging = replace(DENSE, recipe=replace(DENSE.recipe, lr=1e9))
    rows = execute(FilterScoresStage(diverging, (2,)), machine)["filter_scores"]
    assert [row["measure"] for row in rows] == list(MEASURES)
    assert {(row["status"], len(row["scores"])) for row in rows} == {("diverged", 0)}
    assert rows[0]["message"].endswith("of dense training")


def test_it_needs_the_initial_weights_too_and_takes_epochs_whole():
    stage = FilterScoresStage(DENSE, (1, 2))
    assert stage.needs == (DenseStage(DENSE, (0, 1, 2)),)
    assert stage.with_parts(stage.parts) == stage
    assert stage.with_parts([(2, "filter-bn")]) == FilterScoresStage(DENSE, (2,))


def test_an_epoch_is_stored_once_all_of_its_measures_are(machine, tmp_path):
    store, wanted = Store(tmp_path / "results"), FilterScoresStage(DENSE, (1, 2))
    here = Machine(store.artifacts, torch.device("cpu"))
    done = run_plan(StagePlan([wanted], inventory_of(store)), store, here)
    assert done == [DenseStage(DENSE, (0, 1, 2)), wanted]
    assert StagePlan([wanted], inventory_of(store)).left == []
    rows = store.rows("filter_scores")
    assert len(rows) == 2 * len(MEASURES)
    assert all(len(row["scores"]) == len(rows[0]["scores"]) for row in rows)

    other = Store(tmp_path / "other")
    half = [row for row in execute(wanted, machine)["filter_scores"] if row["epoch"] == 1 or "loss" in row["measure"]]
    other.record(wanted, {"filter_scores": half}, "cpu")
    plan = StagePlan([wanted], inventory_of(other))
    assert [stage for stage in plan.left if stage.kind == wanted.kind] == [FilterScoresStage(DENSE, (2,))]


def test_a_failure_is_noted_for_each_measure_and_tried_again(tmp_path):
    store, wanted = Store(tmp_path), FilterScoresStage(DENSE, (2,))
    store.record_failure(wanted, "no luck")
    assert [(row["measure"], row["message"]) for row in store.rows("filter_scores")] == [
        (measure, "no luck") for measure in sorted(MEASURES)
    ]
    assert [stage.kind for stage in StagePlan([wanted], inventory_of(store)).left] == ["filter_scores", "dense"]


def test_it_stores_epoch_by_epoch(machine):
    stage = FilterScoresStage(DENSE, (1, 2))
    for need in stage.needs:
        finish(need.execute(machine))
    told = list(stage.execute(machine))
    assert [{row["epoch"] for row in progress.rows["filter_scores"]} for progress in told] == [{1}, {2}]


def test_what_it_costs_is_known_before():
    costs = StageCosts(torch.device("cpu"))
    one, two = (FilterScoresStage(DENSE, epochs) for epochs in ((1,), (1, 2)))
    assert 0 < one.seconds(costs) < 60
    assert two.seconds(costs) == 2 * one.seconds(costs)
    assert two.work == 2 * one.work > 0
    assert two.kept_bytes("siblings") == 0
