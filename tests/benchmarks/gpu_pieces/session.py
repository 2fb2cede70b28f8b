"""What all pieces have in common: where results go, when to stop, what the machine is, processes of their own."""

import fcntl
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

Row = dict[str, Any]

SCRIPT = Path(__file__).parents[1] / "gpu.py"
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Session:
    """A run of the command; the options are told by its ``--help``."""

    out: Path
    device: str
    minutes: float
    data: Path | None
    parts: int
    processes: int | None
    epochs: int
    work: Path | None
    tiny: bool
    case: str | None
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return 60 * self.minutes - (time.monotonic() - self.started)

    @property
    def place(self) -> torch.device:
        """The device."""
        return torch.device(self.device)

    def rows(self, name: str) -> list[Row]:
        """Results of a piece so far."""
        path = self.out / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Keep a result; several processes may."""
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / f"{name}.jsonl").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def has(self, name: str, case: Mapping[str, Any]) -> bool:
        """Whether there is a result of a case, be it that it failed."""
        return any(
            case.items() <= {key: _plain(value) for key, value in row.items()}.items() for row in self.rows(name)
        )

    def start(self, piece: str, case: Mapping[str, Any]) -> "subprocess.Popen[str]":
        """Start a process of a piece's own, which ends when this one has to."""
        words = [piece, "--out", self.out, "--device", self.device, "--minutes", max(self.left, 1) / 60]
        words += ["--epochs", self.epochs, *(["--tiny"] if self.tiny else [])]
        words += [
            word
            for name in ("data", "work")
            for word in ([f"--{name}", getattr(self, name)] if getattr(self, name) else [])
        ]
        command = [sys.executable, str(SCRIPT), *map(str, words), "--case", json.dumps(case)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)

    def describe_machine(self) -> None:
        """Print what it is, and keep it."""
        is_cuda = self.place.type == "cuda"
        about = {
            "device": torch.cuda.get_device_name() if is_cuda else platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version() if is_cuda else None,
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "tiny": self.tiny,
        }
        print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
        if not self.has("machine", about):
            self.append("machine", about)


def synchronize(device: torch.device) -> None:
    """Wait for all that was begun."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory_mib(device: torch.device) -> float:
    """Largest memory of tensors so far, in MiB; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print some columns of results."""
    cells = [list(columns), *([_text(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    sys.stdout.flush()


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:60]


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
