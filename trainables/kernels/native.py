"""The C code of this folder, compiled for the machine that runs it: once, and kept in the user's cache folder."""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from trainables.data import CACHE

SOURCE = Path(__file__).with_name("direct.c")

COMPILERS = ("cc", "gcc", "clang")
"""Looked for in this order, after what the environment variable CC names."""

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")

COMPILE_SECONDS = 60
"""A compiler that takes longer counts as none; this takes half a second."""

_POINTER, _SIZE, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int, ctypes.c_float
_ARGUMENTS = {
    "convolve": [_POINTER, _SIZE, *[_POINTER] * 3, _SIZE],
    "weight_gradients": [_POINTER, _SIZE, *[_POINTER] * 3, _SIZE],
    "scale_and_shift": [_POINTER] * 4 + [_SIZE] * 2 + [_INT],
    "pool": [_POINTER] * 2 + [_SIZE] * 7 + [_INT],
    "pool_gradient": [_POINTER] * 5 + [_SIZE] * 7 + [_INT],
    "normalise": [_POINTER] * 7 + [_FLOAT] * 2 + [_SIZE] * 2 + [_INT],
    "normalisation_gradients": [_POINTER] * 6 + [_SIZE] * 2 + [_INT],
}


def code() -> ctypes.CDLL:
    """The compiled code, where :func:`library` has it."""
    found = library()
    assert found is not None, "kernels are used only where they can be compiled"
    return found


@cache
def library() -> ctypes.CDLL | None:
    """The compiled code; None where it cannot be had, because there is no compiler or it fails."""
    for folder in (os.path.expanduser(CACHE), tempfile.gettempdir()):
        # Of any kind: a malformed CC, a folder that cannot be used, code that is not this.
        with suppress(OSError, subprocess.SubprocessError, AttributeError, ValueError):
            return _loaded(_compiled(Path(folder) / f"compiled-{os.getuid()}"))
    return None


def _compiled(folder: Path) -> Path:
    """Path of the compiled code for this processor; it is compiled if it is not there."""
    what = [SOURCE.read_text(), *FLAGS, platform.machine(), processor(), described("flags", "Features")]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise PermissionError(f"{folder} is another's, or others may write to it")  # whose code would run here
    path = folder / f"direct-{hashlib.blake2b(repr(what).encode(), digest_size=10).hexdigest()}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as own:  # several workers may compile it at the same time
            made = Path(own) / path.name
            command = [*_compiler(), *FLAGS, "-o", str(made), str(SOURCE), "-lm"]
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)
            made.replace(path)
    return path


def _compiler() -> list[str]:
    named = shlex.split(os.environ.get("CC", ""))
    found = named or [name for name in COMPILERS if shutil.which(name)][:1]
    if not found:
        raise FileNotFoundError("no C compiler")
    return found


def processor() -> str:
    """What a person calls this machine's processor."""
    return described("model name") or platform.processor() or platform.machine()


def described(*what: str) -> str:
    """What Linux says of the processor, in these lines; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return "; ".join(sorted({line.partition(":")[2].strip() for line in lines if line.startswith(what)}))


def _loaded(path: Path) -> ctypes.CDLL:
    code = ctypes.CDLL(str(path))
    for name, arguments in _ARGUMENTS.items():
        function = getattr(code, name)
        function.argtypes, function.restype = arguments, None
    return code
