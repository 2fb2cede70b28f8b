"""Whether one sibling's training loss can do for LMC: ``python tests/benchmarks/one_sibling_first.py RESULTS ...``.

A search begins a cell with two siblings of each dense model, since LMC is of a pair. Here it begins with one: where the
training loss of that is clear, the cell counts as connected (a low loss) or as Regime I (a high one) without another
sibling; between two thresholds it goes on with two as ever. The thresholds are fitted on one complete grid and used on
another. Both searches are replayed on what is stored, with every sibling as the first one of every dense model, for all
dense seeds together and for each alone. Wants complete folders with three siblings and ``train_loss`` in ``runs``.

Losses are tried as they are, and relative to something (:data:`MEASURES`). Differences come with 95 % intervals, of a
bootstrap over the densities of the grids that were searched; groups of dense seeds, choices of siblings and grids that
thresholds were fitted on are averaged first.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from comparisons import RESAMPLES, interval
from search_grids import SEEDS, Cell
from sibling_losses import MEASURES, RELATIVE, Choice, Clear, SiblingGrid, area_under_curve, fit

from metrics.regimes import AUTO, Thresholds
from sweeps.case_studies.boundary import counts
from sweeps.case_studies.boundary_search import BoundarySearch
from sweeps.case_studies.temperature_tuning import FIRST_SIBLINGS, TemperatureTuning, Tuning
from sweeps.results.phase import resolved
from sweeps.spec.axes import TEMPERATURES

MOST_WRONG = (0.0, 0.05)
"""Shares of the cells on the sure sides of the thresholds that may be wrong on the grid that these are fitted on."""

CONNECTED, BARRIER = {"lmc": 0.0, "lmc_se": 0.0}, {"lmc": -1.0, "lmc_se": 0.0}
"""What a search is told in place of an LMC where the loss has decided; it takes both as exact."""

OWN: Literal["own"] = "own"
"""For thresholds that are fitted on the cells of the same search whose LMC was measured so far."""

Fit = tuple[str, str, float]
"""Grid, measure, and share that may be wrong."""


class LossFirst(BoundarySearch):
    """A search in which cells that the loss decided do not enter an LMC threshold that is found by itself."""

    @property
    def thresholds(self) -> Thresholds:
        """Boundaries of the regimes, of the cells whose LMC was measured."""
        rows = [dict(row) for _, row in sorted(self.rows().items()) if not row.get("by_loss")]
        return resolved(self._thresholds, pd.DataFrame(rows, columns=None if rows else ["lmc"]))


class OneSiblingFirst(TemperatureTuning):
    """The search, with such thresholds."""

    def __init__(self, grid: SiblingGrid, threshold: Any, most: int) -> None:
        spec = grid.spec
        axis = TEMPERATURES[spec.temperature]
        costs = {temperature: axis.cost(temperature) for temperature in spec.temperatures}
        thresholds = Thresholds(threshold, spec.cka_threshold)
        place = spec.hot_to_cold, spec.loads, grid.start, thresholds
        super().__init__(*place, Tuning(most_siblings=most), FIRST_SIBLINGS, costs)
        self._search = LossFirst(spec.hot_to_cold, self.loads, grid.start, thresholds, "border", FIRST_SIBLINGS, most)

    def clear(self, values: Mapping[Cell, float]) -> Clear:
        """What is clear by the cells whose LMC was measured so far."""
        measured = {cell: row for cell, row in self._search.rows().items() if counts(row) and not row.get("by_loss")}
        connected = [row["lmc"] >= self.thresholds.lmc for row in measured.values()]
        return fit(np.array([values[cell] for cell in measured]), np.array(connected, dtype=bool), 0.0)


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        boundaries: By load.
        regrets: Test error at its answer above the lowest, by load.
        paid: Siblings of each dense model, by cell.
        decided: Cells that the loss decided, and whether they are connected by it.
    """

    boundaries: Mapping[float, float | None]
    regrets: Mapping[float, float]
    paid: Mapping[Cell, int]
    decided: Mapping[Cell, bool]


def searched(
    grid: SiblingGrid,
    group: Sequence[int],
    choice: Choice,
    threshold: Any,
    clear: Clear | Literal["own"] | None = None,
    measure: str = "loss",
    most: int | None = None,
) -> Found:
    """Search, with two siblings first, or with one if it is said what is clear by the measure."""
    tuning = OneSiblingFirst(grid, threshold, grid.siblings if most is None else most)
    losses = grid.of_first(group, choice, measure)
    paid, decided = dict[Cell, int](), dict[Cell, bool]()
    while requests := tuning.wanted:
        sure = tuning.clear(losses) if clear == OWN else clear
        for request in requests:
            cell = request.temperature, request.load
            is_connected = sure.decides(losses[cell]) if sure and request.siblings == FIRST_SIBLINGS else None
            if is_connected is None:
                paid[cell] = request.siblings
                tuning.tell(request, grid.rows(group, choice, request.siblings)[cell])
                continue
            decided[cell], paid[cell] = is_connected, 1
            instead = CONNECTED if is_connected else BARRIER
            tuning.tell(request, grid.rows(group, choice, 1)[cell] | instead | {"by_loss": True})
    errors = grid.truth["test_error"]
    answers = tuning.answers(grid.truth.reset_index())
    lowest = errors.groupby("load").min()
    regrets = {answer.load: float(errors[answer.temperature, answer.load] - lowest[answer.load]) for answer in answers}
    return Found({answer.load: answer.boundary for answer in answers}, regrets, paid, decided)


def found_rows(
    grid: SiblingGrid, group: Sequence[int], choice: Choice, found: Found, usual: Found
) -> Iterator[dict[str, Any]]:
    """What a search found at each load, beside what the usual one did."""
    connected = grid.truth["connected"]
    for load in grid.spec.loads:
        own, best = found.boundaries[load], grid.boundary(load)
        decided = {cell: is_connected for cell, is_connected in found.decided.items() if cell[1] == load}
        siblings = [count for (_, at), count in found.paid.items() if at == load]
        yield {
            "grid": grid.name,
            "load": load,
            "seeds": len(group),
            "choice": " ".join(map(str, (*group, *choice))),
            "evaluated": len(siblings),
            "retrainings": len(group) * sum(siblings),
            "decided": len(decided),
            "wrong": sum(is_connected != connected[cell] for cell, is_connected in decided.items()),
            "as usual": own == usual.boundaries[load],
            "as grid": own == best,
            "regret": found.regrets[load],
        }


def replays(grids: Sequence[SiblingGrid], clears: Mapping[Fit, Clear], threshold: Any) -> Iterator[dict[str, Any]]:
    """All searches: of every grid, as usual, by what it measured itself, and by the thresholds of every grid."""
    data = {grid.name: grid.spec.data for grid in grids}
    first_measure = next(measure for _, measure, _ in clears)
    for grid in grids:
        for group in grid.groups:
            for choice in grid.choices(group):
                usual = searched(grid, group, choice, threshold)
                found = {("", "usual", np.nan): usual}
                found["", "two siblings at most", np.nan] = searched(
                    grid, group, choice, threshold, most=FIRST_SIBLINGS
                )
                found["", f"{first_measure}, by itself", np.nan] = searched(
                    grid, group, choice, threshold, OWN, first_measure
                )
                for named, clear in clears.items():
                    found[named] = searched(grid, group, choice, threshold, clear, named[1])
                for (fitted, way, most_wrong), one in found.items():
                    source = "-" if not fitted else "itself" if fitted == grid.name else "same data"
                    source = "other data" if fitted and data[fitted] != grid.spec.data else source
                    named_too = {"fitted": fitted, "source": source, "way": way, "most_wrong": most_wrong}
                    yield from (row | named_too for row in found_rows(grid, group, choice, one, usual))
        print(f"searched {grid.name}", flush=True)


def fits(grids: Sequence[SiblingGrid], measures: Sequence[str]) -> tuple[dict[Fit, Clear], pd.DataFrame]:
    """Thresholds by grid, measure and share that may be wrong, and a table of these with what they leave between."""
    clears, rows = dict[Fit, Clear](), list[dict[str, Any]]()
    for grid, measure in product(grids, measures):
        values, connected = grid.told(measure)
        for most_wrong in MOST_WRONG:
            clear = clears[grid.name, measure, most_wrong] = fit(values, connected, most_wrong)
            named = {"fitted": grid.name, "way": measure, "most_wrong": most_wrong}
            between = np.mean([clear.decides(value) is None for value in values]) if len(values) else 1.0
            area = area_under_curve(values, connected)
            rows.append(named | {"area": area, "low": clear.low, "high": clear.high, "between": between})
    return clears, pd.DataFrame(rows)


def with_best(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Searches, with those by the relative loss that left least between on the grid that it was fitted on once more."""
    relative = table[table["way"].isin(RELATIVE)]
    best = relative.loc[relative.groupby(["fitted", "most_wrong"])["between"].idxmin()]
    print("Best relative loss:\n" + best[["fitted", "most_wrong", "way"]].to_string(index=False))
    chosen = rows.merge(best[["fitted", "most_wrong", "way"]])
    return pd.concat([rows, chosen.assign(way="best relative")])


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """What each way costs and finds, by where its thresholds come from; means over the densities of grids."""
    units, usual = ["grid", "load"], rows[rows["way"] == "usual"]
    columns = ["evaluated", "retrainings", "decided", "wrong", "as usual", "as grid", "regret"]
    found = []
    for (way, most_wrong, where), some in rows.groupby(["way", "most_wrong", "source"], dropna=False):
        means = some.groupby(units)[columns].mean()
        base = usual.groupby(units)[columns].mean().loc[means.index]
        found.append(
            {
                "way": way,
                "most wrong": most_wrong,
                "fitted on": where,
                "retrainings": means["retrainings"].mean(),
                "fewer by": said(base["retrainings"] - means["retrainings"], 1),
                "decided": means["decided"].sum() / means["evaluated"].sum(),
                "wrong": ratio(means["wrong"], means["decided"]),
                "as usual": said(means["as usual"], 2),
                "as grid": means["as grid"].mean(),
                "more by": said(means["as grid"] - base["as grid"], 2),
                "regret more by": said(means["regret"] - base["regret"], 4),
            }
        )
    return pd.DataFrame(found)


def said(values: npt.ArrayLike, decimals: int) -> str:
    """Mean and interval for a table."""
    mean, low, high = (f"{value:.{decimals}f}" for value in interval(values))
    return f"{mean} ({low} to {high})"


def ratio(parts: "pd.Series[float]", wholes: "pd.Series[float]") -> str:
    """Sum of the one over that of the other, with the interval of a bootstrap over both together."""
    if not wholes.sum():
        return "-"
    drawn = np.random.default_rng(1).integers(len(parts), size=(RESAMPLES, len(parts)))
    sums = wholes.to_numpy()[drawn].sum(1)
    low, high = np.percentile(parts.to_numpy()[drawn].sum(1)[sums > 0] / sums[sums > 0], [2.5, 97.5])
    return f"{parts.sum() / wholes.sum():.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+")
    parser.add_argument("--lmc-threshold", default=AUTO, help="a number, or auto")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    options = parser.parse_args()
    threshold = options.lmc_threshold if options.lmc_threshold == AUTO else float(options.lmc_threshold)
    grids = [SiblingGrid(folder, threshold) for folder in options.results]
    clears, table = fits(grids, options.measures)
    with pd.option_context("display.width", 250, "display.max_columns", 30, "display.max_rows", 500):
        print(table.round(3).to_string(index=False))
        rows = with_best(pd.DataFrame(replays(grids, clears, threshold)), table)
        for seeds, some in rows.groupby("seeds", sort=False):
            print(f"\n{seeds} dense seeds:\n{summary(some).round(3).to_string(index=False)}")
        pairs = rows[(rows["seeds"] == SEEDS) & rows["way"].isin(["usual", options.measures[0]])]
        for grid, some in pairs.groupby("grid"):
            for fitted in table["fitted"].unique():
                of_pair = summary(some[some["fitted"].isin(["", fitted])])
                print(f"\nfitted on {fitted}, used on {grid}:\n{of_pair.round(3).to_string(index=False)}")


if __name__ == "__main__":
    main()
