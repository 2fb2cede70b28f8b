"""Draw the phase diagram of stored results: ``python sweeps/report.py RESULTS``. No Ray, no training."""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from metrics.regimes import SimilarityRule, Thresholds
from sweeps.command import OK, parse, run_command
from sweeps.errors import UsageError
from sweeps.phase import phase_table
from sweeps.phase_diagram import PhaseDiagram, draw, phase_diagram
from sweeps.schema import PHASE
from sweeps.spec import SweepSpec, check_thresholds
from sweeps.store import Store
from trainables.artifacts import Folder

DIAGRAM = "phase_diagram.html"


@dataclass(frozen=True)
class Report:
    """Draw the phase diagram of the results in a folder, and write its phase table.

    Reads the folder's latest sweep. Works while the sweep is running: what is not there yet is marked as missing.
    """

    results: tyro.conf.Positional[str]
    """Folder that a sweep wrote (its --out)."""

    out: str | None = None
    """File of the diagram; phase_diagram.html in the folder if not given."""

    lmc_threshold: float | None = None
    """Regime I is where LMC lies below this; the sweep's own if not given."""

    cka_threshold: float | None = None
    """With --cka-rule fixed: Regime II-B begins at this CKA; the sweep's own if not given."""

    cka_rule: SimilarityRule | None = None
    """Compare CKA with --cka-threshold (fixed) or the load's best (relative); the sweep's own if not given."""

    cka_margin: float | None = None
    """With --cka-rule relative: Regime II-B reaches so far below the best CKA; the sweep's own if not given."""


def write_report(store: Store, spec: SweepSpec, out: str | None = None) -> None:
    """Write ``phase.parquet``, ``phase.csv`` and the diagram, and print the regimes and the diagram's path.

    Args:
        store: Where the results are.
        spec: Which of them to show, and with which boundaries of the regimes.
        out: Path of the diagram, ``phase_diagram.html`` in the store's folder if None.

    Raises:
        UsageError: If a file cannot be written.
    """
    table = phase_table(spec, store)
    diagram = phase_diagram(table, spec.hot_is_low)
    caption = " ".join(filter(None, (_caption(spec.thresholds), diagram.legend and f"Cells: {diagram.legend}.")))
    html = draw(diagram, spec, caption).encode()
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, PHASE, preserve_index=False), content)
    path = Path(out) if out else store.folder.path / DIAGRAM
    if "://" in str(out) or (path.exists() and not path.is_file()):
        raise UsageError(f"--out {out or path} is not a file on this machine; name one.")
    try:
        store.folder.write("phase.parquet", content.getvalue())
        store.folder.write("phase.csv", table.to_csv(index=False).encode())
        Folder(path.parent).write(path.name, html)
    except OSError as error:
        raise UsageError(f"{path} or the tables in {store.folder} cannot be written: {error.strerror}.") from None
    _print_regimes(diagram, spec)
    print(f"Phase diagram: {path}")


def _caption(thresholds: Thresholds) -> str:
    similar = f"CKA at least {thresholds.cka:g}"
    if thresholds.rule == "relative":
        similar = f"CKA within {thresholds.margin:g} of the load's best"
    return f"Regime I: LMC below {thresholds.lmc:g}. Regime II-B: connected, {similar}. Regime II-A: connected, less."


def _print_regimes(diagram: PhaseDiagram, spec: SweepSpec) -> None:
    print(f"Regimes ({spec.temperature}, hot at the top, over {spec.load}):")
    table = Table(box=SIMPLE, collapse_padding=True)
    for heading in (spec.temperature, *diagram.loads):
        table.add_column(heading, justify="right", no_wrap=True)
    for temperature, marks in zip(diagram.temperatures, diagram.marks, strict=True):
        table.add_row(temperature, *marks)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if diagram.legend:
        print(diagram.legend)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Report, arguments)
    store = Store(options.results)
    spec = store.spec()
    changed = {name: getattr(options, name) for name in ("lmc_threshold", "cka_threshold", "cka_rule", "cka_margin")}
    spec = replace(spec, **{name: value for name, value in changed.items() if value is not None})
    check_thresholds(spec.thresholds)
    write_report(store, spec, options.out)
    return OK


if __name__ == "__main__":
    run_command(main)
