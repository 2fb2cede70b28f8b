"""Pruning methods as stages: what they prune, from where siblings begin, and a kill at any moment."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from metrics.sparsity import density
from trainables.methods.method import Method as AtWork
from trainables.models.smaller import resized
from trainables.pruning import RULES, Method
from trainables.pruning.change import UNKNOWN_CHANGE
from trainables.pruning.magnitude import all_layers, per_layer
from trainables.pruning.packing import unpack_masks, unpack_weights
from trainables.pruning.ranking import highest_of_each
from trainables.pruning.settings import PruningSettings
from trainables.stages import DenseRun, Label, Point, PointStage, PruningRun, PruningStage, finish
from trainables.stages.dense import dense_file
from trainables.stages.machine import Machine, task_of
from trainables.stages.pruning import pruned_file, pruned_model
from trainables.stages.siblings import kept_siblings
from trainables.storage import artifacts
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

NAME = "preresnet8-w0.5"
DENSE = DenseRun("digits", 0.7, NAME, Recipe(epochs=3, batch_size=64, lr=0.05), 1)
SHORT = Recipe(epochs=4, batch_size=64, lr=0.05)
FROZEN = Recipe(epochs=1, batch_size=64, lr=1e-30)
METHODS = [name for name, rule in RULES.items() if isinstance(rule, Method)]
QUICK = {"loss", "lottery", "movement", "filter-magnitude"}
"""One of each kind; the others are alike, and slow."""


def each(names):
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


TRAINING = [name for name in METHODS if RULES[name].trains and not RULES[name].is_at_once]


@pytest.fixture
def machine(tmp_path):
    return Machine(LocalFolder(tmp_path), torch.device("cpu"))


def pruning(pruner, end=0.3, recipe=None, **settings):
    """A short run of a method, as a sweep would make it."""
    method = RULES[pruner]
    fast = {"sap_p": 1.0, "sap_q": 2.0} if pruner == "sap" else {}
    settings = PruningSettings(**({"rounds": 3 if method.is_of_filters else method.rounds} | fast | settings))
    if not method.trains:
        return PruningRun(DENSE, 3, pruner, settings)
    recipe = recipe or (DENSE.recipe if method.trains == "as dense" else SHORT)
    epochs = 1 if method.is_of_filters else 3
    return PruningRun(DENSE, 3, pruner, settings, recipe, epochs, end if method.has_end else None)


def execute(stage, machine):
    """A stage and what it needs."""
    for need in stage.needs:
        execute(need, machine)
    return finish(stage.execute(machine))


def pruned(run, density, machine):
    """State, with zeros, and masks that are kept."""
    kept = pruned_model(run, density, machine.folder)
    masks = unpack_masks(kept["masks"])
    return unpack_weights(kept["model"], masks), masks


def dense(machine, epoch=3):
    return artifacts.load(machine.folder, dense_file(DENSE, epoch))["model"]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_lottery_rewinds_and_its_rounds_drop_a_fifth_each(machine):
    run = pruning("lottery")
    rows = execute(PruningStage(run, (0.8, 0.45)), machine)
    assert [row["round"] for row in rows["rounds"]] == [1, 2, 3]
    assert [row["density"] for row in rows["rounds"]] == pytest.approx([0.8, 0.64, 0.512], abs=1e-3)
    state, masks = pruned(run, 0.8, machine)
    first = dense(machine, 0)
    weights = {name: dense(machine)[name] for name in masks}
    assert same(masks, per_layer(weights, 0.8))  # nothing was trained before
    assert all(torch.equal(state[name], first[name] * mask) for name, mask in masks.items())
    assert same(
        {name: state[name] for name in state if name not in masks}, {n: first[n] for n in state if n not in masks}
    )
    _, fewer = pruned(run, 0.45, machine)
    assert all(not bool((fewer[name] & ~mask).any()) for name, mask in masks.items())
    assert not same(fewer, per_layer(weights, 0.45))
    assert [row["density"] for row in rows["pruned"]] == pytest.approx([0.8, 0.45], abs=1e-3)


def test_the_tickets_last_round_is_a_training_of_the_masked_initial_weights(machine):
    run = pruning("lottery", share=0.5)
    rows = execute(PruningStage(run, (0.25,)), machine)
    (row,) = rows["rounds"]
    kept = pruned_model(run, 0.25, machine.folder)["state"]
    masks, trained = unpack_masks(kept["masks"]), kept["model"]
    assert density(masks) == pytest.approx(0.5, abs=1e-3)
    assert all(bool((trained[name] == 0).eq(~mask).all()) for name, mask in masks.items())
    assert row["train_error"] < 0.9
    magnitudes = {name: torch.where(mask, trained[name].abs(), -1.0) for name, mask in masks.items()}
    assert same(pruned(run, 0.25, machine)[1], highest_of_each(magnitudes, 0.25))


def test_a_later_epoch_can_be_rewound_to(machine):
    run = pruning("lottery", rewind_epoch=2)
    execute(PruningStage(run, (0.5,)), machine)
    state, masks = pruned(run, 0.5, machine)
    assert all(torch.equal(state[name], dense(machine, 2)[name] * mask) for name, mask in masks.items())


def test_iterative_pruning_goes_on_from_the_weights_it_has(machine):
    run = pruning("iterative", scope="global")
    execute(PruningStage(run, (0.8, 0.6)), machine)
    state, masks = pruned(run, 0.8, machine)
    weights = {name: dense(machine)[name] for name in masks}
    assert same(masks, all_layers(weights, 0.8))
    assert all(torch.equal(state[name], weights[name] * mask) for name, mask in masks.items())
    kept = pruned_model(run, 0.6, machine.folder)["state"]["model"]
    assert all(
        torch.equal(pruned(run, 0.6, machine)[0][n], kept[n] * m) for n, m in pruned(run, 0.6, machine)[1].items()
    )


@pytest.mark.parametrize("rewind_epoch", [0, None])
def test_sap_comes_to_a_density_exactly_or_says_where_it_stopped(rewind_epoch, machine):
    run = pruning("sap", rewind_epoch=rewind_epoch)
    rows = execute(PruningStage(run, (0.7, 0.5)), machine)
    assert [row["density"] for row in rows["pruned"]] == pytest.approx([0.7, 0.5], abs=1e-4)
    few = pruning("sap", rounds=1, sap_gamma=0.1)
    with pytest.raises(ValueError, match=r"sap stopped at density 0\.9.* after 1 rounds of training, and 0\.3 is not"):
        execute(PruningStage(few, (0.3,)), machine)


@pytest.mark.parametrize("name", each(METHODS))
def test_what_a_method_prunes_depends_on_no_other_density(name, machine, tmp_path):
    alone = Machine(LocalFolder(tmp_path / "alone"), torch.device("cpu"))
    run = pruning(name)
    execute(PruningStage(run, (0.8, 0.5, 0.3)), machine)
    execute(PruningStage(run, (0.5,)), alone)
    for own, other in zip(pruned(run, 0.5, machine), pruned(run, 0.5, alone), strict=True):
        assert same(own, other)
    execute(PruningStage(run, (0.3,)), alone)  # goes on
    assert same(pruned(run, 0.3, machine)[0], pruned(run, 0.3, alone)[0])
    execute(PruningStage(run, (0.8,)), alone)  # begins anew
    assert same(pruned(run, 0.8, machine)[0], pruned(run, 0.8, alone)[0])


@pytest.mark.parametrize("name", each(TRAINING))
def test_a_kill_in_any_round_resumes_value_for_value(name, machine, tmp_path):
    run = pruning(name)
    stage = PruningStage(run, (0.8, 0.5, 0.3))
    whole = execute(stage, machine)
    killed = Machine(LocalFolder(tmp_path / "killed"), torch.device("cpu"), checkpoint_seconds=0.0)
    execute(stage.needs[0], killed)
    kills = 0
    while True:
        execution = stage.execute(killed)
        try:
            while "pruned" in next(execution).rows:  # a density that is kept
                pass
        except StopIteration as end:
            rows = end.value
            break
        kills += 1
        assert kills < 100
    assert kills >= 2
    for table, own in whole.items():
        assert [{k: v for k, v in row.items() if k != "seconds"} for row in own] == [
            {k: v for k, v in row.items() if k != "seconds"} for row in rows[table]
        ]
    for wanted in stage.densities:
        assert same(pruned(run, wanted, machine)[0], pruned(run, wanted, killed)[0])
    assert killed.folder.names("training", ".pt") == []


@pytest.mark.parametrize("name", ["lottery", "sap", "filter-magnitude", "gradual"])
def test_a_density_that_is_wanted_after_a_run_was_killed_on_its_way_to_a_lower_one(name, machine, tmp_path):
    run = pruning(name)
    execute(PruningStage(run, (0.9, 0.6)), machine)
    killed = Machine(LocalFolder(tmp_path / "killed"), torch.device("cpu"), checkpoint_seconds=0.0)
    execute(PruningStage(run, (0.9,)), killed)
    towards = PruningStage(run, (0.3,)).execute(killed)
    epochs = [next(towards).epochs for _ in range({"gradual": 2, "filter-magnitude": 2}.get(name, 8))]
    assert epochs == sorted(set(epochs))  # of all rounds
    towards.close()
    execute(PruningStage(run, (0.6,)), killed)
    for own, other in zip(pruned(run, 0.6, machine), pruned(run, 0.6, killed), strict=True):
        assert same(own, other)


@pytest.mark.parametrize("name", METHODS)
def test_how_far_it_is_is_a_share(name, machine):
    """Also of methods that are done at once, at every density that they give."""
    run = pruning(name, rounds=1) if RULES[name].is_of_filters else pruning(name)
    run = replace(run, recipe=None, epochs=0, end=None) if RULES[name].is_of_filters else run
    stage = PruningStage(run, (0.9, 0.8))
    execute(stage.needs[0], machine)
    told = [(progress.epochs, progress.of) for progress in stage.execute(machine)]
    assert told
    assert all(0 <= epochs / of <= 1 for epochs, of in told)


@pytest.mark.parametrize("name", each(METHODS))
def test_siblings_begin_with_the_pruned_model(name, machine):
    run = pruning(name)
    stage = PointStage(Point(DENSE, 3, 0.5, name, FROZEN, run), (1, 2), Label("epochs", 3, "density", 0.5))
    rows = execute(stage, machine)
    state, masks = pruned(run, 0.5, machine)
    for sibling in kept_siblings(machine.folder, stage.key).values():
        assert same(sibling["masks"], masks)
        weights = {name: sibling["model"][name] for name in state if name.endswith("weight")}
        assert all(torch.allclose(weights[name], state[name], atol=1e-6) for name in weights)
    row = rows["runs"][0]
    assert row["status"] == "ok"
    kept = pruned_model(run, 0.5, machine.folder)["columns"]
    assert row["density"] == kept["density"]
    assert row["pq_index"] == pytest.approx(kept["pq_index"], abs=1e-6)
    assert row["density_by_layer"] == kept["density_by_layer"]


@pytest.mark.parametrize("name", ["lottery", "gradual"])
def test_a_method_that_diverges_has_rows_that_say_so_and_so_have_its_points(name, machine):
    run = pruning(name, recipe=Recipe(epochs=3, batch_size=64, lr=1e9))
    rows = execute(PruningStage(run, (0.9, 0.3)), machine)
    assert [row["status"] for row in rows["pruned"]][-1] == "diverged"
    assert "not finite in epoch 1" in rows["pruned"][-1]["message"]
    stage = PointStage(Point(DENSE, 3, 0.3, name, FROZEN, run), (1, 2), Label("epochs", 3, "density", 0.3))
    rows = execute(stage, machine)
    assert {row["status"] for row in rows["runs"]} == {"diverged"}
    assert rows["runs"][0]["message"] == rows["runs"][1]["message"] != ""


def test_a_dense_model_that_diverged_is_not_pruned(machine):
    diverging = replace(DENSE, recipe=replace(DENSE.recipe, lr=1e9))
    run = replace(pruning("lottery"), dense=diverging)
    rows = execute(PruningStage(run, (0.5,)), machine)
    assert rows["pruned"][0]["message"].endswith("of dense training")


def loss_and_gradient_norm(machine, state):
    """Of a plain model with these weights, of the whole sample at once."""
    task = task_of(DENSE, machine)
    model = resized(task.model(NAME), state).eval()
    model.load_state_dict(state)
    sample = task.split("train").balanced(2560)
    (images,) = sample.batches(len(sample))
    loss = F.cross_entropy(model(images), sample.labels)
    loss.backward()
    return loss.item(), torch.cat([each.grad.flatten() for each in model.parameters()]).norm().item()


def check_change(row, machine, before, after):
    """A row says how loss and norm of the gradient differ between two models."""
    for when, state in (("before", before), ("after", after)):
        loss, norm = loss_and_gradient_norm(machine, state)
        assert row[f"loss_{when}"] == pytest.approx(loss, rel=1e-4)
        assert row[f"gradient_norm_{when}"] == pytest.approx(norm, rel=1e-3)


def masked(state, masks):
    return dict(state) | {name: state[name] * mask for name, mask in masks.items()}


def test_what_pruning_at_once_changes_is_the_dense_models_loss_and_gradient(machine):
    run = pruning("loss")
    first, second = execute(PruningStage(run, (0.6, 0.2)), machine)["pruned"]
    check_change(first, machine, dense(machine), pruned(run, 0.6, machine)[0])
    check_change(second, machine, dense(machine), pruned(run, 0.2, machine)[0])
    assert first["loss_before"] == second["loss_before"] < first["loss_after"] < second["loss_after"]


def test_what_a_round_changes_is_of_the_model_it_trained_not_of_the_rewound_one(machine):
    run = pruning("lottery")
    first, second = execute(PruningStage(run, (0.8, 0.6)), machine)["pruned"]
    check_change(first, machine, dense(machine), masked(dense(machine), pruned(run, 0.8, machine)[1]))
    state, masks = pruned(run, 0.6, machine)
    trained = pruned_model(run, 0.6, machine.folder)["state"]["model"]
    check_change(second, machine, trained, masked(trained, masks))
    assert loss_and_gradient_norm(machine, state)[0] != pytest.approx(second["loss_after"], rel=0.01)


def test_what_removing_filters_in_rounds_changes_is_of_the_smaller_model(machine):
    run = pruning("filter-magnitude")
    (row,) = execute(PruningStage(run, (0.3,)), machine)["pruned"]
    trained = pruned_model(run, 0.3, machine.folder)["state"]["model"]
    assert trained["conv.weight"].numel() < dense(machine)["conv.weight"].numel()
    check_change(row, machine, trained, pruned(run, 0.3, machine)[0])


@pytest.mark.parametrize("name", ["gradual", "feedback"])
def test_masks_that_move_change_what_they_had_not_dropped_yet(name, machine):
    run = pruning(name)
    first, last = execute(PruningStage(run, (0.5, 0.3)), machine)["pruned"]
    attempt = pruned_model(run, 0.5, machine.folder)["state"]["attempt"]["training"]
    state, masks = pruned(run, 0.5, machine)
    now = dict(zip(masks, attempt["masks"]["masks"], strict=True))
    assert density(now) > density(masks)
    check_change(first, machine, masked(attempt["models"][0], now), state)
    assert last["loss_before"] == last["loss_after"]
    assert last["gradient_norm_before"] == last["gradient_norm_after"] > 0


def test_of_a_model_that_diverged_and_in_an_older_artifact_no_change_is_known(machine):
    run = pruning("lottery", recipe=Recipe(epochs=3, batch_size=64, lr=1e9))
    row = execute(PruningStage(run, (0.3,)), machine)["pruned"][0]
    assert all(math.isnan(row[name]) for name in UNKNOWN_CHANGE)
    run = pruning("loss")
    execute(PruningStage(run, (0.5,)), machine)
    kept = pruned_model(run, 0.5, machine.folder)
    kept["columns"] = {name: value for name, value in kept["columns"].items() if name not in UNKNOWN_CHANGE}
    artifacts.save(machine.folder, pruned_file(run, 0.5), kept)
    (row,) = execute(PruningStage(run, (0.5,)), machine)["pruned"]
    assert row["status"] == "ok"
    assert not row.keys() & UNKNOWN_CHANGE.keys()


def test_every_method_of_the_registry_is_a_class_of_methods():
    for name in METHODS:
        assert issubclass(RULES[name].function, AtWork)
