"""Where connectivity ends: the search of Algorithm 1 along the temperatures of one load."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sweeps.results.phase import diverged_of, is_left_out

Strategy = Literal["bisect", "step"]
Decision = Literal["hotter", "colder", "stop"]
Row = Mapping[str, Any]

UNDECIDED_ERRORS = 1.0
"""LMC is undecided within so many standard errors of its threshold: 68.3 % of normal noise, see :func:`noise`."""

CLEAR_ERRORS = 2.0
"""A difference of more than so many standard errors is taken for real: 95.4 % of normal noise, see :func:`noise`."""


@dataclass
class Visit:
    """A temperature that was evaluated.

    Attributes:
        row: What was measured, in the columns of the phase table.
        connected: Whether LMC is not below its threshold; None if it is undefined, or too many siblings diverged.
        decision: Where the search went from here.
        reason: Why.
    """

    row: Row
    connected: bool | None
    decision: Decision = "stop"
    reason: str = ""


def noise(row: Row, errors: float) -> float:
    """How far noise carries LMC, in units of error; NaN if its standard error is not known.

    A standard error from few siblings is itself uncertain, by a third with 4 degrees of freedom. So it is widened to
    the quantile of Student's t that covers as much as so many standard errors would if they were known exactly. Each
    sibling is a degree of freedom, but one for each dense seed, whose own mean is taken off; our interpretation, which
    holds in a simulation (``tests/sweeps/test_pair_noise.py``).

    Args:
        row: In columns of the phase table. Without ``n_runs`` and ``n_dense_seeds``, as in tables of one's own, the
            standard error counts as known exactly.
        errors: Number of standard errors.
    """
    freedom = float(row.get("n_runs", math.nan)) - float(row.get("n_dense_seeds", math.nan))
    if freedom > 0:  # not if it is NaN
        from scipy.special import ndtr, stdtrit  # half a second

        errors = float(stdtrit(freedom, ndtr(errors)))
    return errors * float(row.get("lmc_se", math.nan))


class BoundarySearch:
    """Looks for the coldest temperature that is still connected (Zhou et al. 2023, Algorithm 1; our interpretation).

    The paper describes: in Regime I raise the temperature step by step until LMC is close to zero; in Regime II lower
    it as long as LMC stays there. ``step`` does that. ``bisect`` evaluates the temperature that is as near to the start
    as at most ceil(log2 n) + 1 evaluations for n temperatures allow, and finds the same where connectivity only grows
    with heat. Where that is in doubt, because a barrier is clearly deeper than one at a colder temperature that may be
    none, it goes on as ``step`` and may need more.

    Both ends of the list are answers, too; if none is connected, the hottest is. A temperature whose LMC is undefined,
    or where too many siblings diverged (:data:`sweeps.results.phase.MOST_DIVERGED`), is left out of the list; at one
    that failed the search ends without an answer.

    Args:
        temperatures: From hot to cold, at least one.
        start: One of them, evaluated first.
        strategy: How to search.
        lmc_threshold: Siblings with an LMC below it are poorly connected.
        siblings: Siblings of each dense model at first.
        most_siblings: Where LMC is within its noise of the threshold (:data:`UNDECIDED_ERRORS`), or that is unknown, as
            many siblings again are asked for, up to so many.
    """

    def __init__(
        self,
        temperatures: Sequence[float],
        start: float,
        strategy: Strategy,
        lmc_threshold: float,
        siblings: int = 0,
        most_siblings: int = 0,
    ) -> None:
        self.temperatures, self.visits = list(temperatures), list[Visit]()
        self.failed = False
        self._ranks = {temperature: rank for rank, temperature in enumerate(temperatures)}  # 0 is the hottest
        self._start, self._strategy, self._threshold = start, strategy, lmc_threshold
        self._siblings, self._most = siblings, most_siblings
        self._more: tuple[int, str] | None = None
        self._wanted, self._end = self._next()

    @property
    def wanted(self) -> tuple[float, int] | None:
        """Temperature to evaluate next and with how many siblings; None at the end."""
        if self._wanted is None:
            return None
        return self._wanted, self._more[0] if self._more else self._siblings

    @property
    def boundary(self) -> float | None:
        """The coldest connected temperature, or the hottest; None before the end, or if there is no answer."""
        return self._end

    @property
    def found(self) -> bool:
        """Whether there is a connected temperature."""
        return self._end is not None and bool(self._known()[self._end].connected)

    def tell(self, row: Row) -> None:
        """Take what was measured where :attr:`wanted` said.

        Args:
            row: Columns of the phase table: ``temperature``, ``lmc``, and, if they are known, ``lmc_se``,
                ``lmc_se_dense``, ``status``, ``n_diverged``, ``n_runs`` and ``n_dense_seeds``.
        """
        assert self._wanted is not None
        here, (siblings, before) = self._wanted, self._more or (self._siblings, "")
        self._more = None
        lmc, error = float(row["lmc"]), float(row.get("lmc_se", math.nan))
        text = before + (f"LMC {lmc:.3f}" if math.isnan(error) else f"LMC {lmc:.3f} ± {error:.3f}")
        undecided = not abs(lmc - self._threshold) > noise(row, UNDECIDED_ERRORS)  # also if the error is NaN
        usable = not math.isnan(lmc) and not is_left_out(row)
        if undecided and usable and siblings < self._most:
            self._more = min(2 * siblings, self._most), f"{text} with {siblings} siblings was undecided; "
            return
        visit = Visit(row, lmc >= self._threshold if usable else None)
        self.visits.append(visit)
        if math.isnan(lmc) and row.get("status") == "failed":
            self._wanted, self.failed = None, True
            visit.reason = "it failed"
            return
        self._wanted, self._end = self._next()
        visit.decision, because = self._decision(here)
        visit.reason = f"{self._found(visit, text)}; {because}"

    def _found(self, visit: Visit, text: str) -> str:
        if is_left_out(visit.row):
            return f"{diverged_of(visit.row)} siblings diverged: left out"
        if visit.connected is None:
            return f"LMC is undefined ({visit.row.get('status', 'no value')}): left out"
        distance = abs(visit.row["lmc"] - self._threshold)
        found = f"{text} is not below" if visit.connected else f"{text} is below"
        found += f" {self._threshold:g}: {'connected' if visit.connected else 'Regime I'}"
        if distance <= noise(visit.row, UNDECIDED_ERRORS):
            return found + ", though within its noise"
        if distance <= visit.row.get("lmc_se_dense", math.nan):
            return found + ", though dense seeds differ by more"
        return found

    def _decision(self, here: float) -> tuple[Decision, str]:
        if self._wanted is not None:
            to: Decision = "hotter" if self._ranks[self._wanted] < self._ranks[here] else "colder"
            doubt = self._strategy == "bisect" and self._in_doubt()
            return to, f"{to}, to {self._wanted:g}" + ", by steps, since LMC falls with heat" * doubt
        if self._end is None:
            return "stop", "no temperature is left"
        known = self._known()
        if not known[self._end].connected:
            return "stop", "none is connected: the hottest is the answer"
        colder = [each for each in known if self._ranks[each] > self._ranks[self._end]]
        if not colder:
            return "stop", f"{self._end:g}, the coldest, is connected"
        return "stop", f"{self._end:g} is connected, {min(colder, key=self._ranks.__getitem__):g} is not"

    def _known(self) -> dict[float, Visit]:
        """Visits with an LMC."""
        return {visit.row["temperature"]: visit for visit in self.visits if visit.connected is not None}

    def _next(self) -> tuple[float | None, float | None]:
        """Temperature to evaluate, or, at the end, the boundary."""
        left_out = {visit.row["temperature"] for visit in self.visits if visit.connected is None}
        order = [temperature for temperature in self.temperatures if temperature not in left_out]
        if not order:
            return None, None
        rank = self._ranks[self._start]
        start = min(range(len(order)), key=lambda index: abs(self._ranks[order[index]] - rank))
        known = self._known()
        marks = [known[temperature].connected if temperature in known else None for temperature in order]
        look = step if self._strategy == "step" or self._in_doubt() else bisect
        probe, boundary = look(marks, start)
        return (order[probe], None) if probe is not None else (None, order[boundary])

    def _in_doubt(self) -> bool:
        """Whether something speaks against connectivity growing with heat.

        What does: a connected temperature colder than one that is not; or a barrier clearly deeper than one at a colder
        temperature that may be none, for all that noise allows.
        """
        known = self._known().values()
        for hot in (visit for visit in known if not visit.connected):
            for cold in (visit for visit in known if self._rank(visit) > self._rank(hot)):
                noises = [noise(visit.row, CLEAR_ERRORS) for visit in (hot, cold)]
                falls = hot.row["lmc"] + math.hypot(*noises) < cold.row["lmc"]  # not if one is NaN
                if cold.connected or (falls and cold.row["lmc"] + noises[1] >= self._threshold):
                    return True
        return False

    def _rank(self, visit: Visit) -> int:
        return self._ranks[visit.row["temperature"]]


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


def bisect(connected: Sequence[bool | None], start: int) -> tuple[int | None, int]:
    """As :func:`step`, in at most ceil(log2 n) + 1 evaluations, where connectivity only grows with heat."""
    if connected[start] is None:
        return start, start
    last = max((index for index, mark in enumerate(connected) if mark), default=-1)  # the coldest that is
    first = min((index for index, mark in enumerate(connected) if mark is False), default=len(connected))
    if first - last == 1:
        return None, max(last, 0)
    evaluated = sum(mark is not None for mark in connected)
    after = 2 ** max(math.ceil(math.log2(len(connected))) - evaluated, 0)  # outcomes that those left can tell apart
    between = range(last + 1, first)
    allowed = [probe for probe in between if max(probe - last, first - probe) <= after]
    return min(allowed or [(last + first) // 2], key=lambda probe: abs(probe - start)), max(last, 0)
