"""A task that is nothing like classifying images, trained, pruned and measured by the same code.

Sentences of different lengths with a class for every word, so batches differ in shape between steps and between the
models of a stack; models take two tensors, have dropout and layer norm, and no batch-norm.
"""

import math
import shutil
from dataclasses import replace
from itertools import islice

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from points import measurement
from torch import nn

from metrics.connectivity import linear_mode_connectivity
from metrics.cross_entropy import cross_entropy
from trainables.measuring.comparison import PathStacks, path_evaluations, similarities
from trainables.measuring.settings import MeasurementSettings
from trainables.pruning.magnitude import per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.stack import SerialStack
from trainables.stages import DenseRun, DenseStage, Label, Point, PointStage, finish
from trainables.stages import machine as machines
from trainables.stages.machine import Machine
from trainables.stages.siblings import kept_siblings
from trainables.storage import artifacts
from trainables.storage.local_folder import LocalFolder
from trainables.suitability import check_suitable
from trainables.tasks.evaluation import evaluate
from trainables.tasks.random_numbers import random_stream
from trainables.tasks.task import Batch, Evaluation, Task
from trainables.training import resumable
from trainables.training.recipe import Recipe
from trainables.training.resumable import ResumableTraining
from trainables.training.training import Training

CPU = torch.device("cpu")
WORDS, CLASSES, NO_LABEL = 11, 5, -100
RECIPE = Recipe(epochs=4, batch_size=16, lr=0.02, weight_decay=1e-3)


class Tagger(nn.Module):
    """Class of every word from the word and the mean of those up to it."""

    def __init__(self, dropout=0.2, classes=CLASSES):
        super().__init__()
        self.embed, self.norm = nn.Embedding(WORDS, 16), nn.LayerNorm(32)
        self.hidden, self.dropout, self.out = nn.Linear(32, 24), nn.Dropout(dropout), nn.Linear(24, classes)

    def forward(self, words, there):
        x = self.embed(words) * there[..., None]
        mean = x.cumsum(1) / there.cumsum(1).clamp(min=1)[..., None]
        return self.out(self.dropout(self.hidden(self.norm(torch.cat([x, mean], -1))).relu()))


def sentences(name, count):
    """Words, and as labels their numbers modulo that of the classes."""
    stream = random_stream(name)
    made = []
    for _ in range(count):
        length = int(torch.randint(2, 9, (), generator=stream))
        words = torch.randint(WORDS, (length,), generator=stream)
        made.append((words, words % CLASSES))
    return made


def padded(some):
    """Words, which of them are there, and labels: shape (sentences, longest)."""
    words = nn.utils.rnn.pad_sequence([words for words, _ in some], batch_first=True)
    labels = nn.utils.rnn.pad_sequence([labels for _, labels in some], batch_first=True, padding_value=NO_LABEL)
    return (words, (labels != NO_LABEL).float()), labels


class Tagging(Task):
    def __init__(self, dropout=0.2):
        super().__init__(CPU)
        self.dropout = dropout
        sizes = {"train": 150, "validation": 30, "test": 40}
        self.splits = {name: sentences(name, size) for name, size in sizes.items()}
        self.shapes = set()

    def model(self, name):
        return Tagger(self.dropout, int(name))

    def example_inputs(self, samples):
        return padded(sentences("example", samples))[0]

    def check_model(self, model, called, smallest_batch):
        if model.eval()(*self.example_inputs(smallest_batch)).shape[2] != CLASSES:
            raise ValueError(f"{called} does not have {CLASSES} outputs for each word")

    def steps_per_epoch(self, batch_size, drop_last=False):
        whole, part = divmod(len(self.splits["train"]), batch_size)
        return whole + (part > 0 and not drop_last)

    def batches(self, streams, batch_size, drop_last=False):
        train = self.splits["train"]
        orders = [torch.randperm(len(train), generator=stream) for stream in streams]
        for step in range(self.steps_per_epoch(batch_size, drop_last)):
            chosen = [order[step * batch_size :][:batch_size] for order in orders]
            own = [padded([train[index] for index in each]) for each in chosen]
            self.shapes.add(tuple(labels.shape for _, labels in own))
            yield Batch([inputs for inputs, _ in own], [labels for _, labels in own], len(chosen[0]))

    def losses(self, stack, batch, label_smoothing=0.0):
        how = {"ignore_index": NO_LABEL, "label_smoothing": label_smoothing}
        outputs = stack(batch.inputs)
        return torch.stack(
            [
                F.cross_entropy(output.float().flatten(0, 1), labels.flatten(), **how)
                for output, labels in zip(outputs, batch.targets, strict=True)
            ]
        )

    def words(self, stack, split, samples=None):
        """Outputs of shape (models, words, classes), and labels of shape (words,)."""

        def work(at_once):
            found, some = [], self.splits[split][:samples]
            for first in range(0, len(some), at_once):
                inputs, labels = padded(some[first : first + at_once])
                there = labels != NO_LABEL
                found.append((torch.stack([out[there] for out in stack([inputs] * stack.models)]), labels[there]))
            return torch.cat([out for out, _ in found], 1), torch.cat([labels for _, labels in found])

        return evaluate(stack, work)

    def loss_parts(self, model, samples, at_once):
        raise NotImplementedError

    def evaluation(self, stack, split):
        outputs, labels = self.words(stack, split)
        wrong = (outputs.argmax(-1) != labels).double().mean(-1)
        errors = torch.where(outputs.isfinite().all((-2, -1)), wrong, torch.nan)
        return Evaluation(errors.tolist(), cross_entropy(outputs, labels).tolist())

    def outputs(self, stack, samples, mixed_up=False):
        return self.words(stack, "train", samples)[0].softmax(-1)

    def statistics_inputs(self, models, batch_size):
        raise AssertionError("there is no batch-norm")
        yield


@pytest.fixture
def task():
    return Tagging()


def training(task, seeds=(1, 2), recipe=RECIPE, masks=None):
    torch.manual_seed(0)
    stack = task.stack(str(CLASSES), len(seeds))
    return Training(stack, recipe, task, [("retrain", seed) for seed in seeds], masks)


def same(ours, theirs):
    return all(
        torch.equal(mine[name], tensor)
        for mine, other in zip(ours, theirs, strict=True)
        for name, tensor in other.items()
    )


def test_it_is_learnt_from_batches_of_many_shapes(task):
    learning = training(task, recipe=replace(RECIPE, lr=0.3))
    for _ in range(RECIPE.epochs):
        learning.run_epoch()
    assert isinstance(learning.stack, SerialStack)
    assert any(first != second for first, second in task.shapes)  # of the two models, at the same step
    assert len({length for shapes in task.shapes for _, length in shapes}) > 1
    assert max(task.errors(learning.stack, "test")) < 0.1
    assert learning.samples == 2 * 150 * RECIPE.epochs
    assert learning.diverged == [0, 0]


def test_a_model_of_a_stack_becomes_what_it_does_alone():
    task = Tagging(dropout=0.0)
    together = training(task)
    together.run_epoch()
    for index, seed in enumerate((1, 2)):
        alone = training(task, (seed,))
        alone.run_epoch()
        assert together.losses[index] == pytest.approx(alone.losses[0], rel=1e-5)
        for name, tensor in alone.stack.states()[0].items():
            assert torch.allclose(together.stack.states()[index][name], tensor, atol=1e-5)


def test_steps_are_counted_by_the_task_alone(task):
    whole = training(task, recipe=replace(RECIPE, epochs=3, iterations=20))
    for _ in range(3):
        whole.run_epoch()
    assert (task.steps_per_epoch(16), task.steps_per_epoch(16, drop_last=True)) == (10, 9)
    assert whole.samples == 2 * 16 * 20


@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, rho=0.05)], ids=["SGD", "SAM"])
@pytest.mark.parametrize("how", ["killed", "closed"])
def test_a_training_that_was_stopped_goes_on_value_for_value(how, recipe, task, tmp_path, monkeypatch):
    monkeypatch.setattr(resumable, "SAVING_SHARE", math.inf)
    seeds = (1,) if recipe.rho else (1, 2)

    def begin(folder):
        seconds = 0.0 if how == "killed" else 1e9
        return ResumableTraining(training(task, seeds, recipe), LocalFolder(folder), "half.pt", seconds)

    straight, first = begin(tmp_path / "straight"), begin(tmp_path / "first")
    list(straight.run(4, evaluate_from=1))
    going = first.run(4, evaluate_from=1)
    list(islice(going, 2))
    if how == "closed":
        going.close()
    shutil.copytree(tmp_path / "first", tmp_path / "again")
    again = begin(tmp_path / "again")
    assert [progress.epochs for progress in again.run(4, evaluate_from=1)] == [3, 4]
    assert same(again.training.stack.states(), straight.training.stack.states())
    assert again.losses == straight.losses
    assert again.validation_errors == straight.validation_errors
    assert again.test_errors == straight.test_errors
    assert len(again.test_errors) == 3


def test_siblings_are_pruned_retrained_and_compared(task):
    dense = training(task, (1,))
    for _ in range(2):
        dense.run_epoch()
    state = dense.stack.states()[0]
    plain = task.model(str(CLASSES))
    plain.load_state_dict(state)
    masks = per_layer(prunable_weights(plain), 0.25)
    assert masks.keys() == {"hidden.weight"}
    siblings = training(task, masks=masks)
    siblings.stack.load([state, state])
    for _ in range(2):
        siblings.run_epoch()
    states = siblings.stack.states()
    for each in states:
        assert int(each["hidden.weight"].count_nonzero()) == 24 * 32 // 4
    how = MeasurementSettings(path_points=5, cka_images=50)
    at_once = task.models_at_once(str(CLASSES), how.path_points, how.batch_norm_batch_size)
    [(curve, curve_of_losses)] = path_evaluations(
        PathStacks(lambda models: task.stack(str(CLASSES), models), at_once), states, [(0, 1)], task, how
    )
    errors, losses = task.evaluation(siblings.stack, "train")
    assert [curve[0], curve[-1]] == errors == task.errors(siblings.stack, "train")
    assert [curve_of_losses[0], curve_of_losses[-1]] == pytest.approx(losses)
    assert 0 < max(errors) < 1 - 1 / CLASSES
    assert -1 <= linear_mode_connectivity(curve) <= 1
    own, other = similarities(siblings.stack, [(0, 0), (0, 1)], task, how)
    assert own == pytest.approx(1)
    assert 0 < other < 1


def test_whole_stages_are_carried_out_for_it(task, tmp_path, monkeypatch):
    """Dense training, pruning, siblings and their pairs, stopped and continued on the way."""
    monkeypatch.setattr(machines, "_task", lambda *what: task)
    monkeypatch.setattr(resumable, "SAVING_SHARE", math.inf)
    dense = DenseRun("sentences", 0.1, str(CLASSES), RECIPE, 1)
    point = Point(dense, 4, 0.25, "magnitude-uniform", RECIPE)
    siblings = PointStage(point, (1, 2), Label("epochs", 4, "density", 0.25))
    stages = DenseStage(dense, (2, 4)), siblings, measurement(siblings)
    rows = []
    for name in ("straight", "stopped"):
        machine = Machine(LocalFolder(tmp_path / name), CPU, checkpoint_seconds=0.0)
        found = {}
        for stage in stages:
            if name == "stopped":
                going = stage.execute(machine)
                list(islice(going, 3))
                going.close()
            found |= finish(stage.execute(machine))
        assert {row["status"] for table in found.values() for row in table} == {"ok"}
        rows.append({kind: [row | {"seconds": 0.0} for row in table] for kind, table in found.items()})
    assert rows[0] == rows[1]
    assert len(rows[0]["pairs"][0]["path_errors"]) == 11
    assert len(kept_siblings(machine.folder, point.key)) == 2


class Scored(Tagging):
    """Says a column of its own of each model, and notes how many models it was asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def scores(self, stack):
        self.asked.append(stack.models)
        return [{"bleu": 10.0 * (1 - error), "bleu_signature": "mine"} for error in self.errors(stack, "test")]


def test_further_columns_of_a_model_are_taken_once_and_kept_with_it(tmp_path, monkeypatch):
    task = Scored()
    monkeypatch.setattr(machines, "_task", lambda *what: task)
    dense = DenseRun("sentences", 0.1, str(CLASSES), RECIPE, 1)
    siblings = PointStage(
        Point(dense, 4, 0.25, "magnitude-uniform", RECIPE), (1, 2), Label("epochs", 4, "density", 0.25)
    )
    machine = Machine(LocalFolder(tmp_path), CPU)
    rows = {}
    for _ in range(2):
        for stage in DenseStage(dense, (2, 4)), siblings:
            rows |= finish(stage.execute(machine))
        assert task.asked == [1, 1, 2]  # each dense model that is kept, and the siblings; not again from their files
        for row in rows["dense"]:
            assert (row["bleu"], row["bleu_signature"]) == (10 * (1 - row["test_error"]), "mine")
        assert {row["bleu_signature"] for row in rows["runs"]} == {"mine"}
        assert all(0 < row["bleu"] <= 10 for row in rows["runs"])


def test_of_models_that_diverged_their_numbers_are_nan(tmp_path, monkeypatch):
    task = Scored()
    monkeypatch.setattr(machines, "_task", lambda *what: task)
    monkeypatch.setattr(task, "scores", lambda stack: [{"bleu": 1.0, "bleu_signature": "mine"}] * stack.models)
    wild = replace(RECIPE, lr=1e30)
    dense = DenseRun("sentences", 0.1, str(CLASSES), wild, 1)
    machine = Machine(LocalFolder(tmp_path), CPU)
    (row,) = finish(DenseStage(dense, (4,)).execute(machine))["dense"]
    assert (row["status"], row["bleu_signature"]) == ("diverged", "mine")
    assert math.isnan(row["bleu"])
    good = replace(dense, recipe=RECIPE)
    point = Point(good, 4, 0.25, "magnitude-uniform", wild)
    finish(DenseStage(good, (4,)).execute(machine))
    rows = finish(PointStage(point, (1, 2), Label("epochs", 4, "density", 0.25)).execute(machine))["runs"]
    assert {(row["status"], row["bleu_signature"]) for row in rows} == {("diverged", "mine")}
    assert all(math.isnan(row["bleu"]) for row in rows)


def test_artifacts_that_are_older_lack_them(task, tmp_path, monkeypatch):
    monkeypatch.setattr(machines, "_task", lambda *what: task)
    dense = DenseRun("sentences", 0.1, str(CLASSES), RECIPE, 1)
    siblings = PointStage(Point(dense, 4, 0.25, "magnitude-uniform", RECIPE), (1,), Label("epochs", 4, "density", 0.25))
    machine = Machine(LocalFolder(tmp_path), CPU)
    stages = DenseStage(dense, (4,)), siblings
    before = [finish(stage.execute(machine)) for stage in stages]
    for name in (f"{kind}/{file}" for kind in ("dense", "siblings") for file in machine.folder.files(kind)):
        content = artifacts.load(machine.folder, name)
        for each in content.get("siblings", [content]):
            assert each.pop("scores") == {}
        artifacts.save(machine.folder, name, content)
    assert [finish(stage.execute(machine)) for stage in stages] == before


def test_whether_a_model_suits_is_said_by_the_task(task):
    check_suitable(str(CLASSES), task, 3)
    with pytest.raises(ValueError, match="model 4 does not have 5 outputs for each word"):
        check_suitable("4", task, 3)
