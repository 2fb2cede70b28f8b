"""See how much can be pruned, against the dimension of the data: ``python sweeps/prunability.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from sweeps.running.study_options import StudyOptions
from sweeps.spec.choices import described
from sweeps.spec.command_line import run_command
from sweeps.spec.prunability import Prunability
from sweeps.spec.study_presets import STUDY_PRESET_HELP
from sweeps.views.study_command import study_command


@dataclass(frozen=True)
class PrunabilityCommand(StudyOptions):
    """Prune and retrain on data of several dimensions, and draw the largest share of weights that may go.

    RESULTS may also be of a grid: then it is drawn for its data, or for those of its --load data_dimension. Only what
    is not stored yet is computed: the same command again continues. Exit codes: 0 all points stored, 1 some points
    failed, 2 bad usage, 130 interrupted.
    """

    spec: Prunability

    preset: Annotated[str, described("Study to start from", STUDY_PRESET_HELP[Prunability])] = "fashion-prunability"


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return study_command(PrunabilityCommand, Prunability, arguments)


if __name__ == "__main__":
    run_command(main)
