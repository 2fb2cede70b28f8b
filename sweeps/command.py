"""What all commands share: exit codes, and mistakes told in one sentence."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from sweeps.errors import UsageError

OK, SOME_FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

T = TypeVar("T")


def parse(command: type[T], arguments: Sequence[str], default: T | None = None) -> T:
    """Read a command's options; exits with 2 after a message, or with 0 after help."""
    options: dict[str, Any] = {} if default is None else {"default": default}
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    return tyro.cli(command, prog=f"python {sys.argv[0]}", args=arguments, config=config, **options)


def run_command(main: Callable[[Sequence[str]], int]) -> None:
    """Run a command with this process's arguments and exit with its code."""
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
