import math

import numpy as np
import pytest
from scipy import stats

from metrics.intervals import mean_interval, positive_interval


def test_it_is_students_interval():
    values = [0.1, 0.4, 0.25, 0.3]
    ours, known = mean_interval(values), stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert ours == pytest.approx((np.mean(values), *known), rel=1e-12)


def test_nan_are_left_out_and_few_values_have_no_interval():
    assert mean_interval([math.nan, 2.0]) == pytest.approx((2.0, math.nan, math.nan), nan_ok=True)
    assert all(map(math.isnan, mean_interval([])))
    assert mean_interval([1.0, 1.0, math.nan]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("confidence", [0, 1, math.nan])
def test_a_confidence_is_between_0_and_1(confidence):
    with pytest.raises(ValueError, match="confidence is"):
        mean_interval([1, 2], confidence)


def test_of_positive_values_it_is_that_of_their_logarithms():
    values = [1.4, 0.2, 1.1]
    logarithms = np.log(values)
    low, high = stats.t.interval(0.95, 2, logarithms.mean(), stats.sem(logarithms))
    assert positive_interval(values) == pytest.approx((0.9, math.exp(low), math.exp(high)))
    assert mean_interval(values).low < 0 < positive_interval(values).low


def test_of_other_values_it_is_the_plain_one_and_the_mean_is_never_outside():
    assert positive_interval([0.0, 1.0, 2.0]) == mean_interval([0.0, 1.0, 2.0])
    assert positive_interval([3.0, math.nan]) == pytest.approx((3.0, math.nan, math.nan), nan_ok=True)
    skewed = [*[1.0] * 50, 1e6]
    assert positive_interval(skewed).high == pytest.approx(np.mean(skewed))


def test_of_values_that_are_further_apart_than_numbers_go_it_has_no_end():
    assert positive_interval([1e-60, 1e10]) == (5e9, 0, math.inf)
