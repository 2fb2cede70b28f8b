"""What computes here: names of devices, and a turn at a time on a machine."""

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

CPU_INFORMATION = Path("/proc/cpuinfo")


@cache
def device_name(kind: str) -> str:
    """Name of this machine's processor, with what it has for fast arithmetic, or of its GPU."""
    if kind == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = CPU_INFORMATION.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    bfloat16 = any("avx512_bf16" in line or "amx_bf16" in line for line in lines)
    return f"{(names or ['CPU'])[0]}, {torch.backends.cpu.get_cpu_capability()}" + " with bfloat16" * bfloat16


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let the trials of a machine measure and compile one after the other: the next finds what the first one did."""
    try:
        import fcntl

        file = Path(tempfile.gettempdir()) / f"three-regime-sweeps-{getpass.getuser()}.lock"
        lock = os.open(file, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except (ImportError, OSError, KeyError):  # another system, or somebody else's file: then all at once
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # closing it is not enough where a child has a copy
        os.close(lock)
