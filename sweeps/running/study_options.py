"""Options that the commands of studies have in common."""

from dataclasses import dataclass

import tyro

from sweeps.running.run_sweep import WholeSweepOptions


@dataclass(frozen=True)
class StudyOptions(WholeSweepOptions):
    """Of a study that is run, or whose results are drawn again."""

    results: tyro.conf.Positional[str | None] = None
    """Folder or s3://... of results to draw again: nothing is trained, and no Ray is needed. If not given the study is
    run, and results go to --out."""

    picture: str | None = None
    """File of the picture: .html, or for a paper .svg, .pdf or .png, with its data as .csv beside it; in the folder of
    the results, .html, if not given."""
