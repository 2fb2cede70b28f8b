"""Which of the temperatures evaluated at a load is the answer: by the boundary, by errors, or by both."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from sweeps.case_studies.boundary import Row
from sweeps.case_studies.error_surface import ErrorSurface
from sweeps.results.phase_schema import best_end

Choice = Literal["weighed", "boundary", "best-visited"]

TIE = 0.1
"""Temperatures are equal whose mean errors differ by less than this many standard deviations of the difference: of such
two, one is the better one with less than 0.54. Ours."""


def best_visited(rows: Sequence[Row], select_by: str) -> float | None:
    """The lowest error, or the highest score; of equals the one visited last, which is nearer to the boundary.

    None if none is known.
    """
    known = [row for row in reversed(rows) if not math.isnan(row.get(select_by, math.nan))]
    best = best_end(select_by).of
    return best(known, key=lambda row: row[select_by])["temperature"] if known else None


def weighed(
    surface: ErrorSurface, places: Mapping[float, int], costs: Mapping[float, float]
) -> tuple[float, list[float]]:
    """The lowest mean error without noise; of equals the one that is cheapest to train.

    Args:
        surface: Of all cells.
        places: Of the load's temperatures, their places in it.
        costs: What training costs, by temperature; where none is given all cost the same.

    Returns:
        The temperature, and those that are equal to it but cost more.
    """
    best = min(places, key=lambda temperature: float(surface.mean[places[temperature]]))

    def is_equal(temperature: float) -> bool:
        both = places[best], places[temperature]
        return bool(surface.mean[both[1]] - surface.mean[both[0]] <= TIE * surface.deviation(*both))

    equal = [temperature for temperature in places if is_equal(temperature)]
    chosen = min(equal, key=lambda each: (costs.get(each, 0.0), float(surface.mean[places[each]])))
    return chosen, [each for each in equal if costs.get(each, 0.0) > costs.get(chosen, 0.0)]


def witnesses(
    chosen: float, boundary: float, errors: Mapping[float, float], select_by: str, dearer: Sequence[float]
) -> str:
    """Which of its two witnesses decided a weighed choice, for a person.

    Args:
        chosen: The answer.
        boundary: The coldest connected temperature.
        errors: That were measured, by temperature.
        select_by: Their column.
        dearer: Temperatures as good, that cost more.
    """
    if len(errors) == 1:
        return "the boundary; no other temperature was evaluated"
    end = best_end(select_by)
    least = end.of(errors.values())
    lowest = chosen if errors.get(chosen) == least else end.of(errors, key=errors.__getitem__)
    if dearer and chosen != boundary:
        return f"as good as {' and '.join(f'{each:g}' for each in dearer)}, and cheaper to train"
    if chosen == boundary == lowest:
        return f"the boundary, and has the {end.most} {select_by}"
    if chosen == boundary:
        return f"the boundary; that {lowest:g} has a {end.more} {select_by} may be noise"
    if chosen == lowest:
        return f"where {select_by} is {end.most}, which outweighs that {boundary:g} is the boundary"
    border = "and" if boundary == lowest else f"and {boundary:g}"
    others = f"{lowest:g} has the {end.most} {select_by}, {border} is the boundary"
    return f"best by the errors of all cells together, though {others}"
