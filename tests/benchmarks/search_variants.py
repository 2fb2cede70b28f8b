"""The search in its variants on recorded grids: what it answers and costs. Needs neither Ray nor Optuna."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from search_grids import SearchGrid

from metrics.regimes import AUTO, Thresholds
from sweeps.case_studies.answer import Answer
from sweeps.case_studies.temperature_tuning import FIRST_SIBLINGS, TemperatureTuning, Tuning

VARIANTS: dict[str, dict[str, Any]] = {
    "search (default)": {},
    "search, threshold -0.05": {"lmc": -0.05},
    "search, best-visited": {"choose": "best-visited"},
    "search, boundary": {"choose": "boundary"},
    "step, weighed": {"strategy": "step"},
    "step, boundary, threshold -0.05": {"strategy": "step", "choose": "boundary", "lmc": -0.05},
}


def searched(grid: SearchGrid, group: str, thresholds: Thresholds, options: Mapping[str, Any]) -> list[Answer]:
    """Answers of the search on what a group of dense seeds knows."""
    spec, rows = grid.spec, grid.rows[group]
    known = rows[max(rows)]
    asks = FIRST_SIBLINGS in rows  # for siblings: of a table recorded with 3 of all cells it cannot
    how = Tuning(most_siblings=max(rows) if asks else 0, **options)
    costs = {temperature: spec.axis.cost(temperature) for temperature in spec.temperatures}
    tuning = TemperatureTuning(
        spec.hot_to_cold, spec.loads, spec.default_temperature, thresholds, how, FIRST_SIBLINGS if asks else 0, costs
    )
    while tuning.wanted:
        for request in tuning.wanted:
            cells = rows[request.siblings] if asks else known
            tuning.tell(request, cells[request.temperature, request.load])
    table = pd.DataFrame([dict(row) for row in known.values()])
    return tuning.answers(table.assign(regime=None))


def searches(grid: SearchGrid, variants: Mapping[str, Mapping[str, Any]] = VARIANTS) -> Iterator[dict[str, Any]]:
    """Rows of the search in its variants: what it answers, and costs, at each density and group of dense seeds."""
    for name, how in variants.items():
        options = dict(how)
        thresholds = Thresholds(options.pop("lmc", AUTO), grid.spec.cka_threshold)
        for group, rows in grid.rows.items():
            answers = searched(grid, group, thresholds, options)
            siblings = {
                (visit.row["temperature"], answer.load): visit.siblings or max(rows)
                for answer in answers
                for visit in answer.visits
            }
            for answer in answers:
                assert answer.temperature is not None
                place = {"grid": grid.name, "group": group, "density": answer.load, "method": name}
                regret = grid.regret(answer.temperature, answer.load)
                yield place | {"evaluated": len(answer.visits), "cost": grid.cost(siblings, True), "regret": regret}
