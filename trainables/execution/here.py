"""What computes here: names of devices, and a turn at a time on a machine."""

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from trainables.kernels.native import described, processor


@cache
def device_name(kind: str) -> str:
    """Name of this machine's processor, with what it has for fast arithmetic, or of its GPU."""
    if kind == "cuda":
        return torch.cuda.get_device_name()
    bfloat16 = any(name in described("flags") for name in ("avx512_bf16", "amx_bf16"))
    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}" + " with bfloat16" * bfloat16


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
