"""How often a diagnosis points to the better neighbour: ``python tests/benchmarks/diagnosis.py FOLDER...``.

Each FOLDER is of ``landscape.py``, complete, with several dense seeds. Of every cell with a hotter and a colder
neighbour at the same load, the better one is that of the lower mean test error. Advice is what
:func:`metrics.diagnosis.diagnose` says of the cell with the thresholds of its study; "sign of mc" is colder if it is
positive, hotter if negative; "always colder" knows nothing. Baselines take one number of the cell, training loss,
validation error or trace of the Hessian, with one threshold and one direction, which are fitted on the other folders
and never on the one they are counted on; without others they are left out. Where the difference of the neighbours,
paired by dense seed, lies within its 95 % interval (Student's), nobody knows which is better: "clear" are the cells
where it does not. Shares have Wilson's 95 % intervals, as if cells were independent, which neighbours are not: they
are too narrow.

Then, for every cell with advice and such a neighbour, whether following it lowers the test error; and of cells in
Phase I, if the load is the width, whether the next wider model is better than the cell and than both of its neighbours.
Asserts nothing.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from metrics.diagnosis import diagnose, hotter_or_colder
from metrics.intervals import mean_interval
from sweeps.results.landscape_table import landscape_tables
from sweeps.results.store import Store
from sweeps.spec.landscape import Landscape

BASELINES = {"training loss": "train_loss", "validation error": "validation_error", "Hessian trace": "hessian_trace"}
Z = 1.959964


@dataclass(frozen=True)
class Cell:
    """One temperature and load.

    Attributes:
        values: Its row of the landscape's table.
        errors: Test errors of its dense models by seed.
        advice: Colder, hotter, larger or none; empty where no phase is known.
    """

    values: Mapping[str, float]
    errors: Mapping[int, float]
    advice: str

    @property
    def error(self) -> float:
        """Mean test error; NaN without models."""
        return float(np.mean([*self.errors.values()])) if self.errors else math.nan


@dataclass(frozen=True)
class Place:
    """A cell and those beside it, None where there is none."""

    cell: Cell
    hotter: Cell | None
    colder: Cell | None
    wider: Cell | None

    @property
    def better(self) -> str:
        """The better of both neighbours; empty without both, and if they are equal."""
        difference = _difference(self.hotter, self.colder)
        mean = mean_interval(difference).mean
        return "" if math.isnan(mean) or mean == 0 else "colder" if mean > 0 else "hotter"

    @property
    def is_clear(self) -> bool:
        """Whether their difference lies outside its interval."""
        return is_clear(_difference(self.hotter, self.colder))


def _difference(first: Cell | None, second: Cell | None) -> list[float]:
    """Test errors of one cell minus those of another, by dense seeds that both have."""
    if first is None or second is None:
        return []
    return [first.errors[seed] - second.errors[seed] for seed in first.errors.keys() & second.errors.keys()]


def is_clear(differences: Sequence[float]) -> bool:
    """Whether 0 is outside the 95 % interval of these, which are known."""
    _, low, high = mean_interval(differences)
    return low > 0 or high < 0


def places(store: Store) -> list[Place]:
    """All cells of a landscape with those beside them."""
    study = store.spec()
    assert isinstance(study, Landscape), f"{store.folder} holds no landscape"
    dense = {(row["dense"], row["epoch"]): row for row in store.rows("dense") if row["status"] == "ok"}
    cells = {}
    rows = landscape_tables(study, store)["landscape"].to_dict("records")
    for stage, row in zip(study.connections(), rows, strict=True):
        models = {run.seed: dense.get((run.key, stage.epoch)) for run in stage.runs}
        errors = {seed: model["test_error"] for seed, model in models.items() if model is not None}
        found = diagnose(row["train_loss"], row["mc"], row["cka"], study.phase_thresholds)
        cells[row["temperature"], row["load"]] = Cell(row, errors, found.change if found else "")
    temperatures, loads = study.hot_to_cold, sorted(study.loads)
    found = []
    for (temperature, load), cell in cells.items():
        place, at = temperatures.index(temperature), loads.index(load)
        hotter, colder = (
            cells.get((temperatures[other], load)) if 0 <= other < len(temperatures) else None
            for other in (place - 1, place + 1)
        )
        wider = cells.get((temperature, loads[at + 1])) if study.load == "width" and at + 1 < len(loads) else None
        found.append(Place(cell, hotter, colder, wider))
    return found


def wilson(right: int, of: int) -> str:
    """A share with Wilson's interval (Wilson 1927), for a table."""
    if of == 0:
        return "–"
    share, square = right / of, Z**2 / of
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return f"{right} of {of}: {share:.2f} ({middle - half:.2f} to {middle + half:.2f})"


Advice = Callable[[Place], str]


def fitted(name: str, others: Sequence[Place]) -> Advice | None:
    """Advice from one number, with the threshold and direction that are right most often elsewhere."""
    known = [place for place in others if place.better and not math.isnan(place.cell.values[name])]
    if not known:
        return None
    values = sorted({place.cell.values[name] for place in known})
    borders = [-math.inf, *((low + high) / 2 for low, high in pairwise(values))]

    def rule(border: float, above: str) -> Advice:
        below = "hotter" if above == "colder" else "colder"
        return lambda place: above if place.cell.values[name] > border else below

    rules = [rule(border, above) for border in borders for above in ("colder", "hotter")]
    return max(rules, key=lambda advise: sum(advise(place) == place.better for place in known))


def share(own: Sequence[Place], advise: Advice) -> tuple[int, int]:
    """How often advice to change the temperature is right, and of how many cells that have it."""
    advised = [(advise(place), place.better) for place in own if place.better]
    given = [(said, better) for said, better in advised if said in ("hotter", "colder")]
    return sum(said == better for said, better in given), len(given)


def lines(folder: str, own: Sequence[Place], others: Sequence[Place]) -> list[str]:
    """Rows of the table of a folder."""
    advisers: dict[str, Advice | None] = {
        "diagnosis": lambda place: place.cell.advice,
        "sign of mc": lambda place: hotter_or_colder(place.cell.values["mc"]),
        "always colder": lambda place: "colder",
        **{name: fitted(column, others) for name, column in BASELINES.items()},
    }
    clear = [place for place in own if place.is_clear]
    rows = []
    for name, advise in advisers.items():
        if advise is not None:
            rows.append(f"| {folder} | {name} | {wilson(*share(own, advise))} | {wilson(*share(clear, advise))} |")
    return rows


def followed(own: Sequence[Place], advice: str) -> str:
    """How often following advice lowers the test error, of all cells that have it and a neighbour there."""
    moves = [
        (place, {"hotter": place.hotter, "colder": place.colder, "larger": place.wider}[advice])
        for place in own
        if place.cell.advice == advice
    ]
    there = [(place, to) for place, to in moves if to is not None]
    lower = sum(mean_interval(_difference(place.cell, to)).mean > 0 for place, to in there)
    return wilson(lower, len(there))


def wider_is_best(own: Sequence[Place]) -> str:
    """How often in Phase I the wider model is better than both neighbours of the cell."""
    known = [place for place in own if place.cell.values["phase"] == "I" and place.wider is not None]
    best = 0
    for place in known:
        assert place.wider is not None
        besides = [each.error for each in (place.cell, place.hotter, place.colder) if each is not None]
        best += place.wider.error < min(besides)
    return wilson(best, len(known))


def _always(change: str, place: Place) -> str:
    return change


def main() -> None:
    """Print the tables, in Markdown."""
    found = {folder.rstrip("/").rpartition("/")[2]: places(Store(folder)) for folder in sys.argv[1:]}
    print("| grid | advice by | better neighbour | where it is clear |\n|---|---|---|---|")
    for folder, own in found.items():
        others = [place for name, each in found.items() if name != folder for place in each]
        print("\n".join(lines(folder, own, others)))
    print(
        "\n| grid | cells | both neighbours | clear | colder lowers the error | hotter | wider | wider is best in I |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for folder, own in found.items():
        counts = len(own), sum(bool(place.better) for place in own), sum(place.is_clear for place in own)
        moves = [followed(own, advice) for advice in ("colder", "hotter", "larger")]
        print(f"| {folder} | {' | '.join(map(str, counts))} | {' | '.join(moves)} | {wider_is_best(own)} |")
    for change in ("colder", "hotter"):
        every = [place for own in found.values() for place in own]
        advised = [place for place in every if place.cell.advice == change]
        always = partial(_always, change)
        numbers = *share(advised, always), *share(every, always)
        print(f"\nHITS of {change}: {numbers}")


if __name__ == "__main__":
    main()
