"""The panels of a phase diagram of the regimes of pruning."""

import math
from collections.abc import Sequence

from metrics.regimes import Thresholds, possible_regimes
from sweeps.results.phase_schema import HIGH_IS_GOOD, P_REGIMES, SCORES
from sweeps.views.layers import Cell, Layer, Panel, value_panel
from sweeps.views.shades import REGIME_COLORS, regime_scale

PANELS = {
    "test_error": "test error",
    "normalized_test_error": "normalised test error",
    "bleu": "BLEU of the test pairs",
    "lmc": "linear mode connectivity",
    "cka": "CKA",
    "regime": "regime",
}
"""Columns of the phase table that are drawn, with their titles."""

OF_SOME_TASKS = ("bleu",)
"""Panels that are left out, unless they are asked for, where nothing of them is known, also if nothing at all is."""


def figure(column: str, value: float) -> str:
    """A value of a column, for a person."""
    return f"{value:.2f}" if column in SCORES else f"{value:.4f}"


def panel_of(name: str, grid: Sequence[Sequence[Cell]], thresholds: Thresholds) -> Panel:
    """Panel of a column, over rows of cells of the phase table."""
    if name == "regime":
        possible = [[next(iter(others(cell)), "") for cell in row] for row in grid]
        return Panel(name, PANELS[name], tuple(P_REGIMES), _regime_layers(grid), possible)
    shown: tuple[float, ...] = ()
    if name == "lmc":
        shown = (thresholds.lmc, 0.0)
    elif name == "cka" and thresholds.rule == "fixed":
        shown = (thresholds.cka,)
    return value_panel(name, PANELS[name], grid, name in HIGH_IS_GOOD, shown)


def probabilities(cell: Cell) -> dict[str, float]:
    """Probability of each regime, where it is known."""
    chances = {regime: float(cell.get(column, math.nan)) for column, regime in P_REGIMES.items()}
    if math.isnan(chances["II-A"]):  # not told apart from II-B
        chances = {"I": chances["I"], "II": 1 - chances["I"]}
    return {regime: share for regime, share in chances.items() if not math.isnan(share)}


def others(cell: Cell) -> list[str]:
    """Other regimes that are possible, the likeliest first; II is none of II-A, from which it was not told apart."""
    told = cell["regime"]
    if not isinstance(told, str):
        return []
    possible = possible_regimes(*(float(cell.get(column, math.nan)) for column in P_REGIMES))
    return [regime for regime in possible if regime != told and not (regime == "II" and told.startswith("II-"))]


def _probability(cell: Cell) -> float:
    """Of the regime that is told."""
    chances = probabilities(cell)
    return chances.get(cell["regime"], chances.get("II", 1.0))


def _regime_layers(grid: Sequence[Sequence[Cell]]) -> list[Layer]:
    """A layer for each regime: its probability where it is the one told, or that of II, or 1, where it is not known."""
    told = {cell["regime"] for row in grid for cell in row}
    return [
        Layer(
            regime,
            [[_probability(cell) if cell["regime"] == regime else math.nan for cell in row] for row in grid],
            1 / 3,
            1.0,
            regime_scale(regime),
            labels=((1 / 3, "p ≤ ⅓"), (1.0, "p = 1")),
        )
        for regime in REGIME_COLORS
        if regime in told or (regime != "II" and "II" not in told)
    ]
