"""Where a quantity crosses its threshold along the load, and monotone curves of that over the temperatures."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def crossing(values: Array, positions: Array, threshold: float, weights: Array) -> float:
    """Position at which values that on the whole grow along positions reach a threshold.

    Noise may cross it several times, so what is looked at is the values' isotonic regression, between its points
    interpolated linearly.

    Args:
        values: Of shape (n,), NaN where not known; these are left out.
        positions: Ascending, of shape (n,).
        threshold: In the unit of the values.
        weights: Of the values, positive, of shape (n,).

    Returns:
        In units of the positions; the first of them if no value lies below the threshold, the last if all do: then it
        lies there or outside. NaN without values.
    """
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    grown, at = _rising(values[known], weights[known]), positions[known]
    reached = grown >= threshold
    if reached.all() or not reached.any():
        return float(positions[0] if reached.all() else positions[-1])
    after = int(np.argmax(reached))
    share = (threshold - grown[after - 1]) / (grown[after] - grown[after - 1])
    return float(at[after - 1] + share * (at[after] - at[after - 1]))


def monotone(positions: Array, weights: Array) -> Array:
    """Isotonic regression of positions in the direction that fits them better, rising if both do.

    Args:
        positions: Of shape (n,), in order; NaN where not known, which stays so.
        weights: Of the positions, positive, of shape (n,).
    """
    known = ~np.isnan(positions)
    values, of_values = positions[known], weights[known]
    fits = [_rising(values, of_values), -_rising(-values, of_values)] if known.any() else [values]
    best = min(fits, key=lambda fit: float(np.sum(of_values * (values - fit) ** 2)))
    fitted = np.full(len(positions), np.nan)
    fitted[known] = best
    return fitted


def _rising(values: Array, weights: Array) -> Array:
    from scipy.optimize import isotonic_regression  # a quarter of a second

    return np.asarray(isotonic_regression(values, weights=weights).x)
