"""How much time trials may take: what is counted, and when it is spent."""

import math

import pytest

from sweeps.running.budget import Budget, BudgetSpent, budget_of
from sweeps.running.options import RunOptions
from sweeps.spec.errors import UsageError


@pytest.mark.parametrize(
    ("resources", "seconds"),
    [
        ({}, 7200),
        ({"cpus_per_trial": 4}, 1800),
        ({"cpus_per_trial": 0.5}, 14400),
        ({"gpus_per_trial": 1, "cpus_per_trial": 8}, 7200),
        ({"gpus_per_trial": 0.25}, 28800),
    ],
)
def test_two_hours_of_a_core_or_of_a_gpu_if_trials_have_some_are_so_many_seconds_of_trials(resources, seconds):
    assert budget_of(2, RunOptions(**resources)) == Budget(seconds)


def test_without_hours_it_has_no_end():
    budget = budget_of(None, RunOptions())
    budget.spend(1e12)
    assert (budget.seconds, budget.spent) == (math.inf, 1e12)


def test_it_is_spent_when_all_trials_together_worked_for_so_long():
    budget = Budget(10)
    for seconds in (4, 0, 5):
        budget.spend(seconds)
    with pytest.raises(BudgetSpent):
        budget.spend(1)
    assert budget.spent == 10
    with pytest.raises(BudgetSpent):  # and stays so
        budget.spend(0)


@pytest.mark.parametrize(("hours", "said"), [(0, "0"), (-1, "-1"), (math.nan, "nan"), (math.inf, "inf")])
def test_what_is_no_positive_number_is_told_in_a_sentence(hours, said):
    with pytest.raises(UsageError) as error:
        budget_of(hours, RunOptions())
    assert str(error.value) == f"--budget {said}: it is a positive number of core hours."
