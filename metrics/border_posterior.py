"""Where connectivity ends at every load, from what is known of some cells: probabilities of a monotone border."""

import numpy as np
import numpy.typing as npt

SLOPE = 0.6
"""Before anything is measured, the border is expected to move by so much of the list of temperatures where the load
grows by a factor of e: from one end to the other over a factor of five. On the recorded grids of five temperatures that
is about one from density to density. Our assumption."""

EXCEPTION = 0.05
"""Probability that a cell is on the other side of a monotone border than was measured without noise: trained models
follow the picture mostly, not always (of the 30 loads of five recorded grids, 23 are monotone in temperature)."""

Array = npt.NDArray[np.float64]


def border_posterior(connected: Array, loads: Array) -> Array:
    """Probabilities of how many temperatures are connected at each load.

    At each load the hottest temperatures are connected, so many of them as the border says, and the others are not; a
    larger load never has fewer (Zhou et al. 2023, figure 1: the border of Regime I moves to the cold as density grows).
    Before anything is known, how far it moves between two loads is exponential, with :data:`SLOPE`. That makes borders
    a Markov chain over the loads, so the probabilities are exact, by the forward-backward algorithm. Our
    interpretation.

    Args:
        connected: Probability that each cell is connected, in [0, 1], of shape (temperatures from hot to cold, loads
            ascending); NaN where nothing is known. They are taken as independent.
        loads: Of shape (loads,), positive and strictly ascending.

    Returns:
        Of shape (temperatures + 1, loads), columns with the sum 1: row j is that the j hottest are connected.
    """
    count = len(connected)
    known = ~np.isnan(connected)
    sure = np.clip(np.where(known, connected, 0.5), EXCEPTION, 1 - EXCEPTION)
    yes, no = (np.where(known, np.log(p), 0.0) for p in (sure, 1 - sure))
    none = np.zeros((1, len(loads)))
    likely = np.vstack([none, np.cumsum(yes, axis=0)]) + np.vstack([np.cumsum(no[::-1], axis=0)[::-1], none])
    rise = (np.arange(count + 1) - np.arange(count + 1)[:, None]) / count
    slopes = SLOPE * np.diff(np.log(loads))
    moves = [np.where(rise >= 0, -np.fmax(rise, 0) / slope, -np.inf) for slope in slopes]
    before, after = np.zeros((2, count + 1, len(loads)))  # in logarithms: cells that contradict each other add up
    for load in range(1, len(loads)):
        before[:, load] = _log_sum((likely[:, load - 1] + before[:, load - 1])[:, None] + moves[load - 1], axis=0)
        after[:, -load - 1] = _log_sum(moves[-load] + (likely[:, -load] + after[:, -load]), axis=1)
    posterior = before + likely + after
    weights = np.exp(posterior - posterior.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))


def connected_by_border(posterior: Array) -> Array:
    """Probability that each cell is connected, of shape (temperatures, loads), from :func:`border_posterior`.

    It falls from hot to cold, and grows with the load.
    """
    return np.asarray(np.cumsum(posterior[::-1], axis=0)[-2::-1])


def _log_sum(logs: Array, axis: int) -> Array:
    """Logarithm of the sum of exponentials."""
    return np.asarray(np.logaddexp.reduce(logs, axis=axis))
