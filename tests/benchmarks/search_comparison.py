"""What people would use instead of the search: ``python tests/benchmarks/search_comparison.py TABLE [TABLE ...]``.

On recorded grids (:mod:`search_grids`; ``tests/sweeps/recorded/searches/*.csv``, and ``fashion-*.csv`` beside them):
the search in its variants, the default temperature, the whole grid, random search, Optuna's TPE, GP and BoTorch
samplers, and ASHA. All but Algorithm 1's boundary choose by validation error, and are judged by the mean over all
densities of the test error above the lowest (regret), and by what they cost: trainings of siblings and of dense models,
in retrainings of a sibling, for each density. Others can evaluate any number of temperatures, with one, two or three
siblings of each dense model; they are compared where they cost on a grid as much as the search does there (between two
numbers of temperatures interpolated linearly). Differences come with 95 % intervals, of a bootstrap over the densities
of all grids; several groups of dense seeds of one grid are averaged first.

Writes ``search_comparison.csv`` and ``.png`` into ``results``. ``--quick`` leaves out the GP and BoTorch, which take an
hour.
"""

import argparse
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pandas as pd
import torch
from comparisons import said
from ray.tune.schedulers import ASHAScheduler
from search_grids import RUNGS, SearchGrid, open_grid
from search_variants import VARIANTS, searches

from metrics.regimes import AUTO

FIXED = (-0.01, -0.02, -0.03, -0.04, -0.05, -0.06, -0.08, -0.1, -0.15)
"""Thresholds of LMC that are tried."""

SHOWN = 0.014
"""Largest regret of the picture."""

RESULTS = Path("results")
"""Where its table goes: git ignores it."""

SEEDS = {"TPE": 20, "TPE, 1 random": 20, "GP": 3, "BoTorch": 1}
"""Repetitions of what is random and cannot be computed exactly, with as many as there is time for."""

MOST_TRIALS = 12
"""A sampler that suggests the same temperatures again and again is left then; those cost nothing."""


@dataclass(frozen=True)
class Problem:
    """All temperatures of one density and group of seeds, hot first, with a number of siblings.

    Attributes:
        select: Validation errors.
        regrets: Test error above the lowest.
        start: Index of the default temperature.
        losses: Training losses on the way, by percent of retraining; empty if they are not known.
    """

    select: tuple[float, ...]
    regrets: tuple[float, ...]
    start: int
    losses: Mapping[int, tuple[float, ...]]

    def regret(self, evaluated: Sequence[int]) -> float:
        """Regret of the lowest validation error among these."""
        return self.regrets[min(evaluated, key=self.select.__getitem__)]


def random_search(problem: Problem) -> list[float]:
    """Expected regret after 1, 2, ... temperatures, exactly."""
    count = len(problem.select)
    return [fmean(problem.regret(some) for some in combinations(range(count), size)) for size in range(1, count + 1)]


def random_from_default(problem: Problem) -> list[float]:
    """The same, the first evaluation being the default."""
    others = [index for index in range(len(problem.select)) if index != problem.start]
    return [
        fmean(problem.regret((problem.start, *some)) for some in combinations(others, size))
        for size in range(len(others) + 1)
    ]


def sampled(name: str, sampler: Callable[[int], Any]) -> Callable[[Problem], list[float]]:
    """Mean regret of a sampler of Optuna that begins with the default; one suggested again costs nothing."""

    def regrets(problem: Problem) -> list[float]:
        count = len(problem.select)
        total = np.zeros(count)
        for seed in range(SEEDS[name]):
            study = optuna.create_study(sampler=sampler(seed))
            study.enqueue_trial({"index": problem.start})
            evaluated: list[int] = []
            for _ in range(MOST_TRIALS):
                trial = study.ask()
                index = trial.suggest_int("index", 0, count - 1)
                study.tell(trial, problem.select[index])
                if index not in evaluated:
                    evaluated.append(index)
                    total[len(evaluated) - 1] += problem.regret(evaluated)
                if len(evaluated) == count:
                    break
            total[len(evaluated) :] += problem.regret(evaluated)
        return list(total / SEEDS[name])

    return regrets


def samplers(quick: bool) -> dict[str, Callable[[Problem], list[float]]]:
    """Samplers of Optuna."""
    from optuna.samplers import GPSampler, TPESampler

    found: dict[str, Callable[[int], Any]] = {
        "TPE": lambda seed: TPESampler(seed=seed),
        "TPE, 1 random": lambda seed: TPESampler(seed=seed, n_startup_trials=1),
    }
    if not quick:
        from optuna_integration import BoTorchSampler

        found["GP"] = lambda seed: GPSampler(seed=seed, n_startup_trials=1)
        found["BoTorch"] = lambda seed: BoTorchSampler(seed=seed, n_startup_trials=1)
    return {name: sampled(name, sampler) for name, sampler in found.items()}


def asha(problem: Problem, seed: int) -> list[tuple[int, float]]:
    """Temperatures that ASHA evaluates by training loss, all at once, each with the share of retraining it gets."""
    order = np.random.default_rng(seed).permutation(len(problem.select))
    scheduler = ASHAScheduler("percent", "loss", "min", max_t=100, grace_period=RUNGS[0], reduction_factor=2)
    going = [SimpleNamespace(trial_id=str(index), index=int(index)) for index in order]
    for trial in going:
        scheduler.on_trial_add(None, trial)
    shares = dict.fromkeys(range(len(problem.select)), 1.0)
    for percent in RUNGS:
        left = []
        for trial in going:
            result = {"percent": percent, "loss": problem.losses[percent][trial.index]}
            if scheduler.on_trial_result(None, trial, result) == "STOP":
                shares[trial.index] = percent / 100
            else:
                left.append(trial)
        going = left
    return list(shares.items())


def problems(grid: SearchGrid) -> Iterator[tuple[str, int, float, Problem]]:
    """Every group of seeds, number of siblings and density."""
    order = grid.spec.hot_to_cold
    for group, by_siblings in grid.rows.items():
        for siblings, rows in by_siblings.items():
            for load in grid.spec.loads:
                cells = [rows[temperature, load] for temperature in order]
                losses = {
                    rung: tuple(float(cell[f"loss_{rung}"]) for cell in cells)
                    for rung in RUNGS
                    if all(f"loss_{rung}" in cell for cell in cells)
                }
                regrets = tuple(grid.regret(temperature, load) for temperature in order)
                select = tuple(float(cell["validation_error"]) for cell in cells)
                start = order.index(grid.spec.default_temperature)
                yield group, siblings, load, Problem(select, regrets, start, losses)


def curves(grid: SearchGrid, quick: bool) -> Iterator[dict[str, Any]]:
    """Rows of methods that can evaluate any number of temperatures: cost and regret for each."""
    order, loads = grid.spec.hot_to_cold, grid.spec.loads
    start = order.index(grid.spec.default_temperature)
    methods = {"random": random_search, "random from default": random_from_default} | samplers(quick)
    for group, siblings, load, problem in problems(grid):
        for name, method in methods.items():
            if siblings < max(grid.rows[group]) and not name.startswith("random"):
                continue
            for evaluated, regret in enumerate(method(problem), start=1):
                place = {"grid": grid.name, "group": group, "density": load}
                cost = expected_cost(grid, siblings, evaluated, start if name != "random" else None)
                kind = f"{name}, {siblings} sibling{'s' * (siblings > 1)}"
                yield place | {"method": kind, "evaluated": evaluated, "cost": cost, "regret": regret}
        if problem.losses and siblings == max(grid.rows[group]):
            for seed in range(10):
                shares = asha(problem, seed)
                whole = [index for index, share in shares if share == 1]
                cells = {(temperature, at): siblings for temperature in order for at in loads}
                saved = 2 * siblings * sum(1 - share for _, share in shares)
                place = {"grid": grid.name, "group": group, "density": load, "method": "ASHA", "evaluated": len(order)}
                yield place | {"cost": grid.cost(cells, False) - saved, "regret": problem.regret(whole)}


def expected_cost(grid: SearchGrid, siblings: int, evaluated: int, start: int | None) -> float:
    """Expected cost for each density of so many temperatures, chosen at random at each of them by itself."""
    order, loads = grid.spec.hot_to_cold, grid.spec.loads
    alone = grid.cost({(order[0], load): siblings for load in loads}, False)
    if grid.spec.axis.is_one_training:
        return alone + 2 * siblings * (evaluated - 1)
    others = [temperature for index, temperature in enumerate(order) if index != start]
    drawn = evaluated - (start is not None)
    used = 1 - (1 - drawn / len(others)) ** len(loads)  # probability that a temperature is at some density
    dense = sum(grid.dense[temperature] for temperature in others) * used
    dense += 0 if start is None else grid.dense[order[start]]
    return alone - 2 * grid.dense[order[0]] / len(loads) + 2 * siblings * (evaluated - 1) + 2 * dense / len(loads)


def matched(rows: pd.DataFrame, ours: str) -> pd.DataFrame:
    """The search at every density of every grid, and what others have where they cost as much on that grid."""
    means = rows.groupby(["grid", "method", "evaluated", "density"], as_index=False)[["cost", "regret"]].mean()
    own = rows[rows["method"] == ours].groupby(["grid", "density"])[["cost", "regret"]].mean()
    found = own.rename(columns={"regret": "search"})
    for method, some in means[means["method"].str.contains("sibling")].groupby("method"):
        column = {}
        for grid, cells in some.groupby("grid"):
            cost = own.loc[grid, "cost"].mean()
            for density, curve in cells.groupby("density"):
                curve = curve.sort_values("cost")
                column[grid, density] = float(np.interp(cost, curve["cost"], curve["regret"]))
        found[method] = pd.Series(column)
    start = means[(means["evaluated"] == 1) & means["method"].str.startswith("random from default, 3")]
    found["default"] = start.set_index(["grid", "density"])["regret"]
    whole = means[means["method"].str.startswith("random from default, 3")]
    whole = whole[whole["evaluated"] == whole.groupby("grid")["evaluated"].transform("max")]
    found["whole grid"] = whole.set_index(["grid", "density"])["regret"]
    asha_rows = means[means["method"] == "ASHA"].set_index(["grid", "density"])
    found["ASHA"], found["ASHA cost"] = asha_rows["regret"], asha_rows["cost"]
    return found


def thresholds(grids: Sequence[SearchGrid]) -> pd.DataFrame:
    """Mean regret of the search with fixed thresholds, and how much less the automatic one has."""
    units = ["grid", "density"]

    def regrets(lmc: Any) -> "pd.Series[float]":
        rows = pd.DataFrame([row for grid in grids for row in searches(grid, {"search": {"lmc": lmc}})])
        return rows.groupby(units)["regret"].mean()

    automatic = regrets(AUTO)
    found = {f"{lmc:g}": regrets(lmc) for lmc in FIXED}
    return pd.DataFrame(
        {name: [regret.mean(), said(regret - automatic)] for name, regret in (*found.items(), ("auto", automatic))},
        index=["mean regret", "automatic: less by"],
    ).T


def draw(rows: pd.DataFrame, file: Path) -> None:
    """Mean regret over all grids and densities against cost, as a share of the whole grid's."""
    import matplotlib.pyplot as plt

    means = rows.groupby(["grid", "method", "evaluated"], as_index=False)[["cost", "regret"]].mean()
    whole = means[means["method"] == "random from default, 3 siblings"].groupby("grid")["cost"].max()
    means["share"] = means["cost"] / means["grid"].map(whole)
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for method, style in {
        "random from default, 3 siblings": "o-",
        "TPE, 3 siblings": "s--",
        "GP, 3 siblings": "^:",
    }.items():
        some = means[means["method"] == method]
        if len(some):
            curve = some[some["evaluated"] <= some.groupby("grid")["evaluated"].max().min()]
            curve = curve.groupby("evaluated")[["share", "regret"]].mean()
            axes.plot(curve["share"], curve["regret"], style, label=method)
    own = rows[rows["method"].isin(VARIANTS)].groupby(["method", "grid", "density"])[["cost", "regret"]].mean()
    own = own.groupby(["method", "grid"]).mean().reset_index()
    own["share"] = own["cost"] / own["grid"].map(whole)
    for name, mark in zip(VARIANTS, "*PXvD<", strict=True):
        at = own[own["method"] == name][["share", "regret"]].mean()
        beyond = f": {at['regret']:.4f}, not shown" if at["regret"] > SHOWN else ""
        axes.plot(at["share"], at["regret"], mark, markersize=11, linestyle="none", label=name + beyond)
    axes.set(xlabel="cost, as a share of the whole grid's", ylabel="mean regret", xlim=(0, 1.05), ylim=(0, SHOWN))
    axes.set_title(f"Mean over the densities of {rows['grid'].nunique()} grids")
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna|botorch|gpytorch")
    torch.set_num_threads(1)
    grids = [open_grid(path) for path in options.tables]
    rows = pd.DataFrame([row for grid in grids for row in (*searches(grid), *curves(grid, options.quick))])
    RESULTS.mkdir(exist_ok=True)
    rows.to_csv(RESULTS / "search_comparison.csv", index=False)
    draw(rows, RESULTS / "search_comparison.png")
    with pd.option_context("display.width", 250, "display.max_columns", 30):
        print(f"Thresholds of LMC:\n{thresholds(grids).to_string()}\n")
        ours = rows[rows["method"].isin(VARIANTS)]
        means = ours.groupby(["method", "grid"], sort=False)[["evaluated", "cost", "regret"]].mean()
        print(f"The search:\n{means.unstack(0)['regret'].round(4).to_string()}\n")
        print(f"Temperatures evaluated:\n{means.unstack(0)['evaluated'].round(2).to_string()}\n")
        print(f"Cost, in retrainings for each density:\n{means.unstack(0)['cost'].round(1).to_string()}\n")
        for variant in VARIANTS:
            found = matched(rows, variant)
            others = [name for name in found if name not in ("cost", "search", "ASHA cost")]
            if variant == "search (default)":
                print(f"Others at equal cost, by grid:\n{found.groupby('grid').mean().T.round(4).to_string()}\n")
                known = {grid: some.dropna(axis=1) for grid, some in found.groupby("grid")}
                by_grid = {
                    grid: {name: said(some[name] - some["search"]) for name in others if name in some}
                    for grid, some in known.items()
                }
                print(f"How much less regret it has, by grid:\n{pd.DataFrame(by_grid).to_string()}\n")
            gains = {name: said((found[name] - found["search"]).dropna()) for name in others}
            table = pd.DataFrame({"mean": found[others].mean().round(4), "less regret by": gains})
            print(
                f"{variant}, mean regret {found['search'].mean():.4f}, and others at equal cost:\n{table.to_string()}\n"
            )


if __name__ == "__main__":
    main()
