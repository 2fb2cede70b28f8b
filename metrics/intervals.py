"""Confidence intervals of means."""

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

CONFIDENCE = 0.95

MOST_LOGARITHM = math.log(sys.float_info.max)


class Interval(NamedTuple):
    """A mean, and how sure it is.

    Attributes:
        mean: Of the values that are no NaN; NaN if there are none.
        low: Where the interval begins, at most the mean; NaN for fewer than two values.
        high: Where it ends; likewise.
    """

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean of independent values, and Student's interval of it.

    Args:
        values: NaN are left out.
        confidence: How often such an interval has the true mean in it, in (0, 1).

    Raises:
        ValueError: If the confidence is not in (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence:g}; it is above 0 and below 1")
    known = [value for value in values if not math.isnan(value)]
    count = len(known)
    if count == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = math.fsum(known) / count
    if count == 1:
        return Interval(mean, math.nan, math.nan)
    variance = math.fsum((value - mean) ** 2 for value in known) / (count - 1)
    return students_interval(mean, math.sqrt(variance / count), count - 1, confidence)


def students_interval(mean: float, standard_error: float, degrees: int, confidence: float = CONFIDENCE) -> Interval:
    """Student's interval of a mean whose standard error is known with so many degrees of freedom, at least 1.

    Its ends are NaN if the standard error is.
    """
    from scipy.special import stdtrit  # a quarter of a second

    half = float(stdtrit(degrees, 0.5 + confidence / 2)) * standard_error
    return Interval(mean, mean - half, mean + half)


def positive_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean of values that spread over powers of ten, such as losses, and Student's interval from their logarithms.

    The interval is that of the geometric mean, and reaches to the mean where that lies outside. So it has no values in
    it that are not positive, as :func:`mean_interval` has of few values that differ much. If some are not positive
    themselves it is the interval of that.

    Args:
        values: NaN are left out.
        confidence: As of :func:`mean_interval`.
    """
    plain = mean_interval(values, confidence)
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2 or min(known) <= 0:
        return plain
    _, low, high = mean_interval([math.log(value) for value in known], confidence)
    high = math.inf if high > MOST_LOGARITHM else math.exp(high)
    return Interval(plain.mean, min(plain.mean, math.exp(low)), max(plain.mean, high))
