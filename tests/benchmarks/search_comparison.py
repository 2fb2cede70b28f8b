"""What people would use instead of the search: ``python tests/benchmarks/search_comparison.py RESULTS [RESULTS ...]``.

On the tables of complete grids, folders or those recorded (``tests/sweeps/recorded/*.csv``): the search in its
variants, the grid, random search, Optuna's TPE, ASHA and the default temperature. All but Algorithm 1's boundary choose
by validation error, and are judged by the mean over all densities of the test error above the lowest; differences come
with 95 % intervals over the densities. Writes ``search_comparison.csv`` and ``.html`` into ``results``. ASHA needs the
validation errors on the way, which ``early_regime.py`` records; where there are none it is left out.
``search_comparison_live.py`` trains for real.
"""

import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, cycle, product
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import plotly.graph_objects as go
from comparisons import complete_grid, said
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning
from sweeps.plans.replay import replay
from sweeps.results.phase import rows_of
from sweeps.spec.spec import SweepSpec

RESULTS = Path("results")
"""Where its table and picture go: git ignores it."""

SEEDS = 40
"""Repetitions of what is random and cannot be computed exactly."""

CURVES = ("random", "random from default", "TPE", "TPE, 1 random")
"""Methods that can evaluate any number of temperatures."""

RUNGS = (25, 50, 100)
"""Percent of retraining at which ASHA compares."""


@dataclass(frozen=True)
class Cells:
    """All temperatures of one density, hot first.

    Attributes:
        select: Validation errors.
        test: Test errors.
        start: Index of the default recipe's temperature.
        early: Validation errors on the way, by percent of retraining; empty if they are not known.
    """

    select: list[float]
    test: list[float]
    start: int
    early: dict[int, list[float]]

    def regret(self, evaluated: Sequence[int]) -> float:
        """Regret of the lowest validation error among these."""
        return self.test[min(evaluated, key=self.select.__getitem__)] - min(self.test)


def random_search(cells: Cells, evaluations: int) -> float:
    """Expected regret, exactly."""
    return fmean(cells.regret(some) for some in combinations(range(len(cells.test)), evaluations))


def random_from_default(cells: Cells, evaluations: int) -> float:
    """The same, the first evaluation being the default."""
    others = [index for index in range(len(cells.test)) if index != cells.start]
    return fmean(cells.regret((cells.start, *some)) for some in combinations(others, evaluations - 1))


def tpe(cells: Cells, startup: int) -> list[float]:
    """Mean regret after 1, 2, ... different temperatures; one suggested again costs nothing."""
    regrets = np.zeros(len(cells.test))
    for seed in range(SEEDS):
        space = {"index": optuna.distributions.IntDistribution(0, len(cells.test) - 1)}
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
        search = OptunaSearch(space, metric="error", mode="min", sampler=sampler)
        evaluated: list[int] = []
        for trial in range(20 * len(cells.test)):
            suggestion = search.suggest(str(trial))
            assert isinstance(suggestion, dict)
            index = suggestion["index"]
            search.on_trial_complete(str(trial), {"error": cells.select[index]})
            if index not in evaluated:
                evaluated.append(index)
                regrets[len(evaluated) - 1] += cells.regret(evaluated) / SEEDS
            if len(evaluated) == len(cells.test):
                break
        for rest in range(len(evaluated), len(cells.test)):
            regrets[rest] += cells.regret(evaluated) / SEEDS
    return list(regrets)


def asha(cells: Cells) -> tuple[float, float]:
    """Mean cost, in evaluations, and mean regret of ASHA on all temperatures at once."""
    costs, regrets = [], []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(cells.test))
        scheduler = ASHAScheduler("percent", "error", "min", max_t=100, grace_period=RUNGS[0], reduction_factor=2)
        going = [SimpleNamespace(trial_id=str(index), index=int(index)) for index in order]
        for trial in going:
            scheduler.on_trial_add(None, trial)
        cost = 0.0
        for before, percent in zip((0, *RUNGS), RUNGS, strict=False):
            cost += len(going) * (percent - before) / 100
            if percent == 100:
                break
            result = {"percent": percent}
            going = [
                trial
                for trial in going
                if scheduler.on_trial_result(None, trial, result | {"error": cells.early[percent][trial.index]})
                != "STOP"
            ]
        costs.append(cost)
        regrets.append(cells.regret([trial.index for trial in going]))
    return fmean(costs), fmean(regrets)


def cells_of(spec: SweepSpec, table: pd.DataFrame, early: pd.DataFrame | None) -> dict[float, Cells]:
    """Cells of a table by density."""
    order = spec.hot_to_cold
    found = {}
    for load in spec.loads:
        rows = {row["temperature"]: row for row in rows_of(table) if row["load"] == load}
        percents = {}
        for percent in RUNGS[:-1] if early is not None else ():
            assert early is not None
            at = early[(early["load"] == load) & (early["share"] == percent / 100)]
            means = at.groupby("temperature")["validation_error"].mean()
            percents[percent] = [float(means[temperature]) for temperature in order]
        select, test = ([float(rows[each][name]) for each in order] for name in ("validation_error", "test_error"))
        found[load] = Cells(select, test, order.index(spec.default_temperature), percents)
    return found


def searches(spec: SweepSpec, table: pd.DataFrame) -> Iterator[tuple[str, float, int, float]]:
    """Every variant of the search: name, density, evaluations, regret."""
    for strategy, neighbours, choose in product(("step", "bisect"), (False, True), ("boundary", "best-visited")):
        how = Tuning(strategy, choose, neighbours=neighbours)  # type: ignore[arg-type]
        tuning = TemperatureTuning(spec.hot_to_cold, spec.loads, spec.default_temperature, spec.thresholds, how)
        replay(tuning, table)
        name = f"{strategy}{', neighbours' * neighbours}, {choose}"
        for answer in tuning.answers(table):
            assert answer.regret is not None
            yield name, answer.load, len(answer.visits), answer.regret


def compare(folder: str) -> pd.DataFrame:
    """One row for each method, density and number of evaluations."""
    spec, table = complete_grid(folder)
    recorded = Path(folder) / "early.csv"
    early = pd.read_csv(recorded) if recorded.exists() else None
    complete = early is not None and len(early) == 3 * len(spec.points()) * math.comb(len(spec.retrain_seeds), 2)
    cells = cells_of(spec, table, early if complete else None)
    rows: list[tuple[str, float, float, float]] = []
    for load, each in cells.items():
        count = len(each.test)
        rows.append(("default", load, 1, each.regret([each.start])))
        rows.append(("grid", load, count, each.regret(range(count))))
        exact: dict[str, Callable[[Cells, int], float]] = {
            "random": random_search,
            "random from default": random_from_default,
        }
        for name, expected in exact.items():
            rows += [(name, load, evaluations, expected(each, evaluations)) for evaluations in range(1, count + 1)]
        for name, startup in (("TPE", 10), ("TPE, 1 random", 1)):
            rows += [(name, load, place, regret) for place, regret in enumerate(tpe(each, startup), start=1)]
        if each.early:
            rows.append(("ASHA", load, *asha(each)))
    rows += list(searches(spec, table))
    return pd.DataFrame(rows, columns=["method", "density", "evaluations", "regret"]).assign(grid=Path(folder).stem)


def matched(rows: pd.DataFrame) -> pd.DataFrame:
    """Every variant of the search at every density, and what others reach there with as many evaluations."""
    ours = rows[rows["method"].str.contains("step|bisect")].sort_values(["grid", "density"], kind="stable")
    for other in (*CURVES, "default", "grid"):
        place = ["grid", "density", *(["evaluations"] if other in CURVES else [])]
        theirs = rows[rows["method"] == other].set_index(place)["regret"]
        ours = ours.assign(**{other: [theirs[tuple(cell)] for cell in ours[place].itertuples(index=False)]})
    return ours


def gains(ours: pd.DataFrame) -> pd.DataFrame:
    """How much less regret the search has than others: means over the densities with 95 % intervals."""
    variants = ours.groupby("method", sort=False)
    names = [*CURVES, "default", "grid"]
    return pd.DataFrame(
        {name: variants.apply(lambda some, name=name: said(some[name] - some["regret"])) for name in names}
    )


def draw(rows: pd.DataFrame) -> go.Figure:
    """Mean regret over all densities of all grids against mean evaluations."""
    figure = go.Figure()
    shortest = rows[rows["method"] == "grid"]["evaluations"].min()
    for method in CURVES:
        some = rows[(rows["method"] == method) & (rows["evaluations"] <= shortest)]
        curve = some.groupby("evaluations")["regret"].mean()
        figure.add_scatter(x=list(curve.index), y=list(curve), name=method, mode="lines+markers")
    asha = rows["method"] == "ASHA"
    where = " and ".join(rows[asha]["grid"].unique())
    points = rows[~rows["method"].isin(CURVES)].assign(method=rows["method"].where(~asha, f"ASHA, {where} only"))
    symbols = cycle(["square", "x", "circle", "circle-open", "diamond", "diamond-open", "star", "star-open"])
    means = points.groupby("method", sort=False)[["evaluations", "regret"]].mean()
    for (method, mean), symbol in zip(means.iterrows(), symbols, strict=False):
        marker = {"size": 12, "symbol": symbol}
        figure.add_scatter(x=[mean["evaluations"]], y=[mean["regret"]], name=str(method), mode="markers", marker=marker)
    figure.update_layout(
        title=f"Tuning the temperature: mean regret over all densities of {rows['grid'].nunique()} grids",
        xaxis_title="evaluated temperatures, mean over densities",
        yaxis={"title": "mean regret (test error above the lowest)", "rangemode": "tozero"},
        template="plotly_white",
        width=1000,
        height=560,
    )
    return figure


def main() -> None:
    """Run the comparison."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    rows = pd.concat([compare(folder) for folder in sys.argv[1:]], ignore_index=True)
    RESULTS.mkdir(exist_ok=True)
    rows.to_csv(RESULTS / "search_comparison.csv", index=False)
    draw(rows).write_html(RESULTS / "search_comparison.html", include_plotlyjs=True)
    with pd.option_context("display.width", 250):
        means = rows.groupby(["method", "grid"], sort=False)[["evaluations", "regret"]].mean().unstack()
        single = means[~means.index.isin(CURVES)].round(4)
        print(f"Mean evaluations and regret, by grid:\n{single.to_string()}\n")
        curves = rows[rows["method"].isin(CURVES)]
        curves = curves.pivot_table(index="evaluations", columns="method", values="regret").round(4)
        print(f"By evaluations, all grids:\n{curves.to_string()}\n")
        ours = matched(rows)
        means = ours.groupby("method", sort=False)[["evaluations", "regret", *CURVES]].mean().round(4)
        print(f"The search, and others with as many evaluations at every density:\n{means.to_string()}\n")
        print(f"How much less regret the search has, with 95 % intervals over densities:\n{gains(ours).to_string()}")


if __name__ == "__main__":
    main()
