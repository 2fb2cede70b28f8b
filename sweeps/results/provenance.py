"""What every stored row says of where it comes from."""

import platform
import socket
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"


@cache
def provenance() -> dict[str, Any]:
    """Host, versions and commit of this process, in columns of the tables."""
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    versions = {"python": platform.python_version(), "torch": _version("torch"), "ray": _version("ray")}
    translation = {name: _version(name) for name in ("sentencepiece", "sacrebleu")}
    versions |= {name: number for name, number in translation.items() if number != UNKNOWN}
    return {
        "host": socket.gethostname(),
        "package_version": _version("three-regime-sweeps"),
        "commit": commit,
        "libraries": " ".join(f"{name} {number}" for name, number in versions.items()),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN
