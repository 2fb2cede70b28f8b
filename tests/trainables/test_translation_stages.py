"""Translation through the stages of a sweep: every way of pruning, what is measured, models and losses of one's own."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from points import measurement
from torch.nn.attention import SDPBackend, sdpa_kernel
from toy_text import MODEL, RECIPE, carry_out_all, toy, toy_task

from metrics.connectivity import linear_mode_connectivity
from metrics.sparsity import density
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from trainables.functions import pin
from trainables.measuring.settings import MeasurementSettings
from trainables.pruning.prunable import prunable_weights
from trainables.stages import DenseRun
from trainables.stages.dense import dense_model
from trainables.stages.machine import Machine, task_of
from trainables.stages.pruning_context import DenseModelContext
from trainables.stages.siblings import kept_siblings
from trainables.storage.local_folder import LocalFolder
from trainables.suitability import check_suitable
from trainables.tasks import load_task, lookalike_task

CPU = torch.device("cpu")
SOURCE = """
import torch
import torch.nn.functional as F
from torch import nn

class Own(nn.Module):
    '''The mean of the source, and the tokens before: no attention.'''
    def __init__(self, classes, peeks=False, shape=True):
        super().__init__()
        self.peeks, self.shape = peeks, shape
        self.source, self.target = nn.Embedding(classes, 16), nn.Embedding(classes, 16)
        self.mixed, self.last = nn.Linear(32, 24), nn.Linear(24, classes)

    def forward(self, source, target):
        there = (source != 0)[..., None]
        mean = (self.source(source) * there).sum(1, keepdim=True) / there.sum(1, keepdim=True)
        own = self.target(target)
        before = own.mean(1, keepdim=True).expand_as(own) if self.peeks else own
        features = self.mixed(torch.cat([mean.expand_as(before), before], -1)).relu()
        return self.last(features if self.shape else features.mean(1))

def own(classes):
    return Own(classes)

def peeking(classes):
    return Own(classes, peeks=True)

def padded(classes):
    class Padded(Own):
        def forward(self, source, target):
            return super().forward(source.clamp_min(1), target)  # so that padding counts
    return Padded(classes)

def of_sentences(classes):
    return Own(classes, shape=False)

def of_images(channels, classes):
    return nn.Conv2d(channels, classes, 3)

def of_one(classes):
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, classes)
        def forward(self, tokens):
            return self.b(self.a(tokens))
    return One()

given = []

def focal(logits, labels):
    given.append((tuple(logits.shape), tuple(labels.shape), logits.dtype, int(labels.min())))
    loss = F.cross_entropy(logits, labels, reduction="none")
    return (1 - (-loss).exp()) ** 2 * loss
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Pinned name of a small text, and the folder of its vocabulary."""
    folder = tmp_path_factory.mktemp("toy")
    return toy(folder, train=60, valid=6, test=8), str(folder / "cache")


@pytest.fixture
def machine(text, tmp_path):
    return Machine(LocalFolder(tmp_path / "artifacts"), CPU, data_folder=text[1])


def sweep(text, **changes):
    """A sweep of one point that trains for two epochs."""
    fields = {name: getattr(RECIPE, name) for name in ("batch_size", "lr", "weight_decay", "optimizer", "betas")}
    own = {"data": text[0], "model": MODEL, "validation_fraction": 0.0, "temperatures": (2,), "densities": (0.4,)}
    spec = replace(PRESETS["smoke"], **(own | fields | {"epochs": 2} | changes))
    spec.check()
    return spec


@pytest.mark.parametrize("rule", ["loss", "grasp", "fisher", "movement", "lottery"])
def test_a_point_is_pruned_by_every_kind_of_rule(rule, text, machine):
    """Some differentiate twice, which not all kernels of attention can."""
    [point] = sweep(text, pruner=rule).points()
    rows = carry_out_all(point, machine)["runs"]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    siblings = kept_siblings(machine.folder, point.key)
    prunable = prunable_weights(task_of(point.run, machine).model(MODEL))
    for seed, row in zip((1, 2), rows, strict=True):
        model, masks = siblings[seed]["model"], siblings[seed]["masks"]
        assert masks.keys() == prunable.keys()
        assert density(masks) == pytest.approx(0.4, abs=0.01) == row["density"]
        for name, mask in masks.items():
            assert not model[name][~mask].any()
        assert 0 < row["test_error"] < 1
        assert 0 <= row["bleu"] <= 100
        assert row["train_loss"] > 0
    assert "output.weight" not in prunable
    assert "encoder.layers.0.self_attn.in_proj_weight" in prunable


def test_losses_are_differentiated_as_by_hand(text, machine):
    """Twice, in parts, with the mean over tokens."""
    run = sweep(text).points()[0].run
    task = task_of(run, machine)
    torch.manual_seed(0)
    state = task.model(MODEL).state_dict()
    context = DenseModelContext(run, 1, 0.5, task, lambda epoch: state)
    model = context.model_at(1)
    weight = model.decoder.layers[0].self_attn.in_proj_weight
    padded = task.split("train").padded(torch.arange(30))
    logits = model(*padded.inputs)
    whole = F.cross_entropy(logits.flatten(0, 1), padded.next_tokens.flatten(), ignore_index=0)

    def twice(parts):
        first = [torch.autograd.grad(part, weight, create_graph=True)[0] for part in parts]
        return sum(first).detach(), sum(torch.autograd.grad(own.square().sum(), weight)[0] for own in first)

    one = twice([next(context.loss_parts(model, 30, 30))])
    with sdpa_kernel(SDPBackend.MATH):
        logits = model(*padded.inputs)
        by_hand = F.cross_entropy(logits.flatten(0, 1), padded.next_tokens.flatten(), ignore_index=0)
    assert float(whole.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-6)
    for ours, theirs in zip(one, twice([by_hand]), strict=True):
        assert ours.any()
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    parts, _ = twice(list(context.loss_parts(model, 30, 7)))
    assert torch.allclose(parts, one[0], rtol=1e-4, atol=1e-6)


def test_everything_of_a_sweep_is_measured(text, machine):
    spec = sweep(text, temperatures=(1, 2), densities=(0.2,), retrain_seeds=(1, 2, 3))
    settings = MeasurementSettings(path_points=5, cka_images=50)
    for point in spec.points():
        rows = carry_out_all(measurement(point, settings), machine)["pairs"]
        runs = {row["retrain_seed"]: row for row in carry_out_all(point, machine)["runs"]}
        assert len(rows) == 3
        for row in rows:
            assert row["status"] == "ok"
            ends = [runs[row[name]] for name in ("first_seed", "second_seed")]
            assert [row["path_errors"][0], row["path_errors"][-1]] == [end["train_error"] for end in ends]
            losses = [row["path_losses"][0], row["path_losses"][-1]]
            assert losses == pytest.approx([end["train_loss"] for end in ends], rel=1e-5)
            assert len(row["path_errors"]) == len(row["path_losses"]) == 5
            assert row["lmc"] == linear_mode_connectivity(row["path_errors"])
            assert -1 <= row["lmc"] <= 1
            assert 0 < row["cka"] < 1
        assert {row["bleu"] >= 0 for row in runs.values()} == {True}
        assert {row["bleu_signature"].rpartition("|")[2] for row in runs.values()} == {"decoding:greedy"}
    dense = spec.points()[0].run
    assert task_of(dense, machine).errors(_stack(dense, 2, machine), "test")[0] > 0


def _stack(run, epoch, machine):
    stack = task_of(run, machine).stack(MODEL, 1)
    stack.load([dense_model(run, epoch, machine.folder)["model"]])
    return stack


def test_the_positions_of_cka_are_so_many_as_said(text, machine):
    """Not so many sentences."""
    [point] = sweep(text).points()
    carry_out_all(point, machine)
    task = task_of(point.run, machine)
    for positions in (2, 50, 200):
        outputs = task.outputs(_stack(point.run, 2, machine), positions)
        assert outputs.shape == (1, positions, 29)
        assert torch.allclose(outputs.sum(-1), torch.ones(1, positions), atol=1e-5)
    everything = int((task.split("train").lengths[:, 1] - 1).sum())
    assert task.outputs(_stack(point.run, 2, machine), 10**6).shape == (1, everything, 29)


def test_losses_of_ones_own_are_given_each_token_and_no_padding(mine, text, machine):
    [point] = sweep(text, loss=pin("mine:focal", "loss"), pruner="loss").points()
    rows = carry_out_all(point, machine)["runs"]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    for logits, labels, dtype, least in mine().given:
        assert logits == (*labels, 29)
        assert dtype is torch.float32
        assert least > 0
    stack = _stack(point.run, 2, machine)
    plain = load_task(text[0], 0.0, CPU, folder=text[1])
    assert task_of(point.run, machine).evaluation(stack, "test") == plain.evaluation(stack, "test")


def test_parts_of_ones_own_loss_add_up_to_its_mean_over_tokens(mine, tmp_path):
    task = toy_task(tmp_path, train=30, valid=0, test=5, loss=pin("mine:focal", "loss"))
    torch.manual_seed(0)
    model = task.model(MODEL).eval()
    padded = task.split("train").padded(torch.arange(30))
    there = padded.next_tokens != 0
    loss = F.cross_entropy(model(*padded.inputs)[there], padded.next_tokens[there], reduction="none")
    whole = ((1 - (-loss).exp()) ** 2 * loss).mean()
    for at_once in (1, 7, 30):
        parts = sum(task.loss_parts(model, 30, at_once))
        assert float(parts.detach()) == pytest.approx(float(whole.detach()), rel=1e-5)


def test_a_model_of_ones_own_goes_through_a_sweep(mine, text, machine):
    spec = sweep(text, model=pin("mine:own", "model"))
    [point] = spec.points()
    check_suitable(spec.model, lookalike_task(spec.data, CPU), 1)
    [row] = carry_out_all(measurement(point), machine)["pairs"]
    assert row["status"] == "ok"
    assert 0 < row["cka"] <= 1
    runs = carry_out_all(point, machine)["runs"]
    assert all(0 <= own["bleu"] <= 100 and own["density"] == pytest.approx(0.4, abs=0.01) for own in runs)
    assert runs[0]["density_by_layer"].keys() == {"mixed.weight"}


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("peeking", "model mine:peeking sees target tokens that come later; mask them"),
        ("padded", "model mine:padded gives other logits where padding, token 0, follows a source; mask it"),
        ("of_sentences", r"its output has shape \(4, 29\) instead of shape \(4, 23, 29\), a logit for each token"),
        ("of_images", "channels"),
        ("of_one", r"model mine:of_one cannot be trained on tokens of sentences \(source and target\) of a vocab"),
    ],
)
def test_a_model_of_ones_own_that_does_not_suit_is_said_so(function, said, mine, text):
    with pytest.raises(ValueError, match=said):
        check_suitable(pin(f"mine:{function}", "model"), lookalike_task(text[0], CPU), 1)


@pytest.mark.parametrize("model", [MODEL, "transformer2x64-h4", "transformer1x32-h2-w2"])
def test_transformers_suit(model, text):
    check_suitable(model, lookalike_task(text[0], CPU), 1)


@pytest.mark.parametrize("model", ["preresnet8", "mlp16"])
def test_models_of_images_do_not(model, text):
    with pytest.raises(UsageError, match=f"model '{model}' classifies images, and the data are sentences"):
        sweep(text, model=model)


def test_a_model_that_diverges_is_a_row_that_says_so(text, machine):
    [point] = sweep(text, retrain_lr=1e30, retrain_optimizer="sgd", retrain_betas=None).points()
    rows = carry_out_all(point, machine)["runs"]
    assert {row["status"] for row in rows} == {"diverged"}
    assert all(math.isnan(row[name]) for row in rows for name in ("bleu", "test_error", "train_loss"))


def test_what_is_known_of_a_run_does_not_say_where_its_text_lies(text, tmp_path):
    other = toy(tmp_path / "elsewhere", train=60, valid=6, test=8)
    runs = [DenseRun(name, 0.0, MODEL, RECIPE, 1) for name in (text[0], other)]
    assert text[0] != other
    assert runs[0].key == runs[1].key
