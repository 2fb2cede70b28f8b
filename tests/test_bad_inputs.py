"""Bad inputs of all commands, in pytest; or, as ``python tests/test_bad_inputs.py``, a table of them and a count.

Each is told in one sentence on stderr that quotes what is bad, with exit code 2; nothing is written, nothing trains.
"""

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

if __name__ == "__main__":  # in place of this folder, in which there is another one named sweeps
    sys.path[0] = str(Path(__file__).parent / "helpers")

from bad_files import make
from bad_inputs import (
    CASES,
    DIAGNOSE,
    EXPORT,
    GRID,
    IMPORTANCE,
    LANDSCAPE,
    PRUNABILITY,
    REPORT,
    SELECT,
    SPARSITY,
    STATUS,
    TUNE,
)
from support import run_here


def files(folder):
    """All files below a folder, with what tells whether one was written."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            state = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = state.st_ino, state.st_size, state.st_mtime_ns
    return found


def it_trains(*given, checks=lambda: None, **others):
    """What is called once all is checked but what is checked while Ray starts."""
    next((check for check in given[6:]), checks)()
    raise AssertionError("it trains")


def fault(case, folder, before):
    """What is wrong with how a command takes a bad input, and what it said; nothing if it is as it should be."""
    command, arguments, quoted = case
    with ExitStack() as stack:
        for name in ("running.run_sweep", TUNE, SELECT):  # grids and studies are run by the first
            stack.enter_context(patch(f"sweeps.{name}.carry_out", it_trains))
        stack.enter_context(patch("sweeps.views.live_diagram.ThreadingHTTPServer.serve_forever"))
        try:
            done = run_here(command, *arguments, cwd=folder)
        except Exception as error:  # what would be a traceback
            return f"{type(error).__name__}: {error}", ""
    said, now = done.stderr, files(folder)
    wrong = {
        f"exit code {done.returncode}": done.returncode != 2,
        f"{said.count(chr(10))} lines": said.count("\n") != 1 or not said.endswith(".\n"),
        "no such quote": quoted not in said,
        "no command": not said.startswith(f"{command}.py: "),
        "printed": bool(done.stdout),
        "written": now != before,
    }
    before.clear()
    before.update(now)
    return ", ".join(what for what, holds in wrong.items() if holds), said.strip() or done.stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    make(place)
    return place, files(place)


def test_there_are_many_and_all_are_different():
    assert len({(command, *arguments) for command, arguments, _ in CASES}) == len(CASES) >= 150
    assert {command for command, _, _ in CASES} == {
        *(GRID, TUNE, SELECT, REPORT, STATUS, EXPORT),
        *(SPARSITY, IMPORTANCE, PRUNABILITY, LANDSCAPE, DIAGNOSE),
    }


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] if number % 8 else []) for number, case in enumerate(CASES)],
    ids=lambda case: " ".join([case[0], *case[1]])[:80],
)
def test_a_bad_input_is_one_sentence_and_exit_code_2(case, folder):
    wrong, said = fault(case, *folder)
    assert not wrong, said


def main():
    """Print what each says, and how many are not as they should be; the words given choose among them."""
    with tempfile.TemporaryDirectory() as place:
        make(Path(place))
        before = files(place)
        chosen = [case for case in CASES if all(word in " ".join([case[0], *case[1]]) for word in sys.argv[1:])]
        faults = 0
        for case in chosen:
            wrong, said = fault(case, place, before)
            faults += bool(wrong)
            print(f"{'WRONG' if wrong else 'well '}  {case[0]} {' '.join(case[1])[:100]}\n       {wrong} {said[:300]}")
    print(f"{len(chosen)} bad inputs, {faults} of them not one sentence with exit code 2")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
