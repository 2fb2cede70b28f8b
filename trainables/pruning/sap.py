"""Sparsity-informed adaptive pruning (SAP): the PQ Index of what is left decides how much a round removes.

Diao et al. 2023, Pruning Deep Neural Networks from a Sparsity Perspective, section 3 and algorithm 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.sparsity import P, Q, pq_index
from trainables.pruning.settings import Scope

ROUNDING = 1e-6
"""What lies so little beside a whole number of weights is that number: the rest is rounding of float64."""


@dataclass(frozen=True)
class SapSettings:
    """How much a round removes; the defaults are published.

    Attributes:
        scope: Weights that are one group, whose index decides how many of them go: those of an output neuron, which is
            a row of a layer's first dimension, of a layer, or all.
        p: Order of the smaller norm, above 0.
        q: Order of the larger one, above p.
        eta: Mass of the p-th powers of the removed weights over that of the kept ones that is thought not to matter, at
            least 0.
        gamma: Factor on the share that the index allows to remove, above 0.
        beta: Largest share of the active weights that a round removes, in [0, 1].
    """

    scope: Scope
    p: float = P
    q: float = Q
    eta: float = 0.0
    gamma: float = 1.0
    beta: float = 0.9


def least_kept(weights: Tensor, p: float, q: float, eta: float) -> int:
    """How many of a group's weights the lower bound wants kept.

    The bound is d (1 + eta)^(-q / (q - p)) (1 - I)^(p q / (q - p)) for d weights of PQ Index I (Diao et al. 2023,
    section 3), and what is kept is the next whole number; a bound that is one but for rounding is it.

    Args:
        weights: The active ones, of any shape, finite.
        p: As of :class:`SapSettings`.
        q: Likewise.
        eta: Likewise.

    Returns:
        From 1 to d; 0 for no weights. Of zeros alone, whose index is 0 by convention, d with eta = 0.
    """
    count = weights.numel()
    bound = count * (1 + eta) ** (-q / (q - p)) * (1 - pq_index(weights, p, q)) ** (p * q / (q - p))
    return min(max(math.ceil(bound - ROUNDING), 1), count)


def share_removed(weights: Tensor, settings: SapSettings) -> float:
    """Share of a group's active weights that a round removes: min(gamma (1 - m / d), beta), with m of d kept.

    Args:
        weights: The active ones, of any shape, finite.
        settings: Of the rule.

    Returns:
        In [0, beta]; 0 for no weights.
    """
    if weights.numel() == 0:
        return 0.0
    kept = least_kept(weights, settings.p, settings.q, settings.eta)
    return min(settings.gamma * (1 - kept / weights.numel()), settings.beta)


def removals(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], settings: SapSettings) -> list[int]:
    """How many weights a round removes from every group: the share times the active ones, rounded down.

    So a small group may lose none though its share is above 0. Rounding down is that of the published code.

    Args:
        weights: All prunable ones of the trained model by parameter name, finite; what is pruned is not looked at.
        masks: Boolean tensors of the same names and shapes, True where a weight is active.
        settings: Of the rule.

    Returns:
        Of each group, in the order of the names, and in a layer from row to row.
    """
    groups = zip(_groups(weights, weights, settings), _groups(masks, weights, settings), strict=True)
    active = [group[mask] for group, mask in groups]
    return [math.floor(share_removed(each, settings) * each.numel() + ROUNDING) for each in active]


def pruned_masks(
    weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], settings: SapSettings
) -> dict[str, Tensor]:
    """Masks after one round of SAP: of every group exactly its :func:`removals` go, the smallest magnitudes.

    Of equal magnitudes those that come first go first. The published code drops what lies below a threshold, so that
    ties block it: of many zeros and few other weights it drops none.

    Args:
        weights: As of :func:`removals`.
        masks: Likewise. They stay as they are.
        settings: Of the rule.
    """
    return _without(weights, masks, settings, removals(weights, masks, settings))


def masks_at_density(
    weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], settings: SapSettings, density: float
) -> dict[str, Tensor]:
    """Masks on the way to the next round, of an exact density: round((1 - density) n) of all n weights are gone.

    What the round would remove from every group is scaled by one factor in [0, 1] and rounded down; groups with the
    largest remainders lose one more, of equal ones those that come first. Our interpretation: SAP itself knows no
    densities.

    Args:
        weights: As of :func:`removals`.
        masks: Likewise, those before the round.
        settings: Of the rule.
        density: Of all prunable weights, from that after the round to that of the masks.

    Raises:
        ValueError: If SAP removes nothing, or the density is not between the two; one sentence.
    """
    total = sum(mask.numel() for mask in masks.values())
    active = sum(int(mask.count_nonzero()) for mask in masks.values())
    wanted = active - total + round((1 - density) * total)
    counts = removals(weights, masks, settings)
    most = sum(counts)
    if most == 0:
        raise ValueError("SAP removes no weight: in every group the magnitudes are too equal, or too few weights left")
    if not 0 <= wanted <= most:
        said = f"of {total} weights {active} are active, and {active - most} after this round"
        raise ValueError(f"density {density} is not between two rounds of SAP: {said}")
    scaled = [count * wanted // most for count in counts]
    remainders = [count * wanted % most for count in counts]
    for group in sorted(range(len(counts)), key=lambda group: -remainders[group])[: wanted - sum(scaled)]:
        scaled[group] += 1
    return _without(weights, masks, settings, scaled)


def _groups(tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor], settings: SapSettings) -> list[Tensor]:
    """Groups of tensors that have the names and shapes of the weights: flat views of one copy."""
    flat = torch.cat([tensors[name].detach().flatten() for name in weights])
    if settings.scope == "global":
        return [flat]
    if settings.scope == "layer":
        return list(flat.split([weight.numel() for weight in weights.values()]))
    rows = [weight[0].numel() for weight in weights.values() for _ in range(len(weight))]
    return list(flat.split(rows))


def _without(
    weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], settings: SapSettings, counts: list[int]
) -> dict[str, Tensor]:
    """Masks without so many active weights of every group."""
    kept = _groups(masks, weights, settings)
    for group, mask, count in zip(_groups(weights, weights, settings), kept, counts, strict=True):
        active = mask.nonzero().flatten()
        mask[active[group[active].abs().argsort(stable=True)[:count]]] = False
    parts = torch.cat(kept).split([weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}
