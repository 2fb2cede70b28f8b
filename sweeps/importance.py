"""Prune whole filters by every importance measure, and compare these: ``python sweeps/importance.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from sweeps.running.study_options import StudyOptions
from sweeps.spec.choices import described
from sweeps.spec.command_line import run_command
from sweeps.spec.importance import Importance
from sweeps.spec.study_presets import STUDY_PRESET_HELP
from sweeps.views.study_command import study_command


@dataclass(frozen=True)
class ImportanceCommand(StudyOptions):
    """Prune filters early in training by several measures, retrain, and draw accuracy and what pruning changes.

    Only what is not stored yet is computed: the same command again continues. Exit codes: 0 all points stored, 1 some
    points failed, 2 bad usage, 130 interrupted.
    """

    spec: Importance

    preset: Annotated[str, described("Study to start from", STUDY_PRESET_HELP[Importance])] = "fashion-importance"


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return study_command(ImportanceCommand, Importance, arguments)


if __name__ == "__main__":
    run_command(main)
