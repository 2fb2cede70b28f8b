"""Compute a whole grid of temperatures and loads: ``python sweeps/grid.py``."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.running.options import read_options
from sweeps.running.preflight import checked
from sweeps.running.run_sweep import WholeSweepOptions, run_sweep
from sweeps.spec.command_line import run_command


@dataclass(frozen=True)
class Grid(WholeSweepOptions):
    """Train, prune and retrain a model for every temperature and load, and draw the phase diagram.

    Only what is not stored in --out yet is computed: the same command again continues after whatever stopped it.
    Exit codes: 0 all points stored, 1 some points failed, 2 bad usage, 130 interrupted.
    """


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = checked(read_options(Grid, arguments))

    def report() -> None:
        from sweeps.views.phase_report import write_report  # pandas, for which nothing has to wait that draws nothing

        write_report(options.store, options.spec)

    return run_sweep(options, report)


if __name__ == "__main__":
    run_command(main)
