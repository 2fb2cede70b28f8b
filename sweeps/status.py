"""Say how far a sweep is: ``python sweeps/status.py RESULTS``. From any machine that sees the results; no Ray."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from sweeps.results.store import Store
from sweeps.spec.command_line import OK, parse, run_command
from sweeps.spec.errors import NoSweepError, UsageError
from sweeps.views.sweep_status import sweep_status

WATCH_SECONDS = 10

START_SECONDS = 1
"""Where no sweep has begun it is looked for so often."""


@dataclass(frozen=True)
class Status:
    """Say how far the latest sweep of a results folder is, from any machine that sees the folder.

    Counts are of what is stored; what runs now is what the sweep itself noted there a few seconds ago.
    """

    results: tyro.conf.Positional[str]
    """Folder or URI that a sweep writes to (its --out)."""

    watch: bool = False
    """Say it again every ten seconds, until the sweep has ended; wait for one where none has begun."""

    storage_endpoint: str | None = None
    """Server of s3://..., if it is not Amazon's own, as http://host:port."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Status, arguments)
    store = Store(options.results, options.storage_endpoint)
    store.folder.patient = options.watch
    waits = False
    while True:
        try:
            status = sweep_status(store)
        except NoSweepError:
            if not options.watch:
                raise
            if not waits:
                print(f"No sweep is in {store.folder} yet; waiting for one (Ctrl-C ends it).", flush=True)
            waits = True
            time.sleep(START_SECONDS)
            continue
        except OSError as error:
            raise UsageError(f"{store.folder} cannot be read: {error.strerror or error}.") from None
        print("\n".join(status.lines()), flush=True)
        if not options.watch or not status.goes_on:
            return OK
        time.sleep(WATCH_SECONDS)
        print(flush=True)


if __name__ == "__main__":
    run_command(main)
