"""Where connectivity ends: the search of Algorithm 1 along the temperatures of one load."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Strategy = Literal["bisect", "step"]
Decision = Literal["hotter", "colder", "stop"]
Row = Mapping[str, Any]

UNDECIDED_ERRORS = 1.0
"""LMC is undecided within so many standard errors of its threshold."""

TREND_ERRORS = 2.0
"""LMC falls with heat, against the model, if it does by more than so many standard errors of the difference."""


@dataclass
class Visit:
    """A temperature that was evaluated.

    Attributes:
        row: What was measured, in the columns of the phase table.
        siblings: Siblings of each dense model.
        connected: Whether LMC is not below its threshold; None if it is undefined.
        decision: Where the search went from here.
        reason: Why.
    """

    row: Row
    siblings: int
    connected: bool | None
    decision: Decision = "stop"
    reason: str = ""


class BoundarySearch:
    """Looks for the coldest temperature that is still connected (Zhou et al. 2023, Algorithm 1; our interpretation).

    The paper describes: in Regime I raise the temperature step by step until LMC is close to zero; in Regime II lower
    it as long as LMC stays there. ``step`` does that. ``bisect`` evaluates the temperature that is as near to the start
    as at most ceil(log2 n) + 1 evaluations for n temperatures allow, and finds the same where connectivity only grows
    with heat. Where a hotter temperature turns out to be less connected than a colder one it goes on as ``step``.

    Both ends of the list are answers, too; if none is connected, the hottest is. A temperature whose LMC is undefined
    is left out of the list.

    Args:
        temperatures: From hot to cold, at least one.
        start: One of them, evaluated first.
        strategy: How to search.
        lmc_threshold: Siblings with an LMC below it are poorly connected.
        siblings: Siblings of each dense model at first.
        most_siblings: Where LMC is within its standard error of the threshold, or that error is unknown, as many
            siblings again are asked for, up to so many.
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
        """The coldest connected temperature, or the hottest; None before the end, or if LMC was never defined."""
        return self._end

    def tell(self, row: Row) -> None:
        """Take what was measured where :attr:`wanted` said: columns ``lmc``, and ``lmc_se`` if it is known."""
        assert self._wanted is not None
        here, (siblings, before) = self._wanted, self._more or (self._siblings, "")
        self._more = None
        lmc, error = row["lmc"], row.get("lmc_se", math.nan)
        text = before + (f"LMC {lmc:.3f}" if math.isnan(error) else f"LMC {lmc:.3f} ± {error:.3f}")
        undecided = not abs(lmc - self._threshold) > UNDECIDED_ERRORS * error  # also if the error is NaN
        if undecided and not math.isnan(lmc) and siblings < self._most:
            self._more = min(2 * siblings, self._most), f"{text} with {siblings} siblings was undecided; "
            return
        visit = Visit(row, siblings, None if math.isnan(lmc) else lmc >= self._threshold)
        self.visits.append(visit)
        self._wanted, self._end = self._next()
        visit.decision, because = self._decision(here)
        if visit.connected is None:
            found = f"LMC is undefined ({row.get('status', 'no value')}): left out"
        elif visit.connected:
            found = f"{text} is not below {self._threshold:g}: connected"
        else:
            found = f"{text} is below {self._threshold:g}: Regime I"
        if undecided and visit.connected is not None and not math.isnan(error):
            found += ", though within its standard error"
        visit.reason = f"{found}; {because}"

    def _decision(self, here: float) -> tuple[Decision, str]:
        if self._wanted is not None:
            order = self.temperatures
            to: Decision = "hotter" if order.index(self._wanted) < order.index(here) else "colder"
            stepping = self._strategy == "bisect" and not self._monotone()
            return to, f"{to}, to {self._wanted:g}" + ", by steps, since LMC falls with heat" * stepping
        if self._end is None:
            return "stop", "no temperature is left"
        known = self._known()
        if not known[self._end].connected:
            return "stop", "none is connected: the hottest is the answer"
        colder = [each for each in known if self._rank(each) > self._rank(self._end)]
        if not colder:
            return "stop", f"{self._end:g}, the coldest, is connected"
        return "stop", f"{self._end:g} is connected, {min(colder, key=self._rank):g} is not"

    def _rank(self, temperature: float) -> int:
        """0 for the hottest."""
        return self.temperatures.index(temperature)

    def _known(self) -> dict[float, Visit]:
        """Visits with an LMC."""
        return {visit.row["temperature"]: visit for visit in self.visits if visit.connected is not None}

    def _next(self) -> tuple[float | None, float | None]:
        """Temperature to evaluate, or, at the end, the boundary."""
        left_out = {visit.row["temperature"] for visit in self.visits if visit.connected is None}
        order = [temperature for temperature in self.temperatures if temperature not in left_out]
        if not order:
            return None, None
        start = min(range(len(order)), key=lambda index: abs(self._rank(order[index]) - self._rank(self._start)))
        known = self._known()
        marks = [known[temperature].connected if temperature in known else None for temperature in order]
        look = bisect if self._strategy == "bisect" and self._monotone() else step
        probe, boundary = look(marks, start)
        return (order[probe], None) if probe is not None else (None, order[boundary])

    def _monotone(self) -> bool:
        """Whether nothing speaks against connectivity growing with heat."""
        known = self._known()
        for hot in (visit for visit in known.values() if not visit.connected):
            for cold in known.values():
                if self._rank(hot.row["temperature"]) < self._rank(cold.row["temperature"]):
                    error = math.hypot(hot.row.get("lmc_se", math.nan), cold.row.get("lmc_se", math.nan))
                    falls = hot.row["lmc"] + TREND_ERRORS * error < cold.row["lmc"]  # False if the error is NaN
                    if cold.connected or falls:
                        return False
        return True


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
