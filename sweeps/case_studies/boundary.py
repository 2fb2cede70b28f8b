"""Where connectivity ends: which temperature to evaluate next at a load, to find the coldest that is connected."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from metrics.border_posterior import border_posterior, connected_by_border
from metrics.regimes import Thresholds
from sweeps.results.phase import is_left_out
from sweeps.results.probabilities import connected_probabilities

Strategy = Literal["border", "step"]
Row = Mapping[str, Any]
Cell = tuple[float, float]
"""Temperature and load."""

KNOWN = 0.8
"""Whether a cell is connected counts as known from this probability on, else as undecided; a convention of ours."""

_TOLD_FROM = ("lmc", "lmc_se", "lmc_se_dense", "n_runs", "n_dense_seeds", "n_rows")
"""What probabilities are told from; a table of one's own may lack some."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Connectivity:
    """Which cells are connected, by all that was measured.

    Attributes:
        own: Probability that a cell is, by its own LMC; of shape (temperatures from hot to cold, loads ascending). NaN
            where it was not evaluated or cannot count.
        together: The same by all cells, of a border that moves one way with the load
            (:func:`~metrics.border_posterior.border_posterior`); known everywhere.
        from_border: How far each temperature is expected to be from the coldest that is connected, or, if none is, the
            hottest; as a share of the list, in [0, 1], of the same shape.
        loads: Of the columns.
    """

    own: Array
    together: Array
    from_border: Array
    loads: Array


def connectivity(
    rows: Mapping[Cell, Row], temperatures: Sequence[float], loads: Sequence[float], thresholds: Thresholds
) -> Connectivity:
    """Tell which cells are connected.

    Args:
        rows: Of the cells that were evaluated, in columns of the phase table; those that count are looked at
            (:func:`counts`). Where the noise of LMC is not known it counts as exact.
        temperatures: From hot to cold.
        loads: Ascending.
        thresholds: With a number for LMC.
    """
    own = np.full((len(temperatures), len(loads)), np.nan)
    cells = sorted(cell for cell, row in rows.items() if counts(row))
    if cells:
        table = {name: np.array([rows[cell].get(name, math.nan) for cell in cells], float) for name in _TOLD_FROM}
        told, exact = connected_probabilities(table, thresholds.lmc), table["lmc"] >= thresholds.lmc
        places = [[temperatures.index(cell[0]) for cell in cells], [loads.index(cell[1]) for cell in cells]]
        own[tuple(places)] = np.where(np.isnan(told), exact, told)
    return _by_all_cells(own, np.array(loads))


def as_expected(known: Connectivity, place: int, column: int) -> Connectivity:
    """What would be known if a cell, by its place in the lists, came out as is most probable."""
    own = known.own.copy()
    own[place, column] = float(known.together[place, column] >= 0.5)
    return _by_all_cells(own, known.loads)


def _by_all_cells(own: Array, loads: Array) -> Connectivity:
    posterior, count = border_posterior(own, loads), len(own)
    coldest = np.fmax(np.arange(count + 1) - 1, 0)
    distances = np.abs(np.arange(count)[:, None] - coldest) @ posterior / max(count - 1, 1)
    return Connectivity(own, connected_by_border(posterior), distances, loads)


def counts(row: Row) -> bool:
    """Whether a cell has an LMC, and not too many of its siblings diverged."""
    return not math.isnan(row["lmc"]) and not is_left_out(row)


def noise_is_known(row: Row) -> bool:
    """Whether the noise of LMC is: from siblings, or from dense seeds."""
    return not (math.isnan(row.get("lmc_se", math.nan)) and math.isnan(row.get("lmc_se_dense", math.nan)))


def is_undecided(probability: float) -> bool:
    """Whether it is not known of a cell if it is connected."""
    return 1 - KNOWN < probability < KNOWN


def next_probe(
    evaluated: Collection[int], together: Sequence[float], start: int, strategy: Strategy
) -> tuple[int | None, int]:
    """Where to go on at one load.

    Args:
        evaluated: Temperatures that were, as places in the list, which goes from hot to cold.
        together: Probability of each temperature that it is connected; what was evaluated is so from 0.5 on.
        start: Where to begin.
        strategy: ``step`` is Algorithm 1 as the paper describes it: in Regime I raise the temperature step by step
            until LMC is close to zero, in Regime II lower it as long as LMC stays there (Zhou et al. 2023). ``border``
            evaluates what is least known of what is undecided, but nothing that could make it need more than
            ceil(log2 n) + 1 evaluations of n temperatures, even if other loads misled it. What these tell well enough
            it does not evaluate.

    Returns:
        Place to evaluate next; if that is None, the other one is the boundary: the coldest connected temperature, or
        the hottest. It was evaluated.
    """
    if strategy == "step":
        return step([share >= 0.5 if place in evaluated else None for place, share in enumerate(together)], start)
    if not evaluated:
        return start, start
    connected = [place for place in evaluated if together[place] >= 0.5]
    last = max(connected, default=-1)  # the coldest that is; a hotter one that is not is an exception
    first = min((place for place in evaluated if place > last), default=len(together))
    after = 2 ** max(math.ceil(math.log2(len(together))) - len(evaluated), 0)  # outcomes that those left can tell apart
    between = range(last + 1, first)  # none of these was evaluated
    allowed = [place for place in between if max(place - last, first - place) <= after] or [(last + first) // 2]
    undecided = [place for place in between if is_undecided(together[place])]
    if undecided:
        among = [place for place in allowed if place in undecided] or allowed
        return min(among, key=lambda place: (abs(together[place] - 0.5), abs(place - start))), 0
    boundary = max((place for place in between if together[place] >= 0.5), default=max(last, 0))
    if boundary in evaluated:
        return None, boundary
    return min(allowed, key=lambda place: abs(place - boundary)), boundary


def step(connected: Sequence[bool | None], start: int) -> tuple[int | None, int]:
    """One step of Algorithm 1.

    Args:
        connected: For each temperature from hot to cold whether it is; None if it was not evaluated.
        start: Where to begin.

    Returns:
        Index to evaluate next; if that is None, the boundary is the other one, otherwise meaningless.
    """
    here = start
    if connected[start]:
        while here + 1 < len(connected) and connected[here + 1]:
            here += 1
        colder = here + 1
        return (colder if colder < len(connected) and connected[colder] is None else None), here
    while here > 0 and connected[here] is False:
        here -= 1
    return (here if connected[here] is None else None), here
