import math

import numpy as np
import pytest
import torch

from trainables.pruning.sap import SapSettings, least_kept, masks_at_density, pruned_masks, removals, share_removed

LAYER = SapSettings("layer")
SCOPES = pytest.mark.parametrize("scope", ["neuron", "layer", "global"])
ORDERS = pytest.mark.parametrize(("p", "q"), [(0.5, 1.0), (1.0, 2.0)])


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def layers():
    """Weights of very different sizes, and masks that keep about two thirds of them."""
    weights = {"conv": random(4, 3, 3, 3) ** 3, "linear": 0.01 * random(5, 16, seed=1) ** 5}
    return weights, {name: random(*weight.shape, seed=2) > -0.4 for name, weight in weights.items()}


def everything(weights):
    return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}


def one_of(count):
    weights = torch.zeros(count)
    weights[count // 2] = -2.0
    return weights


@ORDERS
@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000, 100_003])
def test_bounds_that_are_whole_numbers_are_not_raised_by_rounding(p, q, count):
    """k equal weights and zeros beside them have the bound k."""
    assert least_kept(one_of(count), p, q, 0.0) == 1
    assert least_kept(torch.full((count,), 0.1), p, q, 0.0) == count
    for kept in {1, math.ceil(count / 3), math.ceil(count / 2), count - 1} - {0}:
        weights = torch.cat([torch.full((kept,), 0.3), torch.zeros(count - kept)])
        assert least_kept(weights, p, q, 0.0) == kept


def test_a_bound_between_two_numbers_is_raised():
    """Of 1 and 4 the squared sum of roots over the sum is 9 / 5; with eta it is that over its square."""
    weights = torch.tensor([1.0, -4.0])
    assert least_kept(weights, 0.5, 1.0, 0.0) == 2
    assert least_kept(weights, 0.5, 1.0, 0.3) == 2  # 1.065
    assert least_kept(weights, 0.5, 1.0, 0.35) == 1  # 0.988
    assert least_kept(weights, 0.5, 1.0, 1e9) == 1
    assert least_kept(torch.empty(0), 0.5, 1.0, 0.0) == 0


@ORDERS
@pytest.mark.parametrize("eta", [0.0, 0.05, 0.4, 3.0])
def test_the_bound_is_the_formula_and_below_what_trying_all_numbers_finds(p, q, eta):
    for seed in range(20):
        sizes = np.sort(np.abs(random(50, seed=seed).double().numpy()) ** (1 + seed / 3))[::-1]
        found = least_kept(torch.tensor(sizes.copy()), p, q, eta)
        norms = [np.sum(sizes**order) ** (1 / order) for order in (p, q)]
        ratio = 50 ** (1 / q - 1 / p) * norms[0] / norms[1]
        assert found == max(1, math.ceil(50 * (1 + eta) ** (-q / (q - p)) * ratio ** (p * q / (q - p))))
        powers = sizes**p
        enough = [kept for kept in range(1, 51) if powers[kept:].sum() <= eta * powers[:kept].sum()]
        assert found <= enough[0]


def test_the_share_is_limited_by_gamma_and_beta():
    weights = one_of(4)  # one is kept
    assert share_removed(weights, LAYER) == 0.75
    assert share_removed(weights, SapSettings("layer", gamma=0.5)) == 0.375
    assert share_removed(weights, SapSettings("layer", beta=0.2)) == 0.2
    assert share_removed(one_of(100), LAYER) == 0.9
    assert share_removed(torch.empty(0), LAYER) == share_removed(torch.ones(7), LAYER) == 0.0
    assert share_removed(torch.zeros(7), LAYER) == 0.0


@pytest.mark.parametrize(("count", "left"), [(4, 1), (10, 1), (20, 2), (100, 10), (1000, 100)])
def test_ties_do_not_block_pruning(count, left):
    """A share of 0.9 of many zeros goes, of these the first."""
    weights = {"w": one_of(count)[None]}
    masks = pruned_masks(weights, everything(weights), LAYER)
    assert masks["w"][0].nonzero().flatten().tolist() == [count // 2, *range(count - left + 1, count)]


def test_of_equal_magnitudes_the_first_go_and_exactly_so_many():
    weights = {"w": torch.tensor([[2.0, -1.0, 1.0, 1.0, -1.0, 9.0]])}
    settings = SapSettings("layer", eta=1e9, gamma=0.4)  # one is kept, so a third of the weights goes
    masks = everything(weights)
    assert removals(weights, masks, settings) == [2]
    assert pruned_masks(weights, masks, settings)["w"].tolist() == [[True, False, False, True, True, True]]
    assert masks["w"].all()  # as it was


@SCOPES
def test_equal_weights_lose_none(scope):
    weights = {"a": torch.full((3, 4), -0.3), "b": torch.full((2, 2, 3, 3), 0.3)}
    masks = pruned_masks(weights, everything(weights), SapSettings(scope))
    assert all(mask.all() for mask in masks.values())


def test_a_group_whose_share_is_less_than_a_weight_loses_none():
    weights = {"w": torch.tensor([[0.0, 1.0, 1.0]])}
    masks = everything(weights)
    assert removals(weights, masks, SapSettings("layer", gamma=0.99)) == [0]
    assert removals(weights, masks, SapSettings("layer", beta=0.33)) == [0]
    assert removals(weights, masks, SapSettings("layer")) == [1]


def places(weights, scope):
    """Groups as lists of names and positions."""
    rows = [
        [(name, row * weight[0].numel() + place) for place in range(weight[0].numel())]
        for name, weight in weights.items()
        for row in range(len(weight))
    ]
    if scope == "neuron":
        return rows
    layers = [[place for row in rows for place in row if place[0] == name] for name in weights]
    return layers if scope == "layer" else [layers[0] + layers[1]]


@SCOPES
@ORDERS
@pytest.mark.parametrize(("eta", "gamma", "beta"), [(0.0, 1.0, 0.9), (0.3, 0.7, 0.5)])
def test_rounds_are_those_of_a_slow_loop(scope, p, q, eta, gamma, beta, layers):
    weights, masks = layers
    settings = SapSettings(scope, p, q, eta, gamma, beta)
    values = {name: weight.flatten().tolist() for name, weight in weights.items()}
    kept = {name: mask.flatten().tolist() for name, mask in masks.items()}
    for _ in range(3):
        counts = []
        for group in places(weights, scope):
            active = [(name, at) for name, at in group if kept[name][at]]
            d = len(active)
            sizes = [abs(values[name][at]) for name, at in active]
            norms = [sum(size**order for size in sizes) ** (1 / order) for order in (p, q)]
            ratio = d ** (1 / q - 1 / p) * norms[0] / norms[1] if d else 0
            m = max(1, math.ceil(d * (1 + eta) ** (-q / (q - p)) * ratio ** (p * q / (q - p)) - 1e-9))
            counts.append(int(d * min(gamma * (1 - m / d), beta) + 1e-9) if d else 0)
            for name, at in sorted(active, key=lambda place: abs(values[place[0]][place[1]]))[: counts[-1]]:
                kept[name][at] = False
        assert removals(weights, masks, settings) == counts
        masks = pruned_masks(weights, masks, settings)
        assert {name: mask.flatten().tolist() for name, mask in masks.items()} == kept
    assert {name: mask.shape for name, mask in masks.items()} == {name: each.shape for name, each in weights.items()}


def test_pruned_weights_are_not_looked_at(layers):
    weights, masks = layers
    others = {name: torch.where(masks[name], weight, torch.nan) for name, weight in weights.items()}
    for scope in ("neuron", "layer", "global"):
        found, expected = (pruned_masks(each, masks, SapSettings(scope)) for each in (others, weights))
        assert all(torch.equal(found[name], expected[name]) for name in weights)


@SCOPES
def test_between_two_rounds_every_density_is_exact(scope, layers):
    weights, masks = layers
    settings = SapSettings(scope)
    counts = removals(weights, masks, settings)
    active, total = (sum(int(each.sum()) for each in masks.values()), sum(each.numel() for each in masks.values()))
    groups = places(weights, scope)
    for gone in range(sum(counts) + 1):
        found = masks_at_density(weights, masks, settings, (active - gone) / total)
        assert sum(int(mask.sum()) for mask in found.values()) == active - gone
        lost = [sum(int((masks[n] & ~found[n]).flatten()[at]) for n, at in group) for group in groups]
        assert all(abs(each - count * gone / sum(counts)) < 1 for each, count in zip(lost, counts, strict=True))
    after = pruned_masks(weights, masks, settings)
    assert all(torch.equal(found[name], after[name]) for name in weights)


def test_the_largest_remainders_lose_one_more_and_of_equal_ones_the_first():
    weights = {"w": torch.stack([one_of(4), one_of(4), torch.ones(4), one_of(4)])}  # 3, 3, 0 and 3 may go
    settings, masks = SapSettings("neuron"), everything(weights)
    assert removals(weights, masks, settings) == [3, 3, 0, 3]
    lost = {gone: (~masks_at_density(weights, masks, settings, 1 - gone / 16)["w"]).sum(1).tolist() for gone in (4, 5)}
    assert lost == {4: [2, 1, 0, 1], 5: [2, 2, 0, 1]}


def test_densities_that_no_factor_gives_are_an_error(layers):
    weights, masks = layers
    equal = {name: torch.ones_like(weight) for name, weight in weights.items()}
    with pytest.raises(ValueError, match="SAP removes no weight: in every group the magnitudes are too equal"):
        masks_at_density(equal, masks, LAYER, 0.3)
    after = pruned_masks(weights, masks, LAYER)
    said = r"density {} is not between two rounds of SAP: of 188 weights {} are active, and {} after this round$"
    counts = [sum(int(mask.sum()) for mask in each.values()) for each in (masks, after)]
    for density in (0.01, 1.0):
        with pytest.raises(ValueError, match=said.format(density, *counts)):
            masks_at_density(weights, masks, LAYER, density)
