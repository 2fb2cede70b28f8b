"""Curves between dense models: what training does to a bend, alone and in a stack, killed and continued."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
import torch

from metrics.connectivity import bezier, interpolate, linear_mode_connectivity
from trainables.stages import ConnectionStage, DenseRun, MeasurementSettings, finish
from trainables.stages.curves import curve_file, curve_training, kept_curve
from trainables.stages.dense import dense_file, dense_model
from trainables.stages.machine import Machine, task_of
from trainables.storage import artifacts
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

SETTINGS = MeasurementSettings(path_points=5, cka_images=200)
CURVE = Recipe(epochs=3, batch_size=64, lr=0.02, weight_decay=5e-3, schedule="constant-linear")
RUN = DenseRun("digits", 0.7, "preresnet8-w0.25", Recipe(epochs=2, batch_size=64, lr=0.05), 1)
NUMBERS = ("mc", "line_mc", "cka")


def stage(run=RUN, seeds=(1, 2, 3), curve=CURVE, epoch=2):
    return ConnectionStage.of([replace(run, seed=seed) for seed in seeds], epoch, curve, SETTINGS)


def machine_at(folder, checkpoint_seconds=30.0):
    return Machine(LocalFolder(folder), torch.device("cpu"), checkpoint_seconds)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with dense models of three seeds."""
    folder = tmp_path_factory.mktemp("artifacts")
    for need in stage().needs:
        finish(need.execute(machine_at(folder)))
    return folder


@pytest.fixture
def machine(trained, tmp_path):
    """A machine with a folder of its own that has these models."""
    own = machine_at(tmp_path / "artifacts")
    for need in stage().needs:
        kept = dense_model(need.run, 2, machine_at(trained).folder)
        artifacts.save(own.folder, dense_file(need.run, 2), kept)
    return own


def execute(wanted, machine):
    return {(row["first_seed"], row["second_seed"]): row for row in finish(wanted.execute(machine))["connections"]}


def numbers(row):
    return {name: value for name, value in row.items() if name != "seconds"}


def test_models_are_connected_in_a_ring_each_pair_once():
    assert stage(seeds=(1, 2)).pairs == ((1, 2),)
    assert stage(seeds=(3, 1, 2)).pairs == ((1, 2), (1, 3), (2, 3))
    assert stage(seeds=(5, 1, 2, 4, 3)).pairs == ((1, 2), (1, 5), (2, 3), (3, 4), (4, 5))


def test_more_seeds_keep_the_curves_of_fewer():
    assert stage(seeds=(1, 2)).key == stage(seeds=(1, 2, 3)).key
    assert stage(epoch=1).key != stage().key != stage(curve=replace(CURVE, epochs=4)).key


def test_a_row_has_both_paths_their_budget_and_the_similarity(machine):
    wanted = stage()
    rows = execute(wanted, machine)
    assert list(rows) == list(wanted.pairs)
    for row in rows.values():
        assert row["status"] == "ok"
        assert all(len(row[f"{path}_{what}"]) == 5 for path in ("curve", "line") for what in ("errors", "losses"))
        assert row["mc"] == linear_mode_connectivity(row["curve_errors"])
        assert row["line_mc"] == linear_mode_connectivity(row["line_errors"])
        assert [row["curve_errors"][end] for end in (0, -1)] == [row["line_errors"][end] for end in (0, -1)]
        assert 0 < row["cka"] < 1
        assert len(row["losses"]) == CURVE.epochs
        assert all(0 < loss < 4 for loss in row["losses"])
    common = wanted.common_columns()
    assert (common["curve_epochs"], common["curve_lr"], common["curve_batch_size"]) == (3, 0.02, 64)
    assert common["curve_start"] == "middle"


def test_a_gradient_is_that_of_loss_and_penalty_at_a_position_of_the_curve(machine):
    """The first step, against autograd through the formula of the curve."""
    states = {seed: dense_model(replace(RUN, seed=seed), 2, machine.folder)["model"] for seed in (1, 2)}
    plain = replace(CURVE, momentum=0.0, epochs=1, schedule="constant")
    wanted = stage(seeds=(1, 2), curve=plain)
    training = curve_training(wanted.connected, [(1, 2)], states, machine)
    before = training.stack.states()[0]
    task = task_of(RUN, machine)
    batch = next(iter(task.batches([torch.Generator().manual_seed(7)], 64)))
    training.try_on([batch])
    after = training.stack.states()[0]

    from trainables.tasks.random_numbers import random_stream

    t = float(torch.rand((), generator=random_stream("position", 1, 2, 0)))
    model = task.stack(RUN.model, 1)
    weights = {name for name, _ in model.module.named_parameters()}
    bend = {name: tensor.clone().requires_grad_(name in weights) for name, tensor in before.items()}
    there = {name: (1 - t) ** 2 * states[1][name] + 2 * t * (1 - t) * bend[name] + t**2 * states[2][name]
             for name in weights}  # fmt: skip
    outputs = torch.func.functional_call(model.train(), {f"module.{n}": w for n, w in there.items()}, (batch.inputs,))
    loss = torch.nn.functional.cross_entropy(outputs[0], batch.targets[0])
    penalty = sum(weight.square().sum() for weight in there.values()) * plain.weight_decay / 2
    (loss + penalty).backward()
    for name in weights:
        expected = bend[name] - plain.lr * bend[name].grad
        assert torch.allclose(after[name], expected, atol=1e-6), name


def test_a_curve_in_a_stack_of_three_equals_the_curve_alone(machine, tmp_path, trained):
    together = execute(stage(), machine)
    bends = {pair: kept_curve(stage().connected.key, pair, machine.folder)["bend"] for pair in together}
    for pair in stage().pairs:
        machine.folder.delete(f"curves/{stage().connected.key}/{pair[0]}-{pair[1]}.pt")
    for pair in stage().pairs:
        alone = execute(stage().with_parts([pair]), machine)[pair]
        bend = kept_curve(stage().connected.key, pair, machine.folder)["bend"]
        moved = {name: bend[name] - bends[pair][name] for name in bend if bend[name].is_floating_point()}
        assert max(float(own.abs().max()) for name, own in moved.items() if "running" not in name) < 2e-3
        assert alone["losses"] == pytest.approx(together[pair]["losses"], rel=1e-3)
        assert alone["mc"] == pytest.approx(together[pair]["mc"], abs=0.02)


@pytest.mark.parametrize("after", [1, 2])
def test_a_curve_that_is_stopped_and_continued_is_the_same_to_the_last_bit(after, machine, tmp_path, trained):
    wanted = stage()
    whole = execute(wanted, machine)
    key = wanted.connected.key
    bends = {pair: kept_curve(key, pair, machine.folder)["bend"] for pair in wanted.pairs}
    for pair in wanted.pairs:
        machine.folder.delete(f"curves/{key}/{pair[0]}-{pair[1]}.pt")
    begun = wanted.execute(machine)
    for _ in range(after):
        next(begun)
    begun.close()
    again = execute(wanted, machine)
    for pair in wanted.pairs:
        assert numbers(again[pair]) == numbers(whole[pair])
        bend = kept_curve(key, pair, machine.folder)["bend"]
        assert all(torch.equal(bend[name], bends[pair][name]) for name in bend)


def test_curves_of_a_stack_of_which_some_were_saved_are_the_same_to_the_last_bit(machine):
    """As after a full disk, or kill -9, between the files of a stack."""
    wanted = stage()
    whole = execute(wanted, machine)
    machine.folder.delete(curve_file(wanted.connected.key, (2, 3)))
    again = execute(wanted, machine)
    assert {pair: numbers(row) for pair, row in again.items()} == {pair: numbers(row) for pair, row in whole.items()}
    assert not machine.folder.files("training")


def test_a_curve_between_other_models_than_there_are_now_is_trained_again(machine):
    """Dense models that were made again elsewhere have other numbers, and the bend is of the former ones."""
    wanted = stage(seeds=(1, 2))
    first = execute(wanted, machine)[1, 2]
    file = dense_file(replace(RUN, seed=2), 2)
    kept = artifacts.load(machine.folder, file)
    kept["model"] = {name: 1.5 * t if t.is_floating_point() else t for name, t in kept["model"].items()}
    artifacts.save(machine.folder, file, kept)
    again = execute(wanted, machine)[1, 2]
    assert again["losses"] != first["losses"]
    assert list(wanted.execute(machine)) == []  # and that one is kept


def test_other_settings_measure_the_same_curves_again_and_train_nothing(machine):
    first = execute(stage(), machine)
    finer = replace(stage(), settings=replace(SETTINGS, path_points=9))
    told = list(finer.execute(machine))
    assert told == []
    rows = execute(finer, machine)
    assert finer.key != stage().key
    for pair, row in rows.items():
        assert row["curve_errors"][::2] == first[pair]["curve_errors"]
        assert row["losses"] == first[pair]["losses"]


def test_batch_norm_is_estimated_anew_at_every_position_of_a_curve(machine):
    """Errors on the curve are those of models whose statistics were thrown away."""
    from metrics.connectivity import reestimate_batch_norm

    row = execute(stage(seeds=(1, 2)), machine)[1, 2]
    states = [dense_model(replace(RUN, seed=seed), 2, machine.folder)["model"] for seed in (1, 2)]
    bend = kept_curve(stage().connected.key, (1, 2), machine.folder)["bend"]
    task = task_of(RUN, machine)
    for position, error in zip((0.0, 0.25, 0.5, 0.75, 1.0), row["curve_errors"], strict=True):
        state = bezier(states[0], bend, states[1], position)
        for name, tensor in state.items():
            if "running" in name:
                state[name] = torch.full_like(tensor, 100.0)
        stack = task.stack(RUN.model, 1)
        stack.load([state])
        reestimate_batch_norm(stack, task.statistics_inputs(1, 64))
        assert task.errors(stack, "train")[0] == pytest.approx(error, abs=1 / 389)


def test_a_bend_begins_in_the_middle_of_the_line(machine):
    states = {seed: dense_model(replace(RUN, seed=seed), 2, machine.folder)["model"] for seed in (1, 2, 3)}
    pairs = list(combinations((1, 2, 3), 2))
    training = curve_training(stage().connected, pairs, states, machine)
    for (first, second), state in zip(pairs, training.stack.states(), strict=True):
        middle = interpolate(states[first], states[second], 0.5)
        assert all(torch.equal(state[name], middle[name]) for name in middle)


def test_models_one_after_the_other_have_curves_too(tmp_path):
    """Of an architecture whose models cannot be grouped: the same code, another kind of stack."""
    run = replace(RUN, model="mlp16")
    machine = machine_at(tmp_path)
    wanted = ConnectionStage.of([replace(run, seed=seed) for seed in (1, 2)], 2, CURVE, SETTINGS)
    for need in wanted.needs:
        finish(need.execute(machine))
    row = execute(wanted, machine)[1, 2]
    assert row["status"] == "ok"
    assert row["losses"][-1] < row["losses"][0]


def test_a_dense_model_that_diverged_has_no_curve_and_the_others_do(tmp_path, machine):
    kept = dense_model(replace(RUN, seed=3), 2, machine.folder)
    kept["attempt"]["training"]["diverged"] = [2]
    artifacts.save(machine.folder, dense_file(replace(RUN, seed=3), 2), kept)
    rows = execute(stage(), machine)
    assert {pair: row["status"] for pair, row in rows.items()} == {
        (1, 2): "ok",
        (1, 3): "diverged",
        (2, 3): "diverged",
    }
    assert math.isnan(rows[1, 3]["mc"])
    assert "dense training" in rows[1, 3]["message"]


def test_a_curve_that_diverges_says_so(machine):
    rows = execute(stage(seeds=(1, 2), curve=replace(CURVE, lr=1e30)), machine)
    assert rows[1, 2]["status"] == "diverged"
    assert "a curve's training" in rows[1, 2]["message"]
    assert all(math.isnan(rows[1, 2][name]) for name in NUMBERS)
    assert len(rows[1, 2]["losses"]) >= 1


def test_curves_go_where_nothing_is_kept(machine):
    wanted = stage(seeds=(1, 2))
    execute(wanted, machine)
    wanted.discard(machine)
    assert kept_curve(wanted.connected.key, (1, 2), machine.folder)
    wanted.discard(replace(machine, keep="nothing"))
    assert not kept_curve(wanted.connected.key, (1, 2), machine.folder)


@pytest.mark.slow
def test_a_curve_finds_a_way_around_a_barrier_on_the_line(tmp_path):
    """Digits, wide and cold: the line has a barrier below -0.3, the curve none below -0.05."""
    run = DenseRun("digits", 0.1, "preresnet8", Recipe(epochs=20, batch_size=32, lr=0.1, weight_decay=5e-3), 1)
    curve = Recipe(epochs=10, batch_size=128, lr=0.01, weight_decay=5e-3, schedule="constant-linear")
    machine = machine_at(tmp_path)
    wanted = ConnectionStage.of([replace(run, seed=seed) for seed in (1, 2)], 20, curve, SETTINGS)
    for need in wanted.needs:
        finish(need.execute(machine))
    row = execute(wanted, machine)[1, 2]
    assert row["line_mc"] < -0.3
    assert row["mc"] > -0.05
