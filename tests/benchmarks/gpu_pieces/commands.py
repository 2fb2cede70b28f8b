"""Pieces that are commands of their own."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gpu_pieces.session import ROOT, Session

TESTS = ("tests/trainables/test_gpu.py", "tests/trainables/test_gpu_waits.py")
REFERENCE = Path(__file__).parents[1] / "reference.py"


def tests(session: Session) -> None:
    """Run the tests that need a GPU; no others are collected, since those import Ray."""
    _run(session, "tests", [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *TESTS])


def reference(session: Session) -> None:
    """Compare with what published code does."""
    if not REFERENCE.exists():
        print("There is no tests/benchmarks/reference.py here.")
        return
    words = ["--device", session.device, "--json", str(session.out / "reference.json")]
    if session.data is not None:  # it looks for cifar10.npz there
        words += ["--data-folder", str(session.data.parent if session.data.suffix == ".npz" else session.data)]
    if session.tiny:
        words += ["--help"]  # there is no tiny size: only whether it can be imported here
    _run(session, "reference", [sys.executable, str(REFERENCE), *words])


def _run(session: Session, name: str, command: Sequence[str]) -> None:
    """Run a command; what it prints is shown and kept, also if it takes too long."""
    started, path = time.monotonic(), session.out / f"{name}.txt"
    with path.open("w") as file:
        try:
            code = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, timeout=max(session.left, 1), check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    print("\n".join(path.read_text().splitlines()[-60:]))
    session.append(name, {"exit_code": code, "seconds": time.monotonic() - started})
    print(f"{name}: exit code {code}" if code is not None else f"{name}: stopped, no time left", flush=True)
