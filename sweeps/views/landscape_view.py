"""What the study of the landscape of dense models shows: the diagram of its phases, and how many cells each has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from metrics.five_phases import PHASES
from sweeps.spec.landscape import FEW_STEPS, Landscape
from sweeps.views.diagram_texts import cells_as_text, titled
from sweeps.views.landscape_diagram import landscape_diagram
from sweeps.views.pictures import TitledDiagram


def landscape_picture(
    study: Landscape, tables: Mapping[str, pd.DataFrame], panels: Sequence[str] | None = None
) -> TitledDiagram:
    """The diagram of a study; its caption says how long its curves were trained, on which connectivity depends.

    Args:
        study: The study.
        tables: As :func:`sweeps.results.landscape_table.landscape_tables` gives them.
        panels: Which of :data:`~sweeps.views.landscape_diagram.LANDSCAPE_PANELS`; all that are known if None.
    """
    diagram = landscape_diagram(tables["landscape"], study.hot_is_low, panels)
    return titled(replace(diagram, rules=f"{diagram.rules} {_curves(study)}"), study.title)


def landscape_words(study: Landscape, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """The phases of the cells, and how many each has."""
    table = tables["landscape"]
    yield phases_as_text(table, study.hot_is_low)
    if table["phase"].notna().any() and table["mc_low"].isna().all():
        yield "How sure phases are is not known: mode connectivity and CKA have intervals from three --dense-seeds on."
    yield _curves(study)


def phases_as_text(table: pd.DataFrame, hot_is_low: bool) -> str:
    """The phases of the cells of a landscape, how many each has, and how they are told."""
    diagram = landscape_diagram(table, hot_is_low)
    told = [phase for row in diagram.regimes for phase in row]
    counts = {phase: told.count(phase) for phase in PHASES}
    said = [f"{phase} {count}" for phase, count in counts.items() if count or phase != "IV"]
    without = [f"without {told.count(None)}"] * (None in told)
    return f"{cells_as_text(diagram)}\nCells in each phase: {', '.join([*said, *without])}.\n{diagram.rules}"


def _curves(study: Landscape) -> str:
    """How curves were trained: mode connectivity is at least what they found."""
    stages = study.connections()
    curve, steps = stages[0].curve, min(study.curve_steps(stage.run) for stage in stages)
    epochs = f"{curve.epochs} epoch{'' if curve.epochs == 1 else 's'}"
    trained = f"{epochs}, lr {curve.lr:g}, batch size {curve.batch_size}"
    said = f"Curves: one bend, begun in the middle of the line, {trained}; a longer training may find better ones."
    few = f" They have but {steps} steps, so that barriers may be those of a short search: give more --curve-epochs."
    return said + few * (steps < FEW_STEPS)
