"""Draw the five phases of dense models over temperature and load: ``python sweeps/landscape.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from sweeps.running.study_options import StudyOptions
from sweeps.spec.choices import described
from sweeps.spec.command_line import run_command
from sweeps.spec.landscape import Landscape
from sweeps.spec.study_presets import STUDY_PRESET_HELP
from sweeps.views.study_command import study_command


@dataclass(frozen=True)
class LandscapeCommand(StudyOptions):
    """Train dense models of several seeds everywhere, connect them by curves, and draw their five phases.

    Dense models are shared with grids in the same --out. Only what is not stored yet is computed: the same command
    again continues. Exit codes: 0 all points stored, 1 some points failed, 2 bad usage, 130 interrupted.
    """

    spec: Landscape

    preset: Annotated[str, described("Study to start from", STUDY_PRESET_HELP[Landscape])] = "digits-phases"


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return study_command(LandscapeCommand, Landscape, arguments)


if __name__ == "__main__":
    run_command(main)
