"""Telling a person how far decoding is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_SECONDS = 10.0
"""Seconds between plain lines."""


@contextmanager
def showing(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function to call with how many more images are done."""
    if sys.stdout.isatty():
        from rich.progress import Progress

        with Progress() as bar:
            task = bar.add_task(what, total=total)
            yield lambda more: bar.advance(task, more)
        return
    print(f"{what}: {total} images", flush=True)
    done, last = 0, time.monotonic()

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        if time.monotonic() - last > LINE_SECONDS:
            print(f"{what}: {done} of {total} images", flush=True)
            last = time.monotonic()

    yield advance
