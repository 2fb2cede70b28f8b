import copy
import re
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from trainables.kernels.native import library
from trainables.methods.filters import Filters
from trainables.models import build
from trainables.models.smaller import resized, shapes
from trainables.models.transformer import Transformer
from trainables.pruning.channels import filters, highest_channels, left
from trainables.pruning.filter_scores import FILTER_SCORES, Products
from trainables.pruning.filters import channel_groups, pruned_filters
from trainables.stacks.stack import GroupedStack, SerialStack


class Own(nn.Module):
    """A user's: a residual block, a concatenation, a PReLU, pixels side by side and a hidden linear layer."""

    def __init__(self, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.PReLU(8))
        self.block = nn.Sequential(nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.back, self.side = nn.Conv2d(6, 8, 1), nn.Conv2d(8, 4, 1)
        self.join = nn.Conv2d(12, 5, 1)
        self.hidden, self.linear = nn.Linear(5 * 16, 9), nn.Linear(9, classes)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.back(self.block(x))
        x = F.adaptive_avg_pool2d(self.join(torch.cat([self.side(x), x], 1)), 4)
        return self.linear(self.hidden(x.flatten(1)).relu())


def made(name):
    """A model in float64 whose statistics, scales and shifts are those of no new one."""
    torch.manual_seed(0)
    model = (Own() if name == "own" else build(name, 3, 10, (32, 32))).double().eval()
    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
            for tensor in (norm.weight, norm.bias, norm.running_mean):
                tensor.normal_()
            norm.running_var.uniform_(0.5, 2)
    return model


def images(count=2):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()


def test_filters_of_layers_that_are_not_pruned_stay():
    model = made("own")
    every = channel_groups(model, images())
    model.not_pruned = ("block", "hidden", "linear")
    rest = channel_groups(model, images())
    gone = [group for group in every if group not in rest]
    assert [{part.filter for part in group.parts} - {""} for group in gone] == [{"block.0"}, {"hidden"}]
    assert rest == [group for group in every if group not in gone]


@pytest.mark.parametrize("pruner", FILTER_SCORES)
def test_a_transformer_has_no_filters_that_can_be_removed(pruner):
    tokens = torch.randint(3, 50, (4, 7)), torch.randint(3, 50, (4, 6))
    model = Transformer(2, 16, 2, 50)
    context = SimpleNamespace(epoch=1, model_at=lambda epoch: model, example_inputs=lambda samples: tokens)
    with pytest.raises(ValueError, match=r"encoder\.layers\.0\.self_attn is a MultiheadAttention, .*; choose a rule"):
        Filters.check(pruner, context, [0.5])


def random_kept(groups, share):
    generator = torch.Generator().manual_seed(2)
    return highest_channels([torch.rand(group.channels, generator=generator) for group in groups], share)


def masked(model, groups, kept):
    """The model with zeros for all parameters of the removed channels, statistics left as they are."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for group, own in zip(groups, kept, strict=True):
            for part in (part for part in group.parts if part.dim == 0):
                for parameter in changed.get_submodule(part.layer).parameters():
                    for row, channel in zip(part.rows, part.channels, strict=True):
                        parameter[row] *= bool(own[channel])
    return changed


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("vgg13-bn-w0.125", 368),
        ("mobilenet-v1-w0.25", 1496),
        ("resnet56-w0.5", 560),
        ("preresnet20", 448),
        ("densenet40-k12-w0.25", 36 * 3 + 6 + 42 + 78),
        ("conv8-16-12", 36),
        ("mlp20-30", 50),
        ("own", 8 + 6 + 4 + 5 + 9),
    ],
)
def test_a_model_without_filters_gives_what_it_gives_with_zeros_in_them(name, count):
    model, inputs = made(name), images()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    groups = channel_groups(model, inputs)
    assert filters(groups) == count
    kept = random_kept(groups, 0.4)
    assert sum(int(own.sum()) for own in kept) == count - round(0.6 * count)
    state = pruned_filters(model, groups, kept, inputs)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    smaller = resized(made(name), state)
    smaller.load_state_dict(state)
    with torch.no_grad():
        expected, found = masked(model, groups, kept)(inputs), smaller(inputs)
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()
    assert (model(inputs) - expected).abs().max() > 0.01 * expected.abs().max()
    assert sum(map(torch.numel, state.values())) < 0.7 * sum(map(torch.numel, before.values()))


def test_a_deep_residual_network_has_a_group_for_each_stage_and_one_for_each_block():
    groups = channel_groups(build("resnet110-w0.25", 3, 10), images().float())
    assert len(groups) == 3 + 54
    assert sorted(len({part.filter for part in group.parts} - {""}) for group in groups)[-3:] == [19, 19, 19]


@pytest.mark.parametrize("name", ["vgg13-bn-w0.125", "preresnet8-w0.5", "densenet10-k12-w0.5", "own"])
def test_filters_can_be_removed_again_and_again(name):
    inputs = images()
    model, groups = made(name), channel_groups(made(name), inputs)
    for share in (0.7, 0.6):
        kept = random_kept(groups, share)
        state, groups = pruned_filters(model, groups, kept, inputs), left(groups, kept)
        model = resized(made(name), state)
        model.load_state_dict(state)
        assert groups == channel_groups(model, inputs)


def test_depthwise_filters_go_with_those_they_read_down_to_one():
    inputs = images()
    model, groups = made("mobilenet-v1-w0.25"), channel_groups(made("mobilenet-v1-w0.25"), inputs)
    kept = random_kept(groups, len(groups) / filters(groups))
    state = pruned_filters(model, groups, kept, inputs)
    small = resized(model, state)
    assert {conv.out_channels for conv in small.modules() if isinstance(conv, nn.Conv2d)} == {1}
    assert filters(left(groups, kept)) == len(groups) == 14


@pytest.mark.parametrize(("share", "kept"), [(1, 368), (0.5, 184), (0.1, 37), (10 / 368, 10)])
def test_exactly_the_lowest_go_but_for_the_best_of_each_group(share, kept):
    groups = channel_groups(made("vgg13-bn-w0.125"), images())
    scores = [torch.rand(group.channels) + index // 9 for index, group in enumerate(groups)]
    masks = highest_channels(scores, share)
    assert sum(int(mask.sum()) for mask in masks) == kept
    assert all(mask[score.argmax()] for mask, score in zip(masks, scores, strict=True))
    removed = torch.cat([score[~mask] for mask, score in zip(masks, scores, strict=True)])
    others = [score[mask & (score < score.max())] for mask, score in zip(masks, scores, strict=True)]
    assert not len(removed) or not len(torch.cat(others)) or removed.max() < torch.cat(others).min()


def test_of_equal_scores_those_that_come_first_go_first():
    first, second = highest_channels([torch.ones(3), torch.ones(3)], 0.5)
    assert first.tolist() == [False, False, True]
    assert second.tolist() == [False, True, True]


def test_too_small_a_share_is_an_error_that_says_the_numbers():
    said = (
        "4 of the model's 368 filters would be left, a share of 0.01, but 10 groups of layers keep one each; keep more"
    )
    groups = channel_groups(made("vgg13-bn-w0.125"), images())
    with pytest.raises(ValueError, match=re.escape(said)):
        random_kept(groups, 0.01)


class Views(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 64, 3), nn.Linear(64, 10)

    def forward(self, x):
        return self.linear(self.conv(x).mean((2, 3)).view(-1, 64))


class Branches(Views):
    def __init__(self):
        super().__init__()
        self.other = nn.Conv2d(3, 64, 1)

    def forward(self, x):
        return self.linear((self.other if x.mean() > 100 else self.conv)(x).mean((2, 3)))


class Counts(Views):
    def forward(self, x):
        x = self.conv(x)
        if x.shape[1] != 64:
            raise RuntimeError("64 channels\nare needed")
        return self.linear(x.mean((2, 3)))


class Compares(Views):
    def forward(self, x):
        return self.linear(self.conv(x).mean((2, 3)).softmax(1))


class Joins(Views):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(128 * 4, 10)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.conv(x), 2)
        return self.linear(torch.cat([x, x.relu()], 1).flatten(1))


class Untraced(Views):
    def forward(self, x):
        raise TypeError("cannot be traced")


class Shares(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(3072, 10))
        self[1].weight = self[0].weight


def sequence(*layers):
    return lambda: nn.Sequential(nn.Conv2d(3, 4, 1), *layers, nn.Flatten(), nn.Linear(4096, 10))


def without_every_second(model):
    groups = channel_groups(model, images().float())
    kept = [torch.arange(group.channels) % 2 == 0 for group in groups]
    return pruned_filters(model, groups, kept, images().float())


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Views, "the model does not run with fewer channels (RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        (Branches, "other gives nothing to the model's outputs"),
        (Counts, "the model does not run with fewer channels (RuntimeError: 64 channels)"),
        (Joins, "the model "),
        (Compares, "the model uses its channels in a way that is not understood"),
        (Untraced, "the model cannot be traced to see which of its filters go together (TypeError: cannot be traced)"),
        (Shares, "weight is shared or computed from others"),
        (sequence(nn.GroupNorm(2, 4)), "1 is a GroupNorm, which cannot lose channels"),
        (sequence(nn.Conv2d(4, 4, 1, groups=2)), "1 is a convolution with 2 groups"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), "it has no filters to remove"),
        (lambda: nn.Sequential(nn.Conv2d(3, 10, 32), nn.Flatten()), "it has no filters to remove"),
    ],
)
def test_a_model_that_cannot_lose_filters_is_told_why_in_one_sentence(kind, said):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        without_every_second(kind())
    assert "\n" not in str(error.value)


def products(model):
    """Made-up ones, and what each score makes of the parameters of one filter."""
    torch.manual_seed(3)
    values = [{name: torch.randn_like(own) for name, own in model.named_parameters()} for _ in range(4)]
    return values, Products(*(lambda own=own: own for own in values))


BY_HAND = {
    "filter-magnitude": lambda own, first, second, fisher, initial: sum(t * t for t in own) ** 0.5,
    "filter-loss": lambda own, first, second, fisher, initial: sum(map(abs, first)),
    "filter-loss-signed": lambda own, first, second, fisher, initial: abs(sum(first)),
    "filter-loss-biased": lambda own, first, second, fisher, initial: sum(
        abs(t - t0) * abs(g) for t, t0, g in zip(own, initial, first, strict=True)
    ),
    "filter-grasp": lambda own, first, second, fisher, initial: sum(second),
    "filter-gradnorm": lambda own, first, second, fisher, initial: abs(sum(second)),
    "filter-fisher": lambda own, first, second, fisher, initial: sum(fisher),
}

FILTERS = {
    "vgg11-bn-w0.0625": [[(f"features.{place}", f"features.{place + 1}")] for place in (0, 4, 8, 11, 15, 18, 22, 25)],
    "mobilenet-v1-w0.0625": [
        [(f"features.{6 * place}", f"features.{6 * place + 1}")]
        + ([(f"features.{6 * place + 3}", f"features.{6 * place + 4}")] if place < 13 else [])
        for place in range(14)
    ],
    "resnet8-w0.25": [
        [("features.0", "features.1"), ("features.3.conv2", "features.3.norm2")],
        [("features.3.conv1", "features.3.norm1")],
        [("features.4.conv1", "features.4.norm1")],
        [("features.4.conv2", "features.4.norm2"), ("features.4.shortcut.0", "features.4.shortcut.1")],
        [("features.5.conv1", "features.5.norm1")],
        [("features.5.conv2", "features.5.norm2"), ("features.5.shortcut.0", "features.5.shortcut.1")],
    ],
    "preresnet8-w0.25": [
        [("conv", "blocks.0.norm1"), ("blocks.0.conv2",)],
        [("blocks.0.conv1", "blocks.0.norm2")],
        [("blocks.1.conv1", "blocks.1.norm2")],
        [("blocks.1.conv2",), ("blocks.1.shortcut",)],
        [("blocks.2.conv1", "blocks.2.norm2")],
        [("blocks.2.conv2",), ("blocks.2.shortcut",)],
    ],
    "own": [[("stem.0",), ("back",)], [("block.0", "block.1")], [("side",)], [("join",)], [("hidden",)]],
}
"""Layers of each filter, of each layer of a group, of each group of a model."""


def rows(values, layers, channel):
    """Values of one filter, one by one."""
    names = [f"{layer}.{name}" for layer in layers for name in ("weight", "bias")]
    return [value for name in names if name in values for value in values[name][channel].flatten().tolist()]


@pytest.mark.parametrize("score", BY_HAND)
@pytest.mark.parametrize("name", FILTERS)
def test_scores_are_those_of_a_loop_over_all_numbers(name, score):
    model = made(name)
    values, given = products(model)
    values = [dict(model.named_parameters()), *values]
    found = FILTER_SCORES[score](model, channel_groups(model, images()), given)
    for scores, layers in zip(found, FILTERS[name], strict=True):
        for channel in range(len(scores)):
            of_layers = [BY_HAND[score](*(rows(each, parts, channel) for each in values)) for parts in layers]
            assert scores[channel].item() == pytest.approx(sum(of_layers) / len(layers))


def test_the_scale_of_a_channel_is_that_of_all_batch_norms_which_read_it():
    model = made("densenet7-k12-w0.25")
    growth, first = FILTER_SCORES["filter-bn"](model, channel_groups(model, images()), None)[1::-1]
    norms = [model.features[1].norm.weight, model.features[2].weight]
    for channel in range(6):
        expected = (norms[0][channel].abs() + norms[1][channel].abs()) / 2
        assert first[channel] == pytest.approx(expected.item())
    assert torch.allclose(growth, norms[1][6:].abs())


def test_a_filter_without_batch_norm_has_no_scale():
    model = made("own")
    with pytest.raises(ValueError, match="no batch-norm normalises the filters of back"):
        FILTER_SCORES["filter-bn"](model, channel_groups(model, images()), None)


@pytest.mark.parametrize("kernels", [False, True] if library() else [False])
@pytest.mark.parametrize("kind", [GroupedStack, SerialStack])
@pytest.mark.parametrize("name", ["preresnet8-w0.5", "vgg11-bn-w0.125", "mobilenet-v1-w0.25", "densenet10-k12-w0.5"])
def test_smaller_siblings_compute_in_a_stack_what_each_does_alone(name, kind, kernels):
    inputs = images(4).float()
    dense = made(name).float()
    groups = channel_groups(dense, inputs)
    state = pruned_filters(dense, groups, random_kept(groups, 0.4), inputs)
    alone = [resized(made(name).float(), state) for _ in range(2)]
    for index, model in enumerate(alone):
        model.load_state_dict({name: own * (1 + index * 0.1) if own.dim() > 1 else own for name, own in state.items()})
    stack = kind(alone[0], 2)
    stack.load([model.state_dict() for model in alone])
    if kernels:
        stack.use_kernels({})
    for training in (False, True):
        together = stack.train(training)(torch.stack([inputs, inputs.flip(0)]))
        for outputs, model, own in zip(together, alone, (inputs, inputs.flip(0)), strict=True):
            expected = model.train(training)(own)
            assert (outputs - expected).abs().max() <= 1e-3 * expected.abs().max()
    assert shapes(stack.states()[1]) == shapes(state)
