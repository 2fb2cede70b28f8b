"""Prune in rounds, and see what the PQ Index says of it: ``python sweeps/sparsity.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from sweeps.running.study_options import StudyOptions
from sweeps.spec.choices import described
from sweeps.spec.command_line import run_command
from sweeps.spec.sparsity import Sparsity
from sweeps.spec.study_presets import STUDY_PRESET_HELP
from sweeps.views.study_command import study_command


@dataclass(frozen=True)
class SparsityCommand(StudyOptions):
    """Prune by SAP, lottery ticket and one-shot, round by round, and draw what is left, test error and PQ Index.

    A point of this study is a run of one method on one dense model. Only what is not stored yet is computed: the same
    command again continues. Exit codes: 0 all points stored, 1 some points failed, 2 bad usage, 130 interrupted.
    """

    spec: Sparsity

    preset: Annotated[str, described("Study to start from", STUDY_PRESET_HELP[Sparsity])] = "fashion-sparsity"


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return study_command(SparsityCommand, Sparsity, arguments)


if __name__ == "__main__":
    run_command(main)
