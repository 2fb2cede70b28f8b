"""The real commands, with real Ray, as a person would type them: what test_end_to_end.py leaves."""

import fcntl
import io
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import termios
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from support import PATIENCE, TABLE, assert_same, command, grid, run, run_here, start_grid, until, workers

from sweeps.results.phase_schema import P_REGIMES
from sweeps.results.store import Store
from sweeps.spec.presets import PRESETS
from trainables.data import CACHE, load
from trainables.models import build
from trainables.stages import MeasurementStage

pytestmark = pytest.mark.slow

SMOKE = PRESETS["smoke"]
REAL = Path(os.environ.get("THREE_REGIME_SWEEPS_DATA", CACHE)).expanduser()
OWN_MODEL = """
from torch import nn

def model(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(288, classes))
"""


def files_below(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))


def test_an_estimate_measures_steps_and_starts_nothing(tmp_path):
    """Also for data that is not here."""
    done = grid(tmp_path / "new", "--estimate", "--data", "SVHN-16px", "--data-folder", tmp_path / "nothing")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"estimate: [0-9.,]+ core hours, [0-9.e-]+ of them for dense models; [0-9,]+ (seconds|minutes|hours) on this "
        r"machine with [0-9]+ trials at once .*; [0-9]+ kB of disk for models, with --keep siblings, and [0-9]+ kB ",
        done.stdout,
    )
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "nothing").exists()


def test_compiled_code_changes_nothing_but_rounding(undisturbed, tmp_path):
    """Which the sweep's learning rate amplifies from a millionth in a step to some percent after six epochs."""
    out = tmp_path / "compiled"
    done = grid(out, "--compile", "on")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not compiled" not in done.stdout
    ours, theirs = Store(out), Store(undisturbed[0])
    for table in ("runs", "dense"):
        assert {row["execution"] for row in ours.rows(table)} == {"float32, compiled"}
        assert {row["execution"] for row in theirs.rows(table)} <= {"float32, kernels", "float32, plain"}
        assert {row["status"] for row in ours.rows(table)} == {"ok"}
        keys = [name for name in ("dense", "point", "epoch", "retrain_seed") if name in ours.rows(table)[0]]
        assert {tuple(row[name] for name in keys) for row in ours.rows(table)} == {
            tuple(row[name] for name in keys) for row in theirs.rows(table)
        }
    mine, plain = (store.rows("dense")[0]["losses"] for store in (ours, theirs))
    assert mine[0] == pytest.approx(plain[0], rel=1e-3)
    assert mine[1] == pytest.approx(plain[1], rel=2e-2)


def test_any_two_axes_on_a_users_own_data_and_model(tmp_path, without_ray_and_torch):
    """SAM's rho against density, in the folder with the user's files; drawn again when these are gone."""
    (tmp_path / "mine.py").write_text(OWN_MODEL)
    digits = load("digits", 0.0)
    arrays = {f"x_{name}": split.pixels for name, split in (("train", digits.train), ("test", digits.test))}
    labels = {f"y_{name}": split.labels for name, split in (("train", digits.train), ("test", digits.test))}
    np.savez(tmp_path / "mine.npz", **arrays, **labels)
    own = ["--data", "mine.npz", "--model", "mine:model", "--temperature", "rho", "--temperatures", "0", "0.1"]
    arguments = ["--preset", "smoke", "--out", "out", *own, "--epochs", "3"]
    done = run("grid", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    phase = pd.read_csv(tmp_path / "out" / "phase.csv")
    assert list(phase["temperature"]) == [0, 0, 0.1, 0.1]
    assert set(phase["status"]) == {"ok"}
    runs = pd.read_parquet(tmp_path / "out" / "runs")
    assert runs["data"].str.fullmatch(rf"{tmp_path}/mine.npz#1297-[0-9a-f]+").all()
    again = run("grid", *arguments, "--dry-run", cwd=tmp_path)
    assert "points: 4 wanted, 4 stored, 0 to do" in again.stdout
    for name in ("mine.py", "mine.npz"):
        (tmp_path / name).unlink()
    report = run("report", tmp_path / "out", env=without_ray_and_torch)
    assert report.returncode == 0, report.stderr
    assert "Phase diagram: mine.npz, mine:model, magnitude-uniform" in (tmp_path / "out/phase_diagram.html").read_text()
    changed = run("grid", *arguments, cwd=tmp_path)
    assert (changed.returncode, changed.stderr.count("\n")) == (2, 1)


OWN_RECIPE = """
import torch
import torch.nn.functional as F

def noise(images, generator):
    return images + 0.1 * torch.randn(images.shape, generator=generator, device=generator.device)

def focal(logits, labels):
    loss = F.cross_entropy(logits, labels, reduction="none")
    return (1 - (-loss).exp()) ** 2 * loss
"""


def test_a_users_own_augmentation_and_loss_stay_exact_when_the_command_is_killed(tmp_path, undisturbed):
    (tmp_path / "recipe.py").write_text(OWN_RECIPE)
    own = ["--augmentation", "recipe:noise", "--crop-padding", "1", "--loss", "recipe:focal"]
    done = grid("straight", *own, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    killed = start_grid("killed", *own, cwd=tmp_path)
    until(lambda: list((tmp_path / "killed/artifacts/siblings").glob("*/*.pt")), killed)
    killed.kill()
    killed.wait()
    again = grid("killed", *own, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert_same(tmp_path / "killed", tmp_path / "straight")
    runs = pd.read_parquet(tmp_path / "straight/runs")
    assert not set(runs["point"]) & set(pd.read_parquet(undisturbed[0] / "runs")["point"])
    dense = json.loads(runs["configuration"][0])["dense"]
    assert re.fullmatch(r"recipe:noise#[0-9a-f]{12}", dense["augmentation"]["function"])
    assert re.fullmatch(r"recipe:focal#[0-9a-f]{12}", dense["loss"])
    (tmp_path / "recipe.py").write_text(OWN_RECIPE.replace("** 2", "** 3"))
    changed = grid("straight", *own, "--dry-run", cwd=tmp_path)
    assert "points: 4 wanted, 0 stored, 4 to do" in changed.stdout


def test_batch_size_against_width(tmp_path):
    axes = ["--temperature", "batch_size", "--temperatures", "32", "128", "--load", "width", "--widths", "0.5", "1"]
    done = grid(tmp_path, *axes, "--model", "preresnet8", "--densities", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    phase = pd.read_parquet(tmp_path / "phase.parquet")
    assert list(zip(phase["temperature"], phase["load"], strict=True)) == [(32, 0.5), (32, 1), (128, 0.5), (128, 1)]
    assert set(phase["density"].round(2)) == {0.2}
    runs = pd.read_parquet(tmp_path / "runs")
    assert set(runs["model"]) == {"preresnet8-w0.5", "preresnet8"}
    assert dict(zip(runs["temperature"], runs["epoch"], strict=True)) == {32: 3, 128: 12}  # 108 steps of 1,167 images


@pytest.mark.skipif(not (REAL / "FashionMNIST/raw").exists(), reason=f"no FashionMNIST/raw in {REAL}")
def test_a_scaled_down_grid_on_real_fashion_mnist(tmp_path):
    few = ["--temperatures", "1", "2", "--densities", "0.1", "--dense-seeds", "1", "--retrain-seeds", "1", "2"]
    done = run("grid", "--preset", "fashion-epochs", "--out", tmp_path, "--epochs", "2", *few, "--data-folder", REAL)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = pd.read_parquet(tmp_path / "runs")
    assert runs["test_error"].between(0.05, 0.6).all()


def test_report_draws_stored_results(undisturbed, tmp_path, without_ray_and_torch):
    out, _ = undisturbed
    done = run("report", out, "--out", tmp_path / "mine.html", "--lmc-threshold", "-1e-9", env=without_ray_and_torch)
    assert done.returncode == 0, done.stderr
    assert r"LMC below \u22121e\u221209" in (tmp_path / "mine.html").read_text()
    phase = pd.read_parquet(out / "phase.parquet")
    assert ((phase["regime"] == "I") == (phase["lmc"] < -1e-9)).all()
    assert run("report", out).returncode == 0  # and with the sweep's own again


def answers_of(file):
    return json.loads(Path(file).read_text())


def search(out, file, *arguments, **options):
    """Search with the real command; what it printed, its answers in the file."""
    return run("tune_temperature", "--preset", "smoke", "--out", out, "--json", file, *arguments, **options)


def start_search(out, *arguments):
    words = ["--preset", "smoke", "--out", out, "--json", out.parent / "never.json", *arguments]
    return subprocess.Popen(
        command("tune_temperature", *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kill(process):
    """As if the machine had lost its power, the workers included."""
    trials = workers(process)
    process.kill()
    process.communicate()
    for trial in trials:
        trial.wait(PATIENCE)


def test_a_search_trains_what_it_wants_and_decides_as_a_replay_of_the_grid(tmp_path, without_ray_and_torch):
    """Live, killed in between, and again with nothing to do; the grid's table knows what should come out."""
    axis = ["--temperatures", "1", "2", "3", "6"]
    assert grid(tmp_path / "grid", *axis).returncode == 0
    how = ["--lmc-threshold", "-0.02"]
    replay = ["--replay", tmp_path / "grid", *how, "--json", tmp_path / "replay.json"]
    expected = run("tune_temperature", *replay, env=without_ray_and_torch)
    assert expected.returncode == 0, expected.stderr
    assert (tmp_path / "grid" / "temperature_tuning.html").stat().st_size > 1_000_000
    how += [*axis, "--most-siblings", "2"]
    process = start_search(tmp_path / "live", *how)
    until(lambda: list((tmp_path / "live" / "runs").glob("*.parquet")), process)
    kill(process)
    done = search(tmp_path / "live", tmp_path / "live.json", *how)
    assert done.returncode == 0, done.stdout + done.stderr
    again = search(tmp_path / "live", tmp_path / "again.json", *how, env=without_ray_and_torch)
    assert again.returncode == 0, again.stdout + again.stderr
    live, replayed = answers_of(tmp_path / "live.json"), answers_of(tmp_path / "replay.json")
    assert live == answers_of(tmp_path / "again.json")
    for answer in (*live, *replayed):
        for name in ("best_temperature", "best_error", "regret"):  # the grid knows more
            answer.pop(name)
    assert live == replayed
    points = len(pd.read_parquet(tmp_path / "live" / "runs")["point"].unique())
    assert points == sum(answer["evaluations"] for answer in live) < 8
    completed = grid(tmp_path / "live", *axis)
    assert f"8 points wanted, {points} stored" in completed.stdout
    assert_same(tmp_path / "live", tmp_path / "grid")


ADDING = ["--temperatures", "2", "3", "6", "--most-siblings", "4"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Folder of a search that was not disturbed and added siblings, and its answers."""
    out = tmp_path_factory.mktemp("searched") / "results"
    done = search(out, out.parent / "answers.json", *ADDING)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = answers_of(out.parent / "answers.json")
    assert max(visit["siblings"] for answer in answers for visit in answer["visited"]) > 2
    return out, answers


def test_a_replay_of_a_search_that_added_siblings_gives_the_same_answers(searched, tmp_path, without_ray_and_torch):
    """The replay asks for as many as the search did, and with fewer allowed for fewer."""
    out, answers = searched
    replay = ["--replay", out, "--most-siblings", "4", "--json", tmp_path / "replay.json"]
    done = run("tune_temperature", *replay, env=without_ray_and_torch)
    assert done.returncode == 0, done.stderr
    assert answers_of(tmp_path / "replay.json") == answers
    retrained = pd.read_parquet(out / "runs")
    assert len(retrained) == sum(answer["retrainings"] for answer in answers)


def test_a_search_that_was_killed_while_it_added_siblings_ends_with_the_same_answers(searched, tmp_path):
    out = tmp_path / "results"
    process = start_search(out, *ADDING)
    until(lambda: list((out / "added_siblings").glob("*.json")), process)
    kill(process)
    assert not (tmp_path / "never.json").exists()
    done = search(out, tmp_path / "answers.json", *ADDING)
    assert done.returncode == 0, done.stdout + done.stderr
    assert answers_of(tmp_path / "answers.json") == searched[1]


def test_a_search_whose_budget_is_spent_says_so_and_the_same_command_ends_as_one_that_was_not_stopped(
    searched, tmp_path
):
    out = tmp_path / "results"
    stopped = search(out, tmp_path / "stopped.json", *ADDING, "--budget", "0.0001")
    assert "Stopped: the --budget of 0.0001 hours is spent; the same command continues." in stopped.stdout
    assert (stopped.stdout + stopped.stderr).count("Traceback") == 0
    so_far = answers_of(tmp_path / "stopped.json")
    nothing = [answer for answer in so_far if answer["chosen_temperature"] is None]
    assert stopped.returncode == bool(nothing), stopped.stderr
    assert {answer["note"] for answer in nothing} <= {"nothing was evaluated"}
    assert sum(answer["evaluations"] for answer in so_far) < sum(answer["evaluations"] for answer in searched[1])
    done = search(out, tmp_path / "answers.json", *ADDING)
    assert done.returncode == 0, done.stdout + done.stderr
    assert answers_of(tmp_path / "answers.json") == searched[1]


def test_a_budget_that_suffices_stops_nothing(searched, tmp_path):
    """Nor is any of it spent where all is there."""
    out = tmp_path / "results"
    shutil.copytree(searched[0], out)
    done = search(out, tmp_path / "answers.json", *ADDING, "--budget", "1e-9")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Stopped" not in done.stdout
    assert answers_of(tmp_path / "answers.json") == searched[1]


def test_in_a_complete_grid_a_search_trains_added_siblings_alone(undisturbed, tmp_path, without_ray_and_torch):
    out = tmp_path / "results"
    shutil.copytree(undisturbed[0], out)
    before = pd.read_parquet(out / "runs")
    done = search(out, tmp_path / "answers.json", "--most-siblings", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    answers = answers_of(tmp_path / "answers.json")
    for visit in (visit for answer in answers for visit in answer["visited"]):
        assert visit["siblings"] == 3  # of one dense model: a single pair says nothing about noise
        assert "with 2 siblings does not tell its noise; " in visit["reason"]
    after = pd.read_parquet(out / "runs")
    evaluations = sum(answer["evaluations"] for answer in answers)
    assert sorted(after["retrain_seed"]) == sorted([*before["retrain_seed"], *[3] * evaluations])
    assert len(pd.read_parquet(out / "dense")) == len(pd.read_parquet(undisturbed[0] / "dense"))
    replay = ["--replay", out, "--most-siblings", "3", "--json", tmp_path / "replay.json"]
    again = run("tune_temperature", *replay, env=without_ray_and_torch)
    assert again.returncode == 0, again.stderr
    assert answers_of(tmp_path / "replay.json") == answers


def test_selecting_a_model_of_a_grid_and_of_ones_own(undisturbed, tmp_path, without_ray_and_torch):
    out, _ = undisturbed
    done = run("select_model", "--replay", out, "--json", tmp_path / "a.json", env=without_ray_and_torch)
    assert done.returncode == 0, done.stderr
    for answer in answers_of(tmp_path / "a.json"):
        methods = {each["method"]: each for each in answer["selections"]}
        assert list(methods) == ["dense error", "Algorithm 2", "Algorithm 2.1", "oracle"]
        assert methods["oracle"]["regret"] == 0
        assert {each["select_by"] for each in answer["selections"]} == {"dense_validation_error"}
        assert methods["dense error"]["dense_validation_error"] <= methods["oracle"]["dense_validation_error"]
    stored = run("select_model", "--preset", "smoke", "--out", out, env=without_ray_and_torch)
    assert stored.returncode == 0, stored.stderr
    assert "4 points wanted, 4 stored" in stored.stdout
    files = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        files.append(tmp_path / f"{seed}.pt")
        torch.save(build(SMOKE.model, 1, 10).state_dict(), files[-1])
    own = ["--preset", "smoke", "--density", "0.4", "--out", tmp_path / "own", "--checkpoints", *files]
    done = run("select_model", *own, "--json", tmp_path / "b.json")
    assert done.returncode == 0, done.stdout + done.stderr
    (answer,) = answers_of(tmp_path / "b.json")
    assert {each["checkpoint"] for each in answer["selections"]} <= set(map(str, files))
    assert f"Checkpoint 2: {files[1]}" in done.stdout
    assert {each["select_by"] for each in answer["selections"]} == {"dense_test_error"}


def test_a_table_is_drawn_searched_and_written_back(tmp_path, without_ray_and_torch):
    (tmp_path / "table.csv").write_text(TABLE)
    here = {"cwd": tmp_path, "env": without_ray_and_torch}
    report = run("report", "table.csv", "--table", "regimes.parquet", **here)
    assert report.returncode == 0, report.stderr
    assert "Phase diagram: table.csv" in (tmp_path / "results/table_phase_diagram.html").read_text()
    back = pd.read_parquet(tmp_path / "regimes.parquet")
    own = ["temperature", "density", "lmc", "test_error", "cka"]
    assert list(back.columns) == [*own, "regime", "lmc_threshold", *P_REGIMES]
    assert list(back["regime"]) == ["II-A", "I", "I"]
    search = run("tune_temperature", "--replay", "table.csv", "--json", "a.json", **here)
    assert search.returncode == 0, search.stderr
    assert "no validation_error is known, so this is the boundary" in search.stdout
    (answer,) = answers_of(tmp_path / "a.json")
    assert [answer[name] for name in ("density", "chosen_temperature", "regime", "regret")] == [0.1, 1, "II-A", 0]
    select = run("select_model", "--replay", "table.csv", **here)
    assert select.returncode == 0, select.stderr
    assert "dense_test_error is not known of all candidates" in select.stdout


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"RAY_ADDRESS": "http://127.0.0.1:8265"},
            "it would be RAY_ADDRESS=http://127.0.0.1:8265, which",
        ),
        ({"RAY_AUTH_MODE": "token"}, "there is no Ray cluster to join (Token authentication is enabled but no "),
    ],
)
def test_what_the_environment_says_of_a_cluster_is_told(environment, said, tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = "auto" if "RAY_ADDRESS" in environment else "{}:{}".format(*listener.getsockname())
        done = grid(tmp_path / "out", "--address", address, env=os.environ | {"HOME": str(tmp_path)} | environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert not (tmp_path / ".ray" / "auth_token").exists()


def test_a_sweep_that_cannot_start_leaves_the_results_as_they_are(undisturbed):
    out, _ = undisturbed
    before = {file: (out / file).read_bytes() for file in files_below(out) if (out / file).is_file()}
    for arguments in (["--address", "127.0.0.1:1"], ["--address", "nonsense"], ["--gpus-per-trial", "77"]):
        done = grid(out, "--lr", "0.01", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert {file: (out / file).read_bytes() for file in files_below(out) if (out / file).is_file()} == before


def test_a_second_sweep_in_the_same_folder_is_refused_while_the_first_is_alive(undisturbed, tmp_path):
    out = tmp_path / "results"
    first = start_grid(out)
    until(lambda: list((out / ".driver").glob("[!.]*")), first)
    second = grid(out)
    assert first.poll() is None
    assert (second.returncode, second.stderr.count("\n")) == (2, 1), second.stdout + second.stderr
    assert f"grid.py: {out}: another sweep is at work there (process {first.pid} on {socket.gethostname()}, begun " in (
        second.stderr
    )
    assert "running" not in second.stdout
    said, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0, said
    assert_same(out, undisturbed[0])
    assert not list((out / ".driver").iterdir())

    others = ["--densities", "0.2", "--retrain-epochs", "180"]  # so that it is not done when it is killed
    first = start_grid(out, *others)
    until(lambda: workers(first), first)
    assert grid(out).returncode == 0  # nothing to do
    beside = grid(out, "--densities", "0.3", "--temperatures", "6", "--alongside")
    assert first.poll() is None
    assert beside.returncode == 0, beside.stdout + beside.stderr
    assert "1 of 1 points done" in beside.stdout
    first.kill()
    again = grid(out, *others)  # at once
    assert again.returncode == 0, again.stdout + again.stderr
    assert "watching" not in again.stdout
    first.communicate()
    assert not list((out / ".driver").iterdir())


def running_shares(out) -> list[float]:
    """How far the points are that run, as the sweep last wrote it down: above 0 once an epoch is done."""
    return list(json.loads((out / "progress.json").read_text())["running"].values())


def test_on_a_terminal_there_is_a_live_bar_and_ctrl_c_reaches_the_sweep_alone(tmp_path):
    """A terminal's Ctrl-C goes to every process of the group, Ray's own among them."""
    out = tmp_path / "results"
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command("grid", "--preset", "smoke", "--out", out, "--retrain-epochs", "2000"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    said = b""
    deadline = time.monotonic() + PATIENCE
    pressed = False
    while time.monotonic() < deadline:
        try:
            said += os.read(controller, 4096)
        except OSError:  # the terminal is closed
            break
        if not pressed and b"2 running" in said and len(shares := running_shares(out)) == 2 and min(shares) > 0:
            os.write(controller, b"\x03")
            pressed = True
    assert process.wait(timeout=PATIENCE) == 130, said.decode()
    text = said.decode()
    assert "\u2501" in text  # the bar
    assert "Stopped." in text
    assert "Traceback" not in text
    trainings = list((out / "artifacts" / "training").glob("*.pt"))
    assert len(trainings) == 2  # what was running was saved
    assert all(
        torch.load(io.BytesIO(file.read_bytes()), weights_only=True)["training"]["epoch"] > 0 for file in trainings
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ray_starts_stops_it_as_cleanly(number, tmp_path):
    process = start_grid(tmp_path / "results")
    until(lambda: any("gcs" in child.name() for child in psutil.Process(process.pid).children(recursive=True)), process)
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "the same command continues" in said
    assert "Traceback" not in said


def test_a_model_that_does_not_suit_is_told_in_one_sentence_before_anything_is_written(tmp_path):
    """Only what presets have is tried while Ray starts."""
    done = grid(tmp_path / "results", "--model", "vgg11", env=os.environ | {"MARK": str(tmp_path)})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "grid.py: model vgg11 cannot be trained on images of 8x8 pixels" in done.stderr
    assert not (tmp_path / "results").exists()
    assert not psutil.wait_procs(processes_with("MARK", str(tmp_path)), timeout=PATIENCE)[1]


def processes_with(variable, value):
    """Processes that have inherited a variable."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(variable) == value:
                found.append(process)
    return found


def test_trials_take_the_workers_that_ray_started_with_itself(tmp_path):
    """Ray names the files of those for no job, and they have imported what takes long."""
    process = start_grid(tmp_path / "results")
    until(lambda: workers(process), process)
    files = [Path(file.path).name for file in workers(process)[0].open_files()]
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert any(name.startswith("worker-") and "-ffffffff-" in name for name in files), files


def test_a_report_replaces_files_and_nothing_else(undisturbed, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for out in (pipe, tmp_path, "s3://bucket/x.html"):
        done = run_here("report", undisturbed[0], "--out", out)
        assert done.returncode == 2
        assert f"--out {out} is not a file on this machine" in done.stderr
    assert pipe.is_fifo()


def test_a_reader_that_goes_away_is_no_traceback(undisturbed):
    reader = f"{' '.join(command('report', undisturbed[0]))} | head -c 1"
    done = subprocess.run(["bash", "-c", reader], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_point_that_fails_is_stored_tried_again_and_does_not_stop_the_others(undisturbed, tmp_path):
    out = tmp_path / "results"
    stages = SMOKE.points()
    hurt = stages[0].point
    planted = out / "artifacts" / "siblings" / hurt.key / "1-2.pt"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"not a torch file")
    (out / "sweep.json").write_text(SMOKE.to_json())
    failed = grid(out)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "1 of 4 points failed" in failed.stderr
    assert f"epochs 2, density 0.05, dense seed 1: ArtifactError: {planted} is damaged" in failed.stderr
    assert len(Store(out).stored(MeasurementStage)) == 3
    assert sorted(pd.read_csv(out / "phase.csv")["status"]) == ["failed", "ok", "ok", "ok"]
    planted.unlink()
    again = grid(out)
    assert again.returncode == 0, again.stdout + again.stderr
    assert_same(out, undisturbed[0])


MORTAL = """
import os
import sys
import torch

class Mortal(torch.nn.Flatten):
    def forward(self, images):
        if "ray" in sys.modules:
            {}
        return super().forward(images)

def mortal():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), Mortal(), torch.nn.Linear(72, 10))
"""


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ('raise torch.AcceleratorError("made up")', ": AcceleratorError: made up"),  # and then the worker ends
        ("os.kill(os.getpid(), 9)", ": the trial died: "),
    ],
)
def test_why_a_trial_died_is_said(end, said, tmp_path):
    (tmp_path / "mortals.py").write_text(MORTAL.format(end))
    one = ["--densities", "0.4", "--temperatures", "2", "--dense-seeds", "1", "--max-failures", "1"]
    done = grid(tmp_path / "results", *one, "--model", "mortals:mortal", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stderr
    assert "Tried again: " in done.stdout


def test_a_selection_can_be_watched(tmp_path):
    out = tmp_path / "results"
    process = subprocess.Popen(command("select_model", "--preset", "smoke", "--out", out, "--retrain-epochs", "200"))
    until(lambda: (out / "sweep.json").exists(), process)
    status = run("status", out)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130
    assert "of 4 points done" in status.stdout, status.stderr


def test_a_training_that_diverges_is_a_result(tmp_path):
    out = tmp_path / "results"
    done = grid(out, "--lr", "1e30", "--densities", "0.4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(pd.read_parquet(out / "runs")["status"]) == {"diverged"}
    assert pd.read_csv(out / "phase.csv")["regime"].isna().all()
    again = grid(out, "--lr", "1e30", "--densities", "0.4")
    assert "2 stored" in again.stdout


def test_a_metrics_port_that_is_taken_is_said_at_once(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = grid(tmp_path / "results", "--metrics-port", port)
    assert done.returncode == 2
    assert f"--metrics-port {port} cannot be used (Address already in use)" in done.stderr
    assert done.stderr.count("\n") == 1
