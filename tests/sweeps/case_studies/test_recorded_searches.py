"""On what searches see of this project's complete grids: the numbers of docs/case_studies.md."""

from functools import cache
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from comparisons import complete_grid, interval
from search_grids import open_grid
from search_variants import VARIANTS, searches

from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning
from sweeps.plans.replay import replay

FOLDER = Path(__file__).parents[1] / "recorded"
SEARCHED = ["digits", "digits-epochs", "digits-rho", "own-vgg"]
FASHION = ["fashion-batch-size", "fashion-epochs", "fashion-sam"]


@cache
def means():
    """Means over the groups of dense seeds, by variant, grid and density."""
    files = [*(FOLDER / "searches" / f"{name}.csv" for name in SEARCHED), *(FOLDER / f"{name}.csv" for name in FASHION)]
    rows = pd.DataFrame([row for file in files for row in searches(open_grid(str(file)))])
    return rows.groupby(["method", "grid", "density"])[["evaluated", "cost", "regret"]].mean()


def by_grid(variant, column):
    found = means().loc[variant][column].groupby("grid").mean()
    return [found[name] for name in (*SEARCHED, *FASHION)]


def test_regrets_by_grid():
    expected = {
        "search (default)": [0.0053, 0.0034, 0.0040, 0.0038, 0.0000, 0.0051, 0.0057],
        "search, threshold -0.05": [0.0067, 0.0029, 0.0064, 0.0007, 0.0000, 0.0051, 0.0044],
        "search, best-visited": [0.0082, 0.0032, 0.0057, 0.0038, 0.0000, 0.0051, 0.0046],
        "search, boundary": [0.0104, 0.0143, 0.0172, 0.0362, 0.0009, 0.0021, 0.0035],
        "step, boundary, threshold -0.05": [0.0116, 0.0118, 0.0123, 0.1886, 0.0009, 0.0041, 0.0035],
    }
    for variant, regrets in expected.items():
        assert by_grid(variant, "regret") == pytest.approx(regrets, abs=0.00006)
    assert set(expected) < set(VARIANTS)


def test_evaluations_and_cost():
    assert by_grid("search (default)", "evaluated") == pytest.approx([2.6, 2.0, 2.4, 2.6, 2.5, 2.0, 2.5], abs=0.051)
    assert means().loc["search (default)"]["cost"].mean() == pytest.approx(17.7, abs=0.06)


def test_weighing_both_witnesses_is_better_than_the_boundary_and_no_worse_than_errors_alone():
    own = means().loc["search (default)"]["regret"]
    gains = {name: interval(means().loc[name]["regret"] - own) for name in ("search, boundary", "search, best-visited")}
    assert gains["search, boundary"] == pytest.approx((0.0076, 0.0025, 0.0139), abs=0.00006)
    assert gains["search, best-visited"] == pytest.approx((0.0005, -0.0005, 0.0017), abs=0.00006)


def test_densities_searched_together_need_fewer_evaluations_and_keep_the_bound():
    together, alone, most = 0, 0, 0
    for grid in ("digits", "digits-epochs", *FASHION):
        spec, table = complete_grid(str(FOLDER / f"{grid}.csv"))

        def evaluations(loads, start, spec=spec, table=table):
            how = Tuning(choose="boundary")
            tuning = TemperatureTuning(spec.hot_to_cold, loads, start, spec.thresholds, how)
            replay(tuning, table)
            return [len(answer.visits) for answer in tuning.answers(table)]

        for start in spec.temperatures:
            counts = evaluations(spec.loads, start)
            together, most = together + sum(counts), max(most, *counts)
        alone += sum(sum(evaluations([load], start)) for start, load in product(spec.temperatures, spec.loads))
    assert (together, alone, most) == (412, 436, 4)
