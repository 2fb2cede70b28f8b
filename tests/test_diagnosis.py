"""Diagnoses with the real command and real Ray: killed and continued, said again, pruned, of a user's own models."""

import json
import random
import signal
import subprocess
import time

import pytest
import torch
from support import PATIENCE, command, run, until, workers

from sweeps.results.store import Store

pytestmark = pytest.mark.slow

TINY = ["--data", "digits-first300", "--model", "conv4-8", "--epochs", 4, "--density", 0.3]
TOLD = ["--lr", 0.1, "--batch-size", 32]
"""How models of checkpoints were trained."""


def diagnosis(out, *words):
    """What the command says without what it says on the way, and its JSON."""
    file = out.parent / f"{out.name}.json"
    done = run("diagnose", *words, "--json", file)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Phase "))
    return lines[first:], json.loads(file.read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("diagnosis") / "whole"
    return out, *diagnosis(out, "--out", out, *TINY)


def test_it_is_said_again_without_ray(whole):
    out, said, answer = whole
    assert diagnosis(out, out) == (said, answer)
    assert answer["status"] == answer["pruned"]["status"] == "ok"


def test_killed_at_random_and_continued_it_finds_the_same(whole, tmp_path):
    """The command with kill -9, a moment after its workers have begun."""
    out = tmp_path / "whole"
    words = command("diagnose", "--out", out, *TINY, "--checkpoint-seconds", "0.01")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until(lambda: workers(process), process)
    time.sleep(random.uniform(0, 6))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    _, answer = diagnosis(out, "--out", out, *TINY)
    assert answer == whole[2]


def test_models_of_another_run_are_checkpoints(whole, tmp_path):
    files = []
    artifacts = Store(whole[0]).artifacts
    for file in sorted(artifacts.files("dense")):
        files.append(tmp_path / f"{len(files)}.pt")
        torch.save(torch.load(artifacts.path / "dense" / file, weights_only=False)["model"], files[-1])
    out = tmp_path / "own"
    said, answer = diagnosis(out, "--out", out, *TINY, *TOLD, "--checkpoints", *files)
    assert said[0] == whole[1][0]
    for name in ("train_loss", "test_error", "line_mc"):
        assert answer["numbers"][name]["value"] == pytest.approx(whole[2]["numbers"][name]["value"], rel=1e-4)
    assert diagnosis(out, out) == (said, answer)
