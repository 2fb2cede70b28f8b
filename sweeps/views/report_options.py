"""What ``report.py`` can be asked for, and which of it goes with what is drawn."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Annotated, Any

import tyro

from metrics.regimes import SimilarityRule
from sweeps.spec.axes import TEMPERATURES
from sweeps.spec.checks import option_of
from sweeps.spec.choices import one_of
from sweeps.spec.errors import UsageError
from sweeps.spec.kinds import LmcThreshold
from sweeps.views.landscape_diagram import LANDSCAPE_PANELS
from sweeps.views.named_files import data_beside
from sweeps.views.panels import PANELS
from sweeps.views.paper import WIDTHS, Paper
from sweeps.views.phase_report import Look

_PANELS = tuple(dict.fromkeys([*PANELS, *LANDSCAPE_PANELS]))
"""Of all diagrams."""


@dataclass(frozen=True)
class Report:
    """Draw the phase diagram of the results in a folder, and write its phase table; of a study its own picture.

    Reads the folder's latest sweep. Works while the sweep is running: what is not there yet is marked as missing.
    """

    results: tyro.conf.Positional[str]
    """Folder or s3://... that a sweep wrote (its --out), or a .csv or .parquet file (of what: docs/searching.md)."""

    out: str | None = None
    """File of the diagram: .html, or for a paper .svg, .pdf or .png, with its data as .csv beside it;
    phase_diagram.html in the folder if not given, or, of a file NAME.csv and of a folder NAME that cannot be written,
    results/NAME_phase_diagram.html."""

    panels: tuple[Annotated[str, one_of("--panels", _PANELS)], ...] | None = None
    """What to draw, in this order, of what the diagram has (docs/phase_diagram.md); all that is known if not given."""

    smooth: bool = False
    """Draw the borders of the regimes as fitted curves with their bands."""

    paper_columns: Annotated[str, one_of("--paper-columns", WIDTHS)] | None = None
    """Of a picture for a paper: how many columns it is wide, 1 (3.25 inches) or 2 (6.75 inches, the default)."""

    font_size: float | None = None
    """Of a picture for a paper: size of its letters in points; 7 if not given."""

    table: str | None = None
    """File, .csv or .parquet, for the table with its regimes or phases: that of a folder, or a file's own rows."""

    serve: bool = False
    """Of a folder: show the diagram in the browser instead, on this machine alone, and fill it in as points arrive;
    also of a sweep that is yet to begin."""

    port: int | None = None
    """Port of --serve; 8050 if not given."""

    tensorboard: str | None = None
    """Of a folder: folder for TensorBoard's event files, the training loss of every model over its epochs."""

    temperature: Annotated[str, one_of("--temperature", TEMPERATURES)] | None = None
    """Of a file: what its temperature is; if not given what the file itself says, or epochs."""

    storage_endpoint: str | None = None
    """Server of s3://..., if it is not Amazon's own, as http://host:port."""

    lmc_threshold: LmcThreshold | None = None
    """Regime I is where LMC lies below this; auto has the cells decide; the sweep's own if not given."""

    cka_threshold: float | None = None
    """With --cka-rule fixed: Regime II-B begins at this CKA, and Phase IV-B of a landscape; the sweep's own if not
    given."""

    cka_rule: SimilarityRule | None = None
    """Compare CKA with --cka-threshold (fixed) or the load's best (relative); the sweep's own if not given."""

    cka_margin: float | None = None
    """With --cka-rule relative: Regime II-B reaches so far below the best CKA; the sweep's own if not given."""

    loss_threshold: float | None = None
    """Of a landscape: up to this training loss, in nats, dense models fit their data; the study's own if not given."""

    mc_threshold: float | None = None
    """Of a landscape: from this mode connectivity on, in units of error and negative, dense models are connected; the
    study's own if not given."""

    def look(self) -> Look:
        """How to draw what was asked for.

        Raises:
            UsageError: If nothing is to be drawn, or a size is given of what has none.
        """
        if self.panels == ():
            raise UsageError(f"--panels (nothing): name some of {', '.join(_PANELS)}.")
        sizes = {"--paper-columns": self.paper_columns, "--font-size": self.font_size}
        for option, value in sizes.items():
            if value is not None and data_beside(self.out) is None:
                raise UsageError(f"{option} {value}: it is of a picture for a paper; name one, --out diagram.pdf.")
        given = {"columns": self.paper_columns, "font_size": self.font_size}
        paper = Paper(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        return Look(self.panels, self.smooth, paper)

    def given(self, *names: str) -> dict[str, Any]:
        """Those of these options that were given, with their values."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def check_only(self, own: Collection[str], why: str) -> None:
        """Raise UsageError, which says why, for any option that was given beside these."""
        for field in fields(self):
            if field.name not in own and (value := getattr(self, field.name)) not in (None, False):
                words = [] if value is True else value if isinstance(value, tuple) else [value]
                raise UsageError(f"{' '.join([option_of(field.name), *map(str, words)])}: {why}; leave it out.")

    def check_panels(self, panels: Collection[str]) -> None:
        """Raise UsageError for a panel that what is drawn does not have."""
        for name in self.panels or ():
            if name not in panels:
                raise UsageError(f"--panels {name}: {self.results} has none of it; name some of {', '.join(panels)}.")

    def check_serving(self) -> None:
        """Raise UsageError for files that are not written with --serve, and for what is of that alone."""
        if self.serve and (given := self.out or self.table or self.tensorboard):
            raise UsageError(f"--serve writes no files; leave {given} out.")
        if self.port is not None and not self.serve:
            raise UsageError(f"--port {self.port}: it is that of --serve; give that, too, or leave it out.")

    def check_file(self) -> None:
        """Raise UsageError for what there is of folders alone."""
        if self.serve or self.tensorboard:
            option = "--serve" if self.serve else "--tensorboard"
            raise UsageError(f"{option}: {self.results} is a file; name the folder of a sweep.")
