"""The phase diagram of the regimes of pruning: what of a phase table it shows."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from metrics.regimes import SURE, Thresholds
from sweeps.views.diagram import Grid, PhaseDiagram, Reading, arranged
from sweeps.views.layers import Cell, Panel
from sweeps.views.panels import OF_SOME_TASKS, PANELS, figure, others, panel_of, probabilities

BELOW = (
    *("normalized_test_error", "validation_error", "dense_validation_error"),
    *("validation_bleu", "dense_validation_bleu"),
)
"""Columns that are told of a cell, as far as they are known, beside those that are drawn."""


def phase_diagram(
    table: pd.DataFrame, hot_is_low: bool, thresholds: Thresholds, panels: Sequence[str] | None = None
) -> PhaseDiagram:
    """Arrange a phase table as rows of temperatures and columns of loads.

    Args:
        table: As :func:`sweeps.results.phase.phase_table` makes it.
        hot_is_low: Whether a low temperature value is hot.
        thresholds: Boundaries of the regimes, which colour bars show.
        panels: Which of :data:`~sweeps.views.panels.PANELS` to draw; all of which something is known if None.
    """
    grid = Grid.of(table, hot_is_low)
    wanted = [panel_of(name, grid.cells, thresholds) for name in dict.fromkeys(panels or PANELS)]
    drawn = [panel for panel in wanted if panel.is_known or panels is not None]
    drawn = drawn or [panel for panel in wanted if panel.name not in OF_SOME_TASKS]
    unsure = f"another regime is possible (this one's probability is below {SURE:g})"
    reading = Reading("regime", others, _hover, unsure, _diverged(table))
    notes = list(_notes(grid.all_cells(), drawn))
    return arranged(grid, reading, drawn, _rules(thresholds), notes, _seeds(table), _data(table, drawn))


def _rules(thresholds: Thresholds) -> str:
    similar = f"CKA at least {thresholds.cka:g}"
    if thresholds.rule == "relative":
        similar = f"CKA within {thresholds.margin:g} of the load's best"
    least = f"{thresholds.lmc:.3g} (found in these cells)" if thresholds.lmc_reason else f"{thresholds.lmc:g}"
    least = least.replace("-", "−")
    return f"Regime I: LMC below {least}. Regime II-B: connected, {similar}. Regime II-A: connected, less."


def _notes(cells: Sequence[Cell], panels: Sequence[Panel]) -> Iterator[str]:
    """Explain the colours of the regimes."""
    told = [cell for cell in cells if isinstance(cell["regime"], str)]
    if told and not any(map(probabilities, told)):
        yield "How sure the regimes are is not known."
    elif any(panel.name == "regime" for panel in panels):
        named = "; another one that is possible is below" if any(map(others, told)) else ""
        yield f"Regimes: the surer, the stronger the colour{named}."


def _diverged(table: pd.DataFrame) -> str:
    """How many siblings diverged, and what follows."""
    some = table[table["n_diverged"] > 0]
    return f"{some['n_diverged'].sum():g} siblings in {len(some)} cells; without a regime where a third or more did"


def _seeds(table: pd.DataFrame) -> str:
    """Numbers of models, from the fewest to the most of a cell that has any."""
    there = table[table["n_runs"] > 0]
    said = []
    for name, what in (("n_dense_seeds", "dense seed"), ("n_runs", "sibling")):
        if len(counts := there[name].dropna()):
            least, most = counts.min(), counts.max()
            number = f"{least:g}" if least == most else f"{least:g} to {most:g}"
            said.append(f"{number} {what}" + ("" if most == 1 else "s"))
    return f"{' and '.join(said)} in each cell" if said else ""


def _data(table: pd.DataFrame, panels: Sequence[Panel]) -> pd.DataFrame:
    """What is drawn: these columns of the phase table, and how uncertain the numbers are."""
    labels = ["temperature_axis", "temperature", "load_axis", "load", "status", "regime"]
    numbers = [column for panel in panels for column in panel.columns if not column.startswith("p_")]
    chances = [name for name in table if str(name).startswith("p_regime")]
    counts = ["n_dense_seeds", "n_runs", "n_pairs", "n_diverged"]
    spread = [f"{name}_se{of}" for name in numbers for of in ("", "_dense")]
    wanted = [*labels, *chances, *numbers, *spread, *counts]
    return table[[name for name in dict.fromkeys(wanted) if name in table]].reset_index(drop=True)


def _hover(cell: Cell) -> str:
    lines = [
        f"<b>{cell['temperature_axis']} {cell['temperature']:g}, {cell['load_axis']} {cell['load']:g}</b>",
        f"regime {cell['regime'] if isinstance(cell['regime'], str) else 'undefined'}, status {cell['status']}",
    ]
    if chances := probabilities(cell):
        lines.append("probability: " + ", ".join(f"{regime} {share:.2f}" for regime, share in chances.items()))
    for name in ("test_error", *(each for each in OF_SOME_TASKS if not math.isnan(cell[each])), "lmc", "cka"):
        spread = [(cell[f"{name}_se"], "siblings"), (cell[f"{name}_se_dense"], "dense seeds")]
        known = [f"± {figure(name, error)} over {what}" for error, what in spread if not math.isnan(error)]
        lines.append(" ".join([f"{name} {figure(name, cell[name])}", ", ".join(known)]))
    for name in BELOW:
        if not math.isnan(cell[name]):
            lines.append(f"{name} {figure(name, cell[name])}")
    if not math.isnan(cell["n_runs"]):
        lines.append(f"{cell['n_runs']:g} siblings, {cell['n_pairs']:g} pairs, {cell['n_dense_seeds']:g} dense seeds")
    if cell["n_diverged"] > 0:
        lines.append(f"{cell['n_diverged']:g} siblings diverged, and are in no mean")
    return "<br>".join(lines)
