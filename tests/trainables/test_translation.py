"""Learning to translate: that a language is learned, that padding and company change nothing, and that it resumes."""

import math
import shutil
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from toy_text import MODEL, RECIPE, toy, toy_task

from metrics.bleu import bleu
from trainables.data.text.vocabulary import BEGIN, END, PADDING
from trainables.models.transformer import Transformer
from trainables.pruning.prunable import prunable_weights, random_masks
from trainables.stages import DenseRun, DenseStage, Label, Point, PointStage, finish
from trainables.stages.dense import dense_file
from trainables.stages.machine import Machine
from trainables.storage import artifacts
from trainables.storage.local_folder import LocalFolder
from trainables.tasks.random_numbers import random_stream
from trainables.tasks.translation import task as translation
from trainables.training import resumable
from trainables.training.resumable import ResumableTraining
from trainables.training.training import Training

CPU = torch.device("cpu")
SHORT = replace(RECIPE, epochs=4)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return toy_task(tmp_path_factory.mktemp("toy"), train=150, valid=20, test=30)


@pytest.fixture
def without_dropout(task, monkeypatch):
    size = task._data.vocabulary.size
    monkeypatch.setattr(task, "model", lambda name: Transformer(1, 32, 2, size, dropout=0.0))
    monkeypatch.setattr(task, "_makers", {})
    return task


def stack_of(task, models=1, seed=0):
    """Models of different weights, large enough for padding to be seen."""
    torch.manual_seed(seed)
    stack = task.stack(MODEL, models)
    with torch.no_grad():
        for weight in stack.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return stack.eval()


def training(task, seeds=(1, 2), recipe=SHORT, masks=None):
    torch.manual_seed(0)
    return Training(task.stack(MODEL, len(seeds)), recipe, task, [("retrain", seed) for seed in seeds], masks)


def pairs_of(task, split, count=None):
    """Source and target of each pair, one by one, as lists of tokens, in the order of the split."""
    own = task.split(split).pairs
    return [
        [side.tokens[side.starts[place] : side.starts[place + 1]].tolist() for side in (own.source, own.target)]
        for place in range(len(own) if count is None else min(count, len(own)))
    ]


@torch.no_grad()
def one_by_one(model, pairs):
    """Wrong next tokens, their loss, and how many there are, of each pair by itself: float64, shape (pairs, 3)."""
    rows = []
    for source, target in pairs:
        logits = model(torch.tensor([source]), torch.tensor([target[:-1]]))[0].double()
        chances = logits.softmax(-1)
        wrong = loss = 0.0
        for position, token in enumerate(target[1:]):
            wrong += int(chances[position].argmax()) != token
            loss -= math.log(chances[position, token])
        rows.append([wrong, loss, len(target) - 1])
    return torch.tensor(rows, dtype=torch.float64)


def same(ours, theirs):
    assert len(ours) == len(theirs)
    return all(
        torch.equal(mine[name], tensor)
        for mine, other in zip(ours, theirs, strict=True)
        for name, tensor in other.items()
    )


def test_a_language_is_learned_to_no_errors(tmp_path):
    task = toy_task(tmp_path)
    learning = training(task, seeds=(1,), recipe=replace(RECIPE, schedule="cosine"))
    for _ in range(RECIPE.epochs):
        learning.run_epoch()
    assert task.errors(learning.stack, "test") == [0.0]
    assert task.errors(learning.stack, "train")[0] < 0.01
    assert task.scores(learning.stack)[0]["bleu"] == pytest.approx(100)


def test_padding_changes_nothing(task):
    """Of source and target, of a pair that is alone, and beside longer ones."""
    model = next(stack_of(task).module.children())
    split = task.split("train")
    lengths = split.lengths
    shortest, longest = (int(which(lengths.sum(1))) for which in (np.argmin, np.argmax))
    assert (lengths[longest] > lengths[shortest]).all()
    alone = split.padded(torch.tensor([shortest]))
    beside = split.padded(torch.tensor([longest, shortest]))
    assert (beside.source[1] == PADDING).sum() == lengths[longest, 0] - lengths[shortest, 0] > 0
    with torch.no_grad():
        own = model(*alone.inputs)[0]
        padded = model(*beside.inputs)[1]
    assert torch.allclose(padded[: len(own)], own, atol=1e-5)
    assert len(padded) > len(own)


def test_a_batch_has_what_its_sentences_have(task):
    split = task.split("train")
    index = torch.tensor([5, 0, 17])
    padded = split.padded(index)
    pairs = pairs_of(task, "train")
    for row, place in enumerate(index.tolist()):
        source, target = pairs[place]
        assert (source[-1], target[0], target[-1]) == (END, BEGIN, END)
        assert padded.source[row, : len(source)].tolist() == source
        assert padded.target[row, : len(target)].tolist() == target
        assert not padded.source[row, len(source) :].any()
        assert not padded.target[row, len(target) :].any()
        assert padded.next_tokens[row, : len(target) - 1].tolist() == target[1:]
    assert padded.inputs[1].shape == padded.next_tokens.shape


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_errors_and_losses_are_those_of_a_loop_over_sentences(at_once, task, monkeypatch):
    monkeypatch.setattr(translation, "MEASURED_PAIRS", 23)
    stack = stack_of(task, 2)
    stack.samples_at_once = at_once
    for split, count in (("train", 23), ("validation", 20), ("test", 30)):
        evaluation = task.evaluation(stack, split)
        for index, model in enumerate(stack.module.children()):
            rows = one_by_one(model, pairs_of(task, split, count))
            assert len(rows) == count
            wrong, loss, tokens = rows.sum(0).tolist()
            assert evaluation.errors[index] == wrong / tokens
            assert evaluation.losses[index] == pytest.approx(loss / tokens, rel=1e-5)
        assert 0 < evaluation.errors[0] != evaluation.errors[1] < 1
    assert stack.samples_at_once == at_once


def test_the_loss_of_a_step_is_the_mean_over_the_tokens_of_its_batch(without_dropout):
    task = without_dropout
    stack = stack_of(task, 2).train()
    [batch, *_] = task.batches([random_stream("a"), random_stream("b")], 200)
    losses = task.losses(stack, batch)
    assert losses.requires_grad
    for index, model in enumerate(stack.module.children()):
        sources, expected = batch.inputs[index][0], batch.targets[index]
        pairs = [
            [source[source != PADDING].tolist(), [BEGIN, *own[own != PADDING].tolist()]]
            for source, own in zip(sources, expected, strict=True)
        ]
        _, loss, tokens = one_by_one(model, pairs).sum(0).tolist()
        assert tokens == int((batch.targets[index] != PADDING).sum())
        assert float(losses[index].detach()) == pytest.approx(loss / tokens, rel=1e-5)


def test_a_smoothed_loss_leaves_padding_out(without_dropout):
    task = without_dropout
    stack = stack_of(task)
    padded = task.split("train").padded(torch.arange(9))
    [batch, *_] = task.batches([random_stream("a")], 200)
    batch = replace(batch, inputs=[padded.inputs], targets=[padded.next_tokens])
    logits = stack([padded.inputs])[0]
    there = padded.next_tokens != PADDING
    assert not there.all()
    chances = logits[there].log_softmax(-1)
    of_each = 0.9 * chances[torch.arange(len(chances)), padded.next_tokens[there]] + 0.1 * chances.mean(-1)
    smoothed = task.losses(stack, batch, label_smoothing=0.1)
    assert float(smoothed[0].detach()) == pytest.approx(-float(of_each.mean().detach()), rel=1e-5)


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_parts_of_the_loss_add_up_to_the_mean_over_tokens(at_once, task):
    model = next(stack_of(task).module.children())
    parts = list(task.loss_parts(model, 23, at_once))
    assert len(parts) == math.ceil(23 / at_once)
    _, loss, tokens = one_by_one(model, pairs_of(task, "train", 23)).sum(0).tolist()
    assert float(sum(parts).detach()) == pytest.approx(loss / tokens, rel=1e-5)
    own = one_by_one(model, pairs_of(task, "train", at_once)[:23]).sum(0).tolist()
    assert float(parts[0].detach()) == pytest.approx(own[1] / tokens, rel=1e-5)


def test_bleu_is_of_the_translations_in_their_order(task):
    learning = training(task, seeds=(1, 2), recipe=replace(RECIPE, epochs=6))
    for _ in range(6):
        learning.run_epoch()
    scores = task.scores(learning.stack)
    for index, model in enumerate(learning.stack.module.children()):
        for split, name in (("test", "bleu"), ("validation", "validation_bleu")):
            said = []
            for source, _ in pairs_of(task, split):
                tokens, most = [BEGIN], 2 * len(source) + 10  # where one goes on without end it is cut
                while len(tokens) <= most and tokens[-1] != END:
                    with torch.no_grad():
                        logits = model.eval()(torch.tensor([source]), torch.tensor([tokens]))[0, -1]
                    logits[[PADDING, BEGIN]] = -math.inf
                    tokens.append(int(logits.argmax()))
                said.append(tokens)
            texts = task._data.vocabulary.decode([[token for token in row if token != END] for row in said])
            expected = bleu(texts, task.split(split).pairs.references).score
            assert scores[index][name] == pytest.approx(expected, abs=1e-9)
            assert 0 < expected < 100
        assert "decoding:greedy" in scores[index]["bleu_signature"]


def test_what_diverged_has_no_number(task):
    stack = stack_of(task, 2)
    with torch.no_grad():
        next(stack.module.children()).output.weight[5] = math.nan
    evaluation = task.evaluation(stack, "test")
    assert [math.isnan(value) for value in (*evaluation.errors, *evaluation.losses)] == [True, False, True, False]
    assert [math.isnan(scores["bleu"]) for scores in task.scores(stack)] == [True, False]


def test_a_split_without_pairs_has_no_number(tmp_path):
    task = toy_task(tmp_path, train=30, valid=0, test=5)
    stack = stack_of(task)
    assert math.isnan(task.errors(stack, "validation")[0])
    assert math.isnan(task.scores(stack)[0]["validation_bleu"])
    assert task.scores(stack)[0]["bleu"] >= 0


def epoch_of(task, streams, tokens=128):
    """Batches of an epoch: for each, of each model, the numbers of the pairs."""
    split = task.split("train")
    return list(zip(*(split.shuffled(stream, tokens) for stream in streams), strict=True))


def test_every_pair_is_in_an_epoch_once_and_no_batch_beyond_its_tokens(task):
    split = task.split("train")
    for tokens in (1, 8, 50, 128, 10_000):
        epoch = [own for (own,) in epoch_of(task, [random_stream("x", 1)], tokens)]
        assert sorted(torch.cat(epoch).tolist()) == list(range(150))
        assert len(epoch) == task.steps_per_epoch(tokens) == task.steps_per_epoch(tokens, drop_last=True)
        for own in epoch:
            padded = split.padded(own)
            widest = max(padded.source.shape[1], padded.target.shape[1])
            assert len(own) * widest <= tokens or len(own) == 1
    assert len(epoch) == 1


def test_batches_have_the_same_sizes_whatever_the_seed_and_another_order(task):
    sizes, orders, contents = [], [], []
    for names in (("x", 1, 0), ("x", 2, 0), ("x", 1, 1)):
        epoch = [own for (own,) in epoch_of(task, [random_stream(*names)])]
        sizes.append(sorted(map(len, epoch)))
        orders.append([len(own) for own in epoch])
        contents.append({frozenset(own.tolist()) for own in epoch})
    assert sizes[0] == sizes[1] == sizes[2]
    assert orders[0] != orders[1] and orders[0] != orders[2]  # noqa: PT018
    assert contents[0] != contents[1] and contents[0] != contents[2]  # noqa: PT018


def test_what_a_sibling_sees_does_not_depend_on_the_others(task):
    def seen(seeds, epoch=0):
        streams = [random_stream("retrain", seed, epoch) for seed in seeds]
        return [(batch.inputs, batch.targets) for batch in task.batches(streams, 128)]

    alone = {seed: seen([seed]) for seed in (1, 2, 3)}
    assert len(alone[1]) == task.steps_per_epoch(128)
    for seeds in ([1, 2], [3, 1, 2]):
        for step, (inputs, targets) in enumerate(seen(seeds)):
            for index, seed in enumerate(seeds):
                own = alone[seed][step]
                assert all(map(torch.equal, inputs[index], own[0][0]))
                assert torch.equal(targets[index], own[1][0])
    assert [targets[0].shape for _, targets in alone[1]] != [targets[0].shape for _, targets in alone[2]]


def test_what_a_sibling_becomes_does_not_depend_on_the_others(without_dropout):
    states = {}
    for seeds in ((1,), (1, 2), (3, 1, 2)):
        learning = training(without_dropout, seeds)
        for _ in range(2):
            learning.run_epoch()
        states[seeds] = dict(zip(seeds, zip(learning.stack.states(), learning.losses, strict=True), strict=True))
    alone = states[1,][1]
    for seeds in ((1, 2), (3, 1, 2)):
        assert states[seeds][1][1] == pytest.approx(alone[1], rel=1e-6)
        for name, tensor in states[seeds][1][0].items():
            assert torch.allclose(tensor, alone[0][name], atol=1e-6), name
    assert not same([states[1, 2][1][0]], [states[1, 2][2][0]])
    assert not torch.allclose(states[1, 2][1][0]["output.weight"], states[1, 2][2][0]["output.weight"], atol=1e-3)


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("models", [1, 2])
def test_a_training_that_was_killed_goes_on_value_for_value(models, stop, task, tmp_path, monkeypatch):
    """With dropout, and every order of batches that of a training that runs through."""
    monkeypatch.setattr(resumable, "SAVING_SHARE", math.inf)
    seeds = tuple(range(1, models + 1))
    shapes = []
    batches = task.batches
    monkeypatch.setattr(
        task, "batches", lambda *given, **how: (shapes.append(each) or each for each in batches(*given, **how))
    )

    def begin(name):
        return ResumableTraining(training(task, seeds), LocalFolder(tmp_path / name), "half.pt", 0.0)

    straight = begin("straight")
    list(straight.run(4, evaluate_from=1))
    through, shapes[:] = list(shapes), []
    list(islice(begin("first").run(4, evaluate_from=1), stop))
    shutil.copytree(tmp_path / "first", tmp_path / "again")
    again = begin("again")
    assert [progress.epochs for progress in again.run(4, evaluate_from=1)] == list(range(stop + 1, 5))
    assert same(again.training.stack.states(), straight.training.stack.states())
    assert (again.losses, again.test_errors) == (straight.losses, straight.test_errors)
    assert len(shapes) == len(through) == 4 * task.steps_per_epoch(128)
    for ours, theirs in zip(shapes, through, strict=True):
        assert all(map(torch.equal, ours.targets, theirs.targets))


def test_dropout_draws_anew_in_each_epoch_and_for_each_seed(task):
    """The same weights and pairs twice: only dropout and the order tell trainings apart."""
    first, again, other = (training(task, (seed,)) for seed in (1, 1, 2))
    for each in (first, again, other):
        each.run_epoch()
    assert same(first.stack.states(), again.stack.states())
    assert not same(first.stack.states(), other.stack.states())


def test_stages_that_were_killed_end_as_those_that_ran_through(tmp_path, monkeypatch):
    """Dense training and retraining, each stopped after every epoch that it might be."""
    monkeypatch.setattr(resumable, "SAVING_SHARE", math.inf)
    name = toy(tmp_path / "toy", train=80, valid=10, test=10)
    dense = DenseRun(name, 0.0, MODEL, replace(SHORT, epochs=3), 1)
    point = Point(dense, 3, 0.3, "magnitude-uniform", replace(SHORT, epochs=3))
    stages = DenseStage(dense, (1, 3)), PointStage(point, (1, 2), Label("epochs", 3, "density", 0.3))
    found = {}
    for way in ("straight", "killed"):
        machine = Machine(LocalFolder(tmp_path / way), CPU, 0.0, str(tmp_path / "toy/cache"))
        rows = {}
        for stage in stages:
            for epoch in (1, 1) if way == "killed" else ():
                list(islice(stage.execute(machine), epoch))
            rows |= finish(stage.execute(machine))
        kept = [artifacts.load(machine.folder, dense_file(dense, epoch))["model"] for epoch in (1, 3)]
        found[way] = kept, {table: [row | {"seconds": 0.0} for row in own] for table, own in rows.items()}
    assert same(found["killed"][0], found["straight"][0])
    assert found["killed"][1] == found["straight"][1]
    assert {row["status"] for own in found["killed"][1].values() for row in own} == {"ok"}
    assert all(row["bleu"] >= 0 for own in found["killed"][1].values() for row in own)


def test_pruned_weights_stay_zero_under_adam_and_the_others_move(task):
    model = task.model(MODEL)
    masks = random_masks(model, 0.25)
    assert {name.split(".")[0] for name in masks} == {"encoder", "decoder"}
    learning = training(task, (1, 2), masks=masks)
    before = learning.stack.states()
    for _ in range(2):
        learning.run_epoch()
    for was, state in zip(before, learning.stack.states(), strict=True):
        for name, mask in masks.items():
            assert not state[name][~mask].any(), name
            assert not was[name][~mask].any()
            assert (state[name][mask] != was[name][mask]).float().mean() > 0.99, name
        for name in state.keys() - masks.keys():
            assert not torch.equal(state[name], was[name]) or "positions" in name, name
    assert {name: mask.shape for name, mask in masks.items()} == {
        name: weight.shape for name, weight in prunable_weights(model).items()
    }


def test_without_weight_decay_it_is_adam_step_for_step(without_dropout):
    task = without_dropout
    recipe = replace(SHORT, warmup=0.0)
    learning = training(task, (1,), recipe)
    model = task.model(MODEL)
    model.load_state_dict(learning.stack.states()[0])
    adam = torch.optim.Adam(model.parameters(), lr=recipe.lr, betas=recipe.betas, fused=True)
    for batch in task.batches([random_stream("retrain", 1, 0)], recipe.batch_size):
        adam.zero_grad()
        logits = model(*batch.inputs[0])
        F.cross_entropy(logits.flatten(0, 1), batch.targets[0].flatten(), ignore_index=PADDING).backward()
        adam.step()
    learning.run_epoch()
    state = learning.stack.states()[0]
    for name, parameter in model.named_parameters():
        assert torch.equal(state[name], parameter.detach()), name


@pytest.mark.parametrize("samples", [1, 17, 200, 10_000])
def test_outputs_are_those_of_the_first_positions(samples, task):
    stack = stack_of(task, 2)
    outputs = task.outputs(stack, samples)
    for index, model in enumerate(stack.module.children()):
        rows = []
        for source, target in pairs_of(task, "train"):
            with torch.no_grad():
                logits = model(torch.tensor([source]), torch.tensor([target[:-1]]))[0]
            rows.extend(logits.softmax(-1))
        assert len(outputs[index]) == min(samples, len(rows))
        assert torch.allclose(outputs[index], torch.stack(rows)[:samples], atol=1e-5)
