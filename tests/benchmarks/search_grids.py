"""Complete grids as searches see them: two dense seeds at a time, with one, two, ... siblings of each dense model.

A grid with 8 dense seeds is four searches' worth of data; what is best is judged by all of its seeds and siblings.
``python tests/benchmarks/search_grids.py RESULTS ...`` writes ``<grid>.csv`` of each folder into ``results/searches``:
a row for each group of dense seeds, number of siblings, temperature and density, in columns of the phase table, with
what it costs. Those recorded with this project are in ``tests/sweeps/recorded/searches``.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from comparisons import complete_grid

from sweeps.results.phase import phase_table, rows_of
from sweeps.results.recorded import open_recorded
from sweeps.results.store import Store
from sweeps.spec.presets import DEFAULT_PRESET, PRESETS
from sweeps.spec.spec import SweepSpec

OUT = Path("results/searches")
SEEDS = 2
"""Dense seeds of a search."""

RUNGS = (25, 50)
"""Percent of retraining at which the training loss is recorded, for ASHA."""

KEPT = [
    *("temperature_axis", "temperature", "load_axis", "load", "status", "lmc", "lmc_se", "lmc_se_dense", "cka"),
    *("validation_error", "validation_error_se", "validation_images", "test_error"),
    *("n_runs", "n_diverged", "n_dense_seeds"),
]

Cell = tuple[float, float]


@dataclass(frozen=True)
class SearchGrid:
    """What searches of one grid can see, and what it costs.

    Attributes:
        name: Of the grid.
        spec: Of the sweep, with its default temperature.
        rows: By group of dense seeds and number of siblings, by cell: columns of the phase table, ``loss_25`` and
            ``loss_50``. Of a table that was recorded without siblings by all of them alone, which is 3.
        truth: Test error of each cell over all seeds and siblings.
        dense: What a dense training costs, by temperature, in retrainings of a sibling.
        pair: What comparing two siblings costs, likewise.
    """

    name: str
    spec: SweepSpec
    rows: Mapping[str, Mapping[int, Mapping[Cell, dict[str, Any]]]]
    truth: Mapping[Cell, float]
    dense: Mapping[float, float]
    pair: float

    @cached_property
    def lowest(self) -> dict[float, float]:
        """The smallest test error of each load."""
        return {load: min(error for (_, at), error in self.truth.items() if at == load) for load in self.spec.loads}

    def regret(self, temperature: float, load: float) -> float:
        """Test error above the lowest of the load."""
        return self.truth[temperature, load] - self.lowest[load]

    def cost(self, siblings: Mapping[Cell, int], measured: bool) -> float:
        """Cost for each load, in retrainings: of siblings of cells, comparing them, and the dense models they need."""
        trained = SEEDS * sum(siblings.values())
        compared = SEEDS * sum(count * (count - 1) / 2 for count in siblings.values()) * self.pair if measured else 0
        temperatures = {temperature for temperature, _ in siblings}
        if self.spec.axis.is_one_training:
            dense = max(self.dense.values())
        else:
            dense = sum(self.dense[temperature] for temperature in temperatures)
        return (trained + compared + SEEDS * dense) / len(self.spec.loads)


def open_grid(path: str) -> SearchGrid:
    """A table that was recorded here, or one of complete grids of before, with 3 siblings and no times."""
    table = pd.read_csv(path)
    if "siblings" in table:
        return _recorded(Path(path).stem, table)
    spec, phase = complete_grid(path)
    rows = {(row["temperature"], row["load"]): row for row in rows_of(phase)}
    dense = dict.fromkeys(
        spec.temperatures, spec.axis.cost(max(spec.temperatures)) if spec.temperature == "rho" else 1.0
    )
    truth = {cell: row["test_error"] for cell, row in rows.items()}
    return SearchGrid(Path(path).stem, spec, {"1 2": {3: rows}}, truth, dense, pair=0.15)


def _recorded(name: str, table: pd.DataFrame) -> SearchGrid:
    rows: dict[str, dict[int, dict[Cell, dict[str, Any]]]] = {}
    for row in rows_of(table):
        by_siblings = rows.setdefault(str(row["dense_seeds"]), {})
        by_siblings.setdefault(int(row["siblings"]), {})[row["temperature"], row["load"]] = row
    first = table.drop_duplicates(["temperature", "load"])
    truth = {(row["temperature"], row["load"]): row["truth"] for row in rows_of(first)}
    dense = {row["temperature"]: row["dense_cost"] for row in rows_of(first)}
    return SearchGrid(name, _spec(table), rows, truth, dense, float(table["pair_cost"].iloc[0]))


def _spec(table: pd.DataFrame) -> SweepSpec:
    """What a search needs of the sweep: its axis, values, and default temperature."""
    axis, like = str(table["temperature_axis"].iloc[0]), PRESETS[DEFAULT_PRESET]
    own: dict[str, Any] = {axis: type(getattr(like, axis))(table["default_temperature"].iloc[0])}
    temperatures, densities = (tuple(sorted(set(table[name]))) for name in ("temperature", "load"))
    return replace(like, temperature=axis, temperatures=temperatures, densities=densities, **own)


def search_table(folder: str) -> pd.DataFrame:
    """What is recorded of a results folder."""
    store = Store(folder)
    past = open_recorded(folder, None)
    spec, points = past.spec, past.spec.points()
    seeds, most = sorted(spec.dense_seeds), len(spec.retrain_seeds)
    whole = past.table(spec.thresholds).set_index(["temperature", "load"])["test_error"].rename("truth")
    runs, pairs, dense = (store.table(name).to_pandas() for name in ("runs", "pairs", "dense"))
    retraining = runs["seconds"].mean()
    found = []
    for group in (seeds[first : first + SEEDS] for first in range(0, len(seeds) - SEEDS + 1, SEEDS)):
        own = [stage for stage in points if stage.point.dense.seed in group]
        for count in range(1, most + 1):
            some = [replace(stage, seeds=tuple(sorted(stage.seeds)[:count])) for stage in own]
            table = phase_table(some, store, spec.thresholds, spec.measurement)[KEPT]
            used = runs[runs["dense_seed"].isin(group) & runs["retrain_seed"].isin(sorted(spec.retrain_seeds)[:count])]
            losses = used.assign(**{f"loss_{rung}": _loss_at(used, rung) for rung in RUNGS})
            means = losses.groupby(["temperature", "load"])[[f"loss_{rung}" for rung in RUNGS]].mean()
            table = table.join(means, on=["temperature", "load"])
            found.append(table.assign(dense_seeds=" ".join(map(str, group)), siblings=count))
    table = pd.concat(found).join(whole, on=["temperature", "load"])
    keys = {stage.label.temperature: stage.run.key for stage in points if stage.run.seed == seeds[0]}
    times = dense.groupby("dense")["seconds"].max()  # of several epochs of one training the last
    by_temperature = {temperature: times[key] / retraining for temperature, key in keys.items()}
    return table.assign(
        default_temperature=spec.default_temperature,
        dense_cost=table["temperature"].map(by_temperature),
        pair_cost=pairs["seconds"].mean() / retraining,
    )


def _loss_at(runs: pd.DataFrame, percent: int) -> list[float]:
    return [losses[len(losses) * percent // 100 - 1] for losses in runs["losses"]]


def main() -> None:
    """Record the tables of folders."""
    OUT.mkdir(parents=True, exist_ok=True)
    for folder in sys.argv[1:]:
        name = OUT / f"{Path(folder).name}.csv"
        search_table(folder).round(6).to_csv(name, index=False)
        print(name)


if __name__ == "__main__":
    main()
