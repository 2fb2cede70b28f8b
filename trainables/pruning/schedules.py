"""How much of a model is pruned when, where that happens bit by bit. Imports no torch."""


def cubic_density(final: float, done: float, initial: float = 1.0) -> float:
    """Density that falls fast at first, and ever slower towards its end.

    Of densities what s_t = s_f (1 - (1 - t)^3) is of sparsities (Zhu and Gupta 2017, arXiv 1710.01878, equation 1; from
    a dense model on as in Lin et al. 2020, section 4).

    Args:
        final: Density at the end, in (0, 1].
        done: Share t of the pruning's time that has passed; below 0 as 0, above 1 as 1.
        initial: Density at the beginning, in [final, 1].

    Returns:
        In [final, initial].
    """
    left = 1 - min(max(done, 0.0), 1.0)
    return final + (initial - final) * left**3


def telescoping_share(total: float, round: int, rounds: int) -> float:
    """Share of what the rounds before left that a round prunes: first the most, in the end the least.

    Of a total share p, round k of n prunes p / (k p + n (1 - p)) (Lubana and Dick 2021, arXiv 2009.11839, on their
    protocol). So rounds 1 to k leave n (1 - p) / (k p + n (1 - p)) of all, and the last one exactly 1 - p.

    Args:
        total: Share of all that is gone after the last round, in [0, 1).
        round: From 1 to ``rounds``.
        rounds: How many there are.

    Returns:
        In [0, 1).
    """
    return total / (round * total + rounds * (1 - total))
