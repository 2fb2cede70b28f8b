import pytest
import torch

from metrics.sparsity import density
from trainables.models import build
from trainables.pruning.magnitude import magnitude_masks, prunable_weights


def test_preresnet20_at_density_5_percent_keeps_the_published_counts():
    torch.manual_seed(0)
    weights = prunable_weights(build("preresnet20", 3, 10))
    masks = magnitude_masks(weights, 0.05, "magnitude-uniform")
    assert int(masks["conv.weight"].sum()) == 22
    assert sum(int(mask.sum()) for mask in masks.values()) == 13_512


def test_attention_is_pruned_and_the_classifier_is_not():
    nn = torch.nn
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 3))
    attention = ["0.self_attn.in_proj_weight", "0.self_attn.out_proj.weight"]
    assert sorted(prunable_weights(model)) == sorted([*attention, "0.linear1.weight", "0.linear2.weight"])


@pytest.mark.parametrize("pruner", ["magnitude-uniform", "magnitude-global"])
def test_exactly_the_largest_are_kept(pruner):
    torch.manual_seed(0)
    weights = {"a": torch.randn(7, 5), "b": 3 * torch.randn(4, 4, 3)}
    masks = magnitude_masks(weights, 0.3, pruner)
    groups = [[name] for name in weights] if pruner == "magnitude-uniform" else [list(weights)]
    for names in groups:
        size = torch.cat([weights[name].abs().flatten() for name in names])
        keep = torch.cat([masks[name].flatten() for name in names])
        assert int((~keep).sum()) == round(0.7 * len(size))
        assert size[keep].min() > size[~keep].max()
    assert all(masks[name].shape == weights[name].shape for name in weights)


def test_global_pruning_may_divide_the_layers_unevenly():
    masks = magnitude_masks({"small": torch.full((10,), 0.1), "large": torch.ones(10)}, 0.5, "magnitude-global")
    assert not masks["small"].any()
    assert masks["large"].all()


def test_ties_are_broken_by_position_and_never_keep_more():
    masks = magnitude_masks({"w": torch.tensor([1.0, -1.0, 1.0, -1.0])}, 0.5, "magnitude-uniform")
    assert masks["w"].tolist() == [False, False, True, True]


def test_density_one_keeps_everything_and_a_tiny_one_may_keep_nothing():
    weights = {"w": torch.zeros(3, 3)}
    assert density(magnitude_masks(weights, 1.0, "magnitude-uniform")) == 1
    assert density(magnitude_masks(weights, 1e-6, "magnitude-global")) == 0


def test_only_convolutions_are_prunable():
    names = prunable_weights(build("preresnet8-w0.5", 1, 10))
    assert "blocks.1.shortcut.weight" in names
    assert "conv.weight" in names
    assert not any("norm" in name or "linear" in name or name.endswith("bias") for name in names)
