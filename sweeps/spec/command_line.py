"""What all commands share: exit codes, and mistakes told in one sentence."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from sweeps.spec.errors import UsageError
from sweeps.spec.presets import DEFAULT_PRESET, PRESETS
from sweeps.spec.spec import SweepSpec

OK, SOME_FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

T = TypeVar("T")


def parse(command: type[T], arguments: Sequence[str], default: T | None = None) -> T:
    """Read a command's options; exits with 2 after a message, or with 0 after help."""
    options: dict[str, Any] = {} if default is None else {"default": default}
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    return tyro.cli(command, prog=f"python {sys.argv[0]}", args=arguments, config=config, **options)


def value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Value of an option that decides the defaults of all others, read before them."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(option, dest="value")
    try:
        return parser.parse_known_args(arguments)[0].value
    except argparse.ArgumentError:
        raise UsageError(f"{option} needs a value.") from None


def preset_of(arguments: Sequence[str]) -> str:
    """Name of the preset, which decides the defaults of all other options."""
    preset = value_of("--preset", arguments) or DEFAULT_PRESET
    if preset not in PRESETS:
        raise UsageError(f"--preset {preset}: there is no such preset; the presets are {', '.join(PRESETS)}.")
    return preset


def check_axes(spec: SweepSpec, start: SweepSpec, arguments: Sequence[str]) -> None:
    """Raise UsageError if another axis than that of the sweep to start from was asked for, but not its values."""
    for axis, values in (("temperature", "temperatures"), ("load", spec.load_values)):
        name = getattr(spec, axis)
        options = {f"--{values}", "--density"} if values == "densities" else {f"--{values}"}
        given = any(argument.partition("=")[0] in options for argument in arguments)
        if name != getattr(start, axis) and not given:
            raise UsageError(f"--{axis} {name}: the preset's --{values} are of another axis; give --{values}, too.")


def run_command(main: Callable[[Sequence[str]], int]) -> None:
    """Run a command with this process's arguments and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where it cannot print a sign
    try:
        code = main(sys.argv[1:])
    except UsageError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        code = BAD_USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads: no second error at exit
        code = SOME_FAILED
    except OSError as error:
        print(f"{Path(sys.argv[0]).name}: {error}.", file=sys.stderr)
        code = BAD_USAGE
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: interrupted.", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)
