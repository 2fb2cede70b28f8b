"""The diagram of the five phases of dense models: what of a table of a landscape it shows."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from metrics.five_phases import PHASES, PhaseThresholds
from metrics.intervals import Interval
from sweeps.results.landscape_schema import POSITIVE
from sweeps.results.phase_schema import HIGH_IS_GOOD
from sweeps.views.diagram import Grid, PhaseDiagram, Reading, arranged
from sweeps.views.layers import Cell, Layer, Panel, value_panel
from sweeps.views.shades import PHASE_COLORS
from sweeps.views.study_words import interval_words

LANDSCAPE_PANELS = {
    "train_loss": "training loss (log)",
    "mc": "mode connectivity, trained curve",
    "line_mc": "mode connectivity, straight line",
    "cka": "CKA",
    "hessian_eigenvalue": "largest Hessian eigenvalue (log)",
    "hessian_trace": "Hessian trace (log)",
    "test_error": "test error",
    "phase": "phase",
}
"""Columns of the table of a landscape that are drawn, with their titles; of POSITIVE ones, colours go by the logarithm,
as Yang et al. 2021 show them."""


def landscape_diagram(table: pd.DataFrame, hot_is_low: bool, panels: Sequence[str] | None = None) -> PhaseDiagram:
    """Arrange the table of a landscape as rows of temperatures and columns of loads.

    Args:
        table: In the columns of :data:`~sweeps.results.landscape_schema.LANDSCAPE`.
        hot_is_low: Whether a low temperature value is hot.
        panels: Which of :data:`LANDSCAPE_PANELS` to draw; all of which something is known if None, or all.
    """
    grid = Grid.of(table, hot_is_low)
    thresholds = PhaseThresholds(*(float(table[f"{name}_threshold"].iloc[0]) for name in ("loss", "mc", "cka")))
    wanted = [_panel(name, grid.cells, thresholds) for name in dict.fromkeys(panels or LANDSCAPE_PANELS)]
    drawn = wanted if panels else [panel for panel in wanted if panel.is_known] or wanted
    unsure = "another phase is possible (within the 95 % intervals of loss, mode connectivity and CKA)"
    reading = Reading("phase", _others, _hover, unsure, _diverged(table))
    rules, notes = phase_rules(thresholds), list(_notes(grid.all_cells(), drawn))
    return arranged(grid, reading, drawn, rules, notes, _seeds(table), _data(table, drawn))


def phase_rules(thresholds: PhaseThresholds) -> str:
    """How phases are told, in sentences."""
    least = f"{thresholds.mc:g}".replace("-", "−")
    return (
        f"Low training loss: at most {thresholds.loss:g}. Connected: mode connectivity at least {least}. "
        "Phase I: high loss, a barrier. II: high loss, connected. III: low loss, a barrier. "
        f"IV: low loss, connected; IV-B with CKA at least {thresholds.cka:g}, IV-A with less."
    )


def _panel(name: str, cells: Sequence[Sequence[Cell]], thresholds: PhaseThresholds) -> Panel:
    title = LANDSCAPE_PANELS[name]
    if name == "phase":
        possible = [[next(iter(_others(cell)), "") for cell in row] for row in cells]
        return Panel(name, title, (name, "other_phases"), list(_phase_layers(cells)), possible)
    shown = {
        "train_loss": (thresholds.loss,),
        "mc": (thresholds.mc, 0.0),
        "line_mc": (thresholds.mc, 0.0),
        "cka": (thresholds.cka,),
    }.get(name, ())
    return value_panel(name, title, cells, name in HIGH_IS_GOOD, shown, name in POSITIVE)


def _phase_layers(cells: Sequence[Sequence[Cell]]) -> Iterator[Layer]:
    """A layer of one colour for each phase: IV where there is such a cell, its halves unless it stands for both."""
    told = {cell["phase"] for row in cells for cell in row}
    for phase in PHASES:
        if phase in told or ("IV" not in told if phase.startswith("IV-") else phase != "IV"):
            values = [[1.0 if cell["phase"] == phase else math.nan for cell in row] for row in cells]
            yield Layer("", values, 0.0, 2.0, (PHASE_COLORS[phase],) * 2, labels=((1.0, phase),))


def _others(cell: Cell) -> list[str]:
    """Other phases that the intervals of a cell allow."""
    return cell["other_phases"].split() if isinstance(cell["other_phases"], str) else []


def _interval(cell: Cell, name: str) -> Interval:
    return Interval(*(float(cell[f"{name}{end}"]) for end in ("", "_low", "_high")))


def _hover(cell: Cell) -> str:
    phase = cell["phase"] if isinstance(cell["phase"], str) else "undefined"
    lines = [
        f"<b>{cell['temperature_axis']} {cell['temperature']:g}, {cell['load_axis']} {cell['load']:g}</b>",
        f"phase {phase}, status {cell['status']}",
    ]
    if others := _others(cell):
        lines.append(f"within the intervals also: {', '.join(others)}")
    for name in LANDSCAPE_PANELS:
        if name != "phase" and not math.isnan(cell[name]):
            lines.append(f"{name} {interval_words(_interval(cell, name))}")
    counts = [(cell["n_models"], "models"), (cell["n_pairs"], "pairs")]
    if known := [f"{count:g} {what}" for count, what in counts if not math.isnan(count)]:
        lines.append(", ".join(known))
    if cell["n_diverged"] > 0:
        lines.append(f"{cell['n_diverged']:g} models diverged, and are in no mean")
    return "<br>".join(lines)


def _diverged(table: pd.DataFrame) -> str:
    """How many models diverged."""
    some = table[table["n_diverged"] > 0]
    return f"{some['n_diverged'].sum():g} models in {len(some)} cells, in no mean" if len(some) else ""


def _notes(cells: Sequence[Cell], panels: Sequence[Panel]) -> Iterator[str]:
    """What is known of how sure phases are, and what logarithms there are not."""
    told = [cell for cell in cells if isinstance(cell["phase"], str)]
    if told and all(math.isnan(_interval(cell, name).low) for cell in told for name in ("train_loss", "mc")):
        yield "How sure the phases are is not known."
    elif any(map(_others, told)) and any(panel.name == "phase" for panel in panels):
        yield "Phases: another one that is possible is below."
    if any(cell[panel.name] <= 0 for panel in panels if panel.name in POSITIVE for cell in cells):
        yield "What is not positive is below a logarithmic scale."


def _seeds(table: pd.DataFrame) -> str:
    """Numbers of models and pairs, from the fewest to the most of a cell that has any."""
    said = []
    for name, what in (("n_models", "dense model"), ("n_pairs", "pair")):
        counts = table.loc[table[name] > 0, name]
        if len(counts):
            least, most = counts.min(), counts.max()
            number = f"{least:g}" if least == most else f"{least:g} to {most:g}"
            said.append(f"{number} {what}" + ("" if most == 1 else "s"))
    return f"{' and '.join(said)} in each cell" if said else ""


def _data(table: pd.DataFrame, panels: Sequence[Panel]) -> pd.DataFrame:
    """What is drawn, with intervals and thresholds."""
    labels = ["temperature_axis", "temperature", "load_axis", "load", "status", "phase", "other_phases"]
    numbers = [f"{column}{end}" for panel in panels for column in panel.columns for end in ("", "_low", "_high")]
    after = ["n_models", "n_diverged", "n_pairs", "loss_threshold", "mc_threshold", "cka_threshold"]
    return table[[name for name in dict.fromkeys([*labels, *numbers, *after]) if name in table]].reset_index(drop=True)
