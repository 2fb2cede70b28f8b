"""What several files of tests have in common: running the real commands, and comparing what they stored."""

import io
import random
import socket
import subprocess
import sys
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import psutil

ROOT = Path(__file__).parents[2]
NOT_VALUES = ["seconds", "created_at", "host", "commit", "package_version"]
PATIENCE = 180  # seconds until a test gives up; nothing here should take a quarter of it
TABLE = "temperature,density,lmc,test_error,cka\n1,0.1,-0.01,0.3,0.9\n2,0.1,-0.2,0.2,0.9\n2,0.1,-0.4,0.4,0.9\n"
"""Of a user, with two rows of one cell."""


def command(name, *arguments):
    return [sys.executable, str(ROOT / "sweeps" / f"{name}.py"), *map(str, arguments)]


def run(name, *arguments, **options):
    return subprocess.run(
        command(name, *arguments), capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


def run_here(name, *arguments, cwd="."):
    """As ``run``, but in this process, which spares a second for every command that ends at once."""
    from sweeps.spec.command_line import run_command

    typed = command(name, *arguments)[1:]
    out, error, before = io.StringIO(), io.StringIO(), set(sys.modules)
    with (
        patch.object(sys, "argv", typed),
        patch.object(sys, "path", list(sys.path)),
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(error),
    ):
        try:
            run_command(import_module(f"sweeps.{name}").main)
        except SystemExit as end:
            code = end.code
    for module in sys.modules.keys() - before if cwd != "." else ():  # a user's own: another test has the name, too
        if Path(cwd).resolve() in Path(getattr(sys.modules[module], "__file__", None) or "/").resolve().parents:
            del sys.modules[module]
    return subprocess.CompletedProcess(typed, code, out.getvalue(), error.getvalue())


def grid(out, *arguments, **options):
    return run("grid", "--preset", "smoke", "--out", out, *arguments, **options)


def tables(out):
    """Values of all tables, in a fixed order."""
    read = {}
    for name, keys in (("runs", ["point", "retrain_seed"]), ("pairs", ["point", "first_seed"]), ("dense", ["epoch"])):
        table = pd.read_parquet(out / name).drop(columns=NOT_VALUES)
        assert not table.duplicated([*keys, *(["second_seed"] if name == "pairs" else [])]).any()
        read[name] = table.sort_values(keys, ignore_index=True)
    read["phase"] = pd.read_parquet(out / "phase.parquet").drop(columns="seconds")
    return read


def assert_same(out, undisturbed):
    ours, theirs = tables(out), tables(undisturbed)
    for name in theirs:
        pd.testing.assert_frame_equal(ours[name], theirs[name], check_exact=True)


def until(condition, process):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def workers(process):
    """Trials that run under a driver."""
    return [child for child in psutil.Process(process.pid).children(recursive=True) if "Trainable" in child.name()]


def start_grid(out, *arguments, **options):
    return subprocess.Popen(
        command("grid", "--preset", "smoke", "--out", out, "--checkpoint-seconds", "0.001", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


GIVEN = set()
"""Ports that were given away, and may not be taken yet."""


def free_port():
    """A port below those that the system gives to outgoing connections: one of these may be taken in the meantime."""
    while True:
        port = random.randint(20_000, 32_000)
        if port not in GIVEN:
            GIVEN.add(port)
            try:
                socket.create_server(("", port)).close()
            except OSError:
                continue
            return port
