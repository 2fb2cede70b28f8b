import torch

from metrics.sparsity import density, density_by_layer


def test_density_weighs_layers_by_their_size():
    masks = {"a": torch.tensor([True, False]), "b": torch.tensor([[True] * 3, [False] * 3])}
    assert density_by_layer(masks) == {"a": 0.5, "b": 0.5}
    assert density(masks | {"c": torch.zeros(8, dtype=torch.bool)}) == 4 / 16
