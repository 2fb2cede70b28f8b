"""What all commands share: exit codes, and mistakes told in one sentence."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, TypeVar

import tyro

from sweeps.spec.checks import option_of
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.spec.spec import SweepSpec
from sweeps.spec.typed import typed

OK, SOME_FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

T = TypeVar("T")


def parse(command: type[T], arguments: Sequence[str], default: T | None = None) -> T:
    """Read a command's options; exits with 0 after help.

    Raises:
        UsageError: For what cannot be read.
    """
    typed(command, arguments)
    options: dict[str, Any] = {} if default is None else {"default": default}
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    said = io.StringIO()
    try:
        with redirect_stderr(said):  # of many lines
            return tyro.cli(command, prog=f"python {sys.argv[0]}", args=arguments, config=config, **options)
    except SystemExit as end:
        if end.code in (None, OK):
            raise
        raise UsageError(f"{' '.join(arguments)}: this cannot be read as options; --help lists them.") from None


def value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Value of an option that decides the defaults of all others, read before them."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(option, dest="value")
    try:
        return parser.parse_known_args(arguments)[0].value
    except argparse.ArgumentError:
        raise UsageError(f"{option} needs a value.") from None


def preset_of(arguments: Sequence[str], presets: Mapping[str, SweepSpec] = PRESETS) -> str:
    """Name of the preset, which decides the defaults of all other options; the first of them if none is given."""
    given = value_of("--preset", arguments)
    preset = next(iter(presets)) if given is None else given
    if preset not in presets:
        known = f"there is no such preset; the presets are {', '.join(presets)}"
        raise UsageError(f"--preset {preset.strip() or '(nothing)'}: {known}.")
    return preset


def check_axes(spec: SweepSpec, start: SweepSpec, arguments: Sequence[str]) -> None:
    """Raise UsageError if another axis than that of the sweep to start from was asked for, but not its values."""
    for axis, values in (("temperature", "temperatures"), ("load", spec.load_values)):
        name = getattr(spec, axis)
        option = option_of(values)
        options = {option, "--density"} if values == "densities" else {option}
        given = any(argument.partition("=")[0] in options for argument in arguments)
        if name != getattr(start, axis) and not given:
            raise UsageError(f"--{axis} {name}: the preset's {option} are of another axis; give {option}, too.")


def run_command(main: Callable[[Sequence[str]], int]) -> None:
    """Run a command with this process's arguments and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where it cannot print a sign
    try:
        code = main([_with_hyphens(word) for word in sys.argv[1:]])
    except UsageError as error:
        _tell(str(error))
        code = BAD_USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads: no second error at exit
        code = SOME_FAILED
    except OSError as error:
        named = error.filename is not None and error.strerror is not None
        _tell(f"{error.filename} cannot be used: {error.strerror}." if named else f"{error}.")
        code = BAD_USAGE
    except KeyboardInterrupt:
        _tell("interrupted.")
        code = INTERRUPTED
    sys.exit(code)


def _with_hyphens(word: str) -> str:
    """An option's name as it is written here: --lmc_threshold is --lmc-threshold."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def _tell(said: str) -> None:
    """Tell a person what ended the command, in one line whatever it quotes."""
    plain = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in said)
    print(f"{Path(sys.argv[0]).name}: {plain}", file=sys.stderr)
