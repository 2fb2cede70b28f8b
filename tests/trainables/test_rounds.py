"""Rounds by their number: their rows, going on from wherever the method is kept, and a kill at any moment."""

import math
from dataclasses import replace

import pytest
import torch

from metrics.sparsity import pq_index
from trainables.pruning import RULES
from trainables.pruning.magnitude import all_layers, per_layer
from trainables.pruning.packing import unpack_masks, unpack_weights
from trainables.pruning.settings import PruningSettings
from trainables.stages import DenseRun, PruningRun, PruningStage, RoundsStage, finish
from trainables.stages.cost import StageCosts
from trainables.stages.dense import dense_file
from trainables.stages.machine import Machine
from trainables.stages.pruning import pruned_model
from trainables.stages.pruning_run import rounds_file
from trainables.storage import artifacts
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=32, lr=0.1)
DENSE = DenseRun("digits", 0.7, "mlp16-12", RECIPE, 1)
IN_ROUNDS = ["lottery", "iterative", "sap", "one-shot", "filter-magnitude"]


@pytest.fixture
def machine(tmp_path):
    return Machine(LocalFolder(tmp_path), torch.device("cpu"))


def pruning(pruner, recipe=RECIPE, **settings):
    """A short run of a method that takes rounds, on a perceptron."""
    method = RULES[pruner]
    fast = {"sap_p": 1.0, "sap_q": 2.0} if pruner == "sap" else {}
    settings = PruningSettings(**({"rounds": 4 if method.is_of_filters else method.rounds} | fast | settings))
    epochs = 1 if method.is_of_filters else 2
    return PruningRun(DENSE, 2, pruner, settings, recipe, epochs, 0.2 if method.has_end else None)


def execute(stage, machine):
    """A stage and what it needs; its rows by table, and how many epochs were trained for it."""
    for need in stage.needs:
        finish(need.execute(machine))
    told, execution = {0}, stage.execute(machine)
    while True:
        try:
            told.add(next(execution).epochs)
        except StopIteration as end:
            return end.value, len(told) - 1


def values(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def dense_weights(machine, epoch=2):
    state = artifacts.load(machine.folder, dense_file(DENSE, epoch))["model"]
    return {name: state[name] for name in ("hidden.0.weight", "hidden.2.weight")}


def kept(run, machine):
    """Masks, and weights with zeros, of the method as it is kept after its rounds."""
    state = artifacts.load(machine.folder, rounds_file(run))
    masks = unpack_masks(state["masks"])
    return masks, {name: state["model"][name] for name in masks}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", IN_ROUNDS)
def test_rounds_are_those_that_a_run_to_densities_passes_and_more(name, machine, tmp_path):
    run = pruning(name)
    rows, trained = execute(RoundsStage(run, (1, 2, 3, 4)), machine)
    rows = rows["rounds"]
    assert [row["round"] for row in rows] == [1, 2, 3, 4]
    assert {row["status"] for row in rows} == {"ok"}
    assert trained == 4 * run.epochs
    assert all(0 <= row["train_error"] <= 1 for row in rows)
    others = Machine(LocalFolder(tmp_path / "others"), torch.device("cpu"))
    passed = execute(PruningStage(run, (0.5 if name == "sap" else 0.3,)), others)[0]["rounds"]
    assert len(passed) == {"one-shot": 0, "filter-magnitude": 3, "lottery": 5, "iterative": 5}.get(name, len(passed))
    assert passed or name == "one-shot"
    count = min(4, len(passed))
    assert values(passed[:count]) == values(rows[:count])


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_one_shot_prunes_the_dense_model_to_the_densities_of_the_lotterys_rounds(scope, machine):
    rows = {
        name: execute(RoundsStage(pruning(name, scope=scope), (1, 2, 3)), machine)[0]["rounds"]
        for name in ("lottery", "one-shot")
    }
    densities = {name: [row["density"] for row in own] for name, own in rows.items()}
    assert densities["one-shot"] == densities["lottery"] == pytest.approx([0.8, 0.64, 0.512], abs=2e-3)
    masks, trained = kept(pruning("one-shot", scope=scope), machine)
    weights = dense_weights(machine)
    largest = {name: weights[name].abs() >= weights[name].abs()[mask].min() for name, mask in masks.items()}
    assert same(masks, largest)
    if scope == "global":
        assert same(masks, all_layers(weights, densities["one-shot"][-1]))
    assert not same(kept(pruning("lottery", scope=scope), machine)[0], masks)
    assert all(torch.equal(trained[name] != 0, mask) for name, mask in masks.items())


def test_on_a_grid_one_shot_trains_nothing_and_begins_with_the_rewound_weights(machine):
    run = pruning("one-shot", rewind_epoch=1)
    rows, trained = execute(PruningStage(run, (0.5, 0.1)), machine)
    assert trained == 0
    assert rows["rounds"] == []
    for wanted in (0.5, 0.1):
        own = pruned_model(run, wanted, machine.folder)
        masks = unpack_masks(own["masks"])
        state = unpack_weights(own["model"], masks)
        assert same(masks, per_layer(dense_weights(machine), wanted))
        rewound = dense_weights(machine, 1)
        assert all(torch.equal(state[name], rewound[name] * mask) for name, mask in masks.items())


def test_rows_have_the_layers_and_sap_its_own_orders(machine):
    run = pruning("sap")
    (row,) = execute(RoundsStage(run, (2,)), machine)[0]["rounds"]
    masks, weights = kept(run, machine)
    left = {name: weights[name][mask] for name, mask in masks.items()}
    assert row["pq_index"] == pytest.approx(pq_index(torch.cat(list(left.values())), 1, 2))
    assert row["pq_index_by_layer"] == pytest.approx({name: pq_index(own, 1, 2) for name, own in left.items()})
    assert row["density_by_layer"] == {name: int(mask.sum()) / mask.numel() for name, mask in masks.items()}


def test_sap_that_can_drop_no_more_trains_on_and_its_limit_does_not_stop_it(machine):
    run = pruning("sap", rounds=1, sap_gamma=1e-9)
    rows, trained = execute(RoundsStage(run, (1, 2, 3)), machine)
    assert [row["density"] for row in rows["rounds"]] == [1, 1, 1]
    assert len({row["pq_index"] for row in rows["rounds"]}) == 3
    assert trained == 6
    with pytest.raises(ValueError, match="sap stopped at density 1 after 0 rounds"):
        execute(PruningStage(run, (0.5,)), machine)  # as if there were no rounds


def test_rounds_beyond_saps_limit_do_not_help_it_to_densities(machine):
    run = pruning("sap", rounds=2)
    (row,) = execute(RoundsStage(run, (4,)), machine)[0]["rounds"]
    with pytest.raises(ValueError, match="after 2 rounds"):
        execute(PruningStage(run, (row["density"],)), machine)


@pytest.mark.parametrize("name", IN_ROUNDS)
def test_later_rounds_go_on_from_earlier_ones(name, machine, tmp_path):
    run = pruning(name)
    whole, _ = execute(RoundsStage(run, (1, 2, 3, 4)), Machine(LocalFolder(tmp_path / "w"), torch.device("cpu")))
    first, _ = execute(RoundsStage(run, (1, 2)), machine)
    rest, trained = execute(RoundsStage(run, (3, 4)), machine)
    assert trained == 2 * run.epochs
    assert values(first["rounds"] + rest["rounds"]) == values(whole["rounds"])
    again, trained = execute(RoundsStage(run, (2, 3)), machine)
    assert trained == 0
    assert again["rounds"] == first["rounds"][1:] + rest["rounds"][:1]


@pytest.mark.parametrize("name", ["lottery", "iterative", "sap", "filter-magnitude"])
def test_rounds_and_densities_share_what_they_trained(name, machine, tmp_path):
    run = pruning(name)
    reference = Machine(LocalFolder(tmp_path / "reference"), torch.device("cpu"))
    rounds, _ = execute(RoundsStage(run, (1, 2, 3, 4)), reference)
    low = 0.2 if run.end else rounds["rounds"][2]["density"] * 0.97
    high = 0.5 if run.end else rounds["rounds"][0]["density"] * 0.97
    alone = Machine(LocalFolder(tmp_path / "alone"), torch.device("cpu"))
    expected, _ = execute(PruningStage(run, (high, low)), alone)

    _, trained = execute(PruningStage(run, (high, low)), reference)  # after rounds that went further
    of = high if run.end else low  # of lower densities than these the state is not past
    assert trained == len(pruned_model(run, of, reference.folder)["state"]["rounds"]) * run.epochs
    before, _ = execute(PruningStage(run, (high, low)), machine)
    again, trained = execute(RoundsStage(run, (1, 2, 3, 4)), machine)  # after densities
    assert trained == (4 - len(before["rounds"])) * run.epochs
    assert values(again["rounds"]) == values(rounds["rounds"])
    for other in (reference, machine):
        for density in (high, low):
            ours, theirs = (pruned_model(run, density, each.folder) for each in (other, alone))
            assert same(ours["model"], theirs["model"])
    assert values(before["pruned"]) == values(expected["pruned"])


def test_densities_go_on_from_rounds_that_stopped_before_them(machine, tmp_path):
    run = pruning("lottery")
    execute(RoundsStage(run, (1, 2)), machine)
    rows, trained = execute(PruningStage(run, (0.45,)), machine)
    assert trained == run.epochs
    expected, _ = execute(PruningStage(run, (0.45,)), Machine(LocalFolder(tmp_path / "alone"), torch.device("cpu")))
    assert {table: values(own) for table, own in rows.items()} == {t: values(own) for t, own in expected.items()}


@pytest.mark.parametrize("name", IN_ROUNDS)
def test_a_kill_after_any_epoch_resumes_value_for_value(name, machine, tmp_path):
    run = pruning(name)
    stage = RoundsStage(run, (1, 2, 3, 4))
    whole, trained = execute(stage, machine)
    killed = Machine(LocalFolder(tmp_path / "killed"), torch.device("cpu"), checkpoint_seconds=0.0)
    finish(stage.needs[0].execute(killed))
    early, kills = {}, 0
    while True:
        execution = stage.execute(killed)
        try:
            while rows := next(execution).rows:
                early |= {row["round"]: row for row in rows["rounds"]}
        except StopIteration as end:
            rows = end.value
            break
        kills += 1
        assert kills <= trained
    assert kills == trained
    assert values(rows["rounds"]) == values(whole["rounds"])
    assert [early[number] for number in (1, 2, 3)] == rows["rounds"][:3]
    assert killed.folder.names("training", ".pt") == []
    assert same(
        artifacts.load(killed.folder, rounds_file(run))["model"],
        artifacts.load(machine.folder, rounds_file(run))["model"],
    )


def test_rounds_after_one_that_diverged_say_so(machine):
    run = pruning("lottery", recipe=replace(RECIPE, lr=1e9))
    stage = RoundsStage(run, (1, 2, 3))
    rows = execute(stage, machine)[0]["rounds"]
    assert [row["status"] for row in rows] == ["diverged"] * 3
    assert {row["message"] for row in rows} == {"loss or weights not finite in epoch 1 of round 1 of pruning"}
    assert rows[0]["density"] == pytest.approx(0.8, abs=2e-3)
    assert all(math.isnan(row[name]) for row in rows[1:] for name in ("density", "pq_index", "test_error"))
    assert all(row["seconds"] == 0 for row in rows[1:])
    again, trained = execute(stage.with_parts([4, 5]), machine)
    assert trained == 0
    assert [row["status"] for row in again["rounds"]] == ["diverged"] * 2
    rows = execute(PruningStage(run, (0.3,)), machine)[0]
    assert [row["status"] for row in rows["rounds"] + rows["pruned"]] == ["diverged"] * 2


def test_a_dense_model_that_diverged_has_no_rounds(machine):
    run = replace(pruning("one-shot"), dense=replace(DENSE, recipe=replace(RECIPE, lr=1e9)))
    rows, trained = execute(RoundsStage(run, (1, 2)), machine)
    assert trained == 0
    assert {(row["status"], row["message"][-18:]) for row in rows["rounds"]} == {("diverged", " of dense training")}


@pytest.mark.parametrize(
    ("run", "rounds", "said"),
    [
        (pruning("filter-magnitude"), (4, 5), "round 5 of filter-magnitude is wanted, which ends after 4"),
        (replace(pruning("filter-bn"), recipe=None), (1,), "round 1 of filter-bn is wanted, which does not train in"),
        (pruning("gradual"), (2,), "round 2 of gradual is wanted, which does not train in rounds"),
        (PruningRun(DENSE, 2, "fisher", PruningSettings()), (1,), "round 1 of fisher is wanted, which does not train"),
        (pruning("lottery"), (0, 1), "round 0 is wanted; rounds count from 1, and the dense model is none"),
    ],
)
def test_rounds_that_there_are_not_are_refused(run, rounds, said):
    with pytest.raises(ValueError, match=said):
        RoundsStage(run, rounds)


def test_what_rounds_cost_is_their_trainings(machine):
    costs = StageCosts(torch.device("cpu"))
    costs._step = lambda run, recipe, models, density: 1.0
    costs.evaluation = lambda run, models, density=1.0: 0.0
    one, three = (RoundsStage(pruning("one-shot"), rounds) for rounds in ((1,), (3,)))
    assert three.seconds(costs) == pytest.approx(3 * one.seconds(costs))
    assert (three.work, PruningStage(three.pruning, (0.1,)).work) == (3 * 2, 0)
    assert PruningStage(three.pruning, (0.1,)).seconds(costs) == 0
    execute(one, machine)
    taken = sum(size for size, _ in machine.folder.files("rounds").values())
    assert one.kept_bytes("siblings") == pytest.approx(taken, rel=0.5)  # of so small a model much is the file's head
