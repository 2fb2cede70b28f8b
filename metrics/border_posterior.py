"""Where connectivity ends at every load, from what is known of some cells: probabilities of a monotone border."""

import numpy as np
import numpy.typing as npt

SPAN_ODDS = 1 / 32
"""How likely it is, before anything is measured, that between two neighbouring loads the border moves from one end of
the temperatures to the other, relative to that it stays; of a part of the way the power of that share. So five
temperatures halve it with each step. Our assumption."""

EXCEPTION = 0.05
"""Probability that a cell is on the other side of a monotone border than was measured without noise: trained models
follow the picture mostly, not always (of the 30 loads of five recorded grids, 23 are monotone in temperature)."""

Array = npt.NDArray[np.float64]


def border_posterior(connected: Array) -> Array:
    """Probabilities of how many temperatures are connected at each load.

    At each load the hottest temperatures are connected, so many of them as the border says, and the others are not; a
    larger load never has fewer (Zhou et al. 2023, figure 1: the border of Regime I moves to the cold as density grows).
    Before anything is known, borders are as likely as :data:`SPAN_ODDS` says. That makes them a Markov chain over the
    loads, so the probabilities are exact, by the forward-backward algorithm. Our interpretation.

    Args:
        connected: Probability that each cell is connected, in [0, 1], of shape (temperatures from hot to cold, loads
            ascending); NaN where nothing is known. They are taken as independent.

    Returns:
        Of shape (temperatures + 1, loads), columns with the sum 1: row j is that the j hottest are connected.
    """
    count, loads = connected.shape
    known = ~np.isnan(connected)
    sure = np.clip(np.where(known, connected, 0.5), EXCEPTION, 1 - EXCEPTION)
    yes, no = (np.where(known, np.log(p), 0.0) for p in (sure, 1 - sure))
    none = np.zeros((1, loads))
    logs = np.vstack([none, np.cumsum(yes, axis=0)]) + np.vstack([np.cumsum(no[::-1], axis=0)[::-1], none])
    likely = np.exp(logs - logs.max(axis=0))
    rise = np.arange(count + 1) - np.arange(count + 1)[:, None]
    moves = np.where(rise >= 0, SPAN_ODDS ** (np.maximum(rise, 0) / count), 0.0)
    before, after = np.ones((2, count + 1, loads))
    for load in range(1, loads):
        before[:, load] = _scaled((likely[:, load - 1] * before[:, load - 1]) @ moves)
        after[:, -load - 1] = _scaled(moves @ (likely[:, -load] * after[:, -load]))
    posterior = before * likely * after
    return np.asarray(posterior / posterior.sum(axis=0))


def connected_probabilities(posterior: Array) -> Array:
    """Probability that each cell is connected, of shape (temperatures, loads), from :func:`border_posterior`.

    It falls from hot to cold, and grows with the load.
    """
    return np.asarray(np.cumsum(posterior[::-1], axis=0)[-2::-1])


def _scaled(values: Array) -> Array:
    return np.asarray(values / values.sum())
