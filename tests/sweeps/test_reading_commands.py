"""Commands that read results: they build no model and leave nothing beside the results."""

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import pytest
from points import record
from support import PATIENCE, ROOT, TABLE, command, free_port, run_here, until

from sweeps.results.store import Store
from sweeps.spec.presets import PRESETS
from trainables.stages import DenseStage
from trainables.stages.dense import dense_name
from trainables.storage.local_folder import LocalFolder

EVIL = "from pathlib import Path\n\nPath('imported').touch()\n\n\ndef make(channels, classes): ...\n"


@pytest.fixture
def planted(tmp_path, made_up):
    """Complete results of a user's model, and in the folder where commands are typed a module of its name."""
    (tmp_path / "evil.py").write_text(EVIL)
    spec = replace(PRESETS["smoke"], model="evil:make#0123456789ab")
    store = Store(tmp_path / "planted")
    store.set_spec(spec)
    for stage in spec.points():
        run, epoch = stage.point.dense, stage.point.epoch
        row = {"dense": run.key, "epoch": epoch, "status": "ok", "message": "", "seconds": 1.0, "train_error": 0.1}
        row["losses"] = [1.0] * epoch
        store.record(DenseStage(run, (epoch,)), {"dense": [row]}, "cpu")
        LocalFolder(tmp_path / "planted").write(f"artifacts/dense/{run.key}/{dense_name(epoch)}.pt", b"no model")
        record(store, stage, made_up(stage))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("select_model", ["--replay", "planted"]),
        ("tune_temperature", ["--replay", "planted"]),
        ("report", ["planted"]),
        ("report", ["planted", "--tensorboard", "events"]),
        ("status", ["planted"]),
    ],
)
def test_no_module_that_results_name_is_imported(planted, name, arguments):
    done = run_here(name, *arguments, cwd=planted)
    assert done.returncode == 0, done.stderr
    assert "evil" not in sys.modules
    assert not (planted / "imported").exists()


def test_nor_by_the_live_diagram(planted):
    port = free_port()
    serving = subprocess.Popen(command("report", "planted", "--serve", "--port", port), cwd=planted)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/diagram.json") as page:
                    answer = json.load(page)
                break
            except URLError:
                assert serving.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        serving.terminate()
        serving.wait()
    assert answer["figure"]["figures"][0]["data"]
    assert not (planted / "imported").exists()


def test_pictures_of_a_table_go_where_results_go(tmp_path):
    """In a folder with this project's .gitignore, git then sees nothing new."""
    (tmp_path / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    (tmp_path / "measured.csv").write_text("temperature,density,lmc,test_error\n1,0.1,-0.2,0.3\n2,0.1,-0.01,0.2\n")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    commands = ("tune_temperature", "--replay"), ("report",), ("select_model", "--replay")
    said = ""
    for name, *option in commands:
        done = run_here(name, *option, "measured.csv", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said += done.stdout
    for file in ("results/measured_temperature_tuning.html", "results/measured_phase_diagram.html"):
        assert file in said
        assert (tmp_path / file).stat().st_size > 1_000_000
    seen = [*git, "status", "--porcelain", "--untracked-files=all"]
    assert "??" not in subprocess.run(seen, capture_output=True, text=True, check=True).stdout


def test_results_that_cannot_be_written_are_drawn_elsewhere(planted, monkeypatch):
    """A file system that is read-only stands in for itself: the superuser may write where others may not."""
    write = LocalFolder.write

    def refused(folder, name, content):
        if folder.path == planted / "planted":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        write(folder, name, content)

    before = sorted((planted / "planted").rglob("*"))
    monkeypatch.setattr(LocalFolder, "write", refused)
    for options, drawn in (
        ((), "results/planted_phase_diagram.html"),
        (("--out", "mine.html", "--table", "mine.csv"), "mine.html"),
    ):
        done = run_here("report", "planted", *options, cwd=planted)
        assert done.returncode == 0, done.stderr
        said = f"Left out: {planted}/planted/phase.parquet cannot be written: {os.strerror(errno.EROFS)}.\n"
        assert said in done.stdout
        assert done.stdout.endswith(f"Phase diagram: {planted / drawn}\n")
        assert (planted / drawn).stat().st_size > 1_000_000
    assert "regime" in (planted / "mine.csv").read_text()
    assert sorted((planted / "planted").rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("report", ["a"]),
        ("report", ["a/below"]),
        ("report", ["loop.csv"]),
        ("report", ["a", "--serve"]),
        ("report", ["measured.csv", "--out", "a/x.html"]),
        ("status", ["a"]),
        ("status", ["a", "--watch"]),
        ("grid", ["--preset", "smoke", "--out", "a"]),
        ("tune_temperature", ["--preset", "smoke", "--out", "a/below"]),
        ("tune_temperature", ["--replay", "a"]),
        ("tune_temperature", ["--replay", "loop.csv"]),
        ("select_model", ["--replay", "a"]),
    ],
)
def test_links_in_a_circle_are_one_sentence(tmp_path, name, arguments):
    for link, target in ("a", "b"), ("b", "a"), ("loop.csv", "loop.csv"):
        (tmp_path / link).symlink_to(target)
    (tmp_path / "measured.csv").write_text(TABLE)
    done = run_here(name, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert any(word in done.stderr for word in (arguments[-1], "/a", " a "))


def test_where_no_sweep_has_begun_one_is_waited_for(planted):
    """With --watch and --serve, and without a word in between; as it is there, both go on."""
    (planted / "planted").rename(planted / "later")
    assert run_here("status", "planted", cwd=planted).returncode == 2
    port = free_port()
    how = {"cwd": planted, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    watching = subprocess.Popen(command("status", "planted", "--watch"), **how)
    serving = subprocess.Popen(command("report", "planted", "--serve", "--port", port), **how)
    try:
        where = planted / "planted"
        assert watching.stdout.readline() == f"No sweep is in {where} yet; waiting for one (Ctrl-C ends it).\n"
        assert serving.stdout.readline() == f"No sweep is in {where} yet; the diagram is shown when one has begun.\n"
        serving.stdout.readline()
        with urlopen(f"http://127.0.0.1:{port}/diagram.json") as page:
            assert json.load(page)["figure"] is None
        (planted / "later").rename(where)
        assert "4 of 4 points done" in watching.communicate(timeout=PATIENCE)[0]
        assert watching.returncode == 0
        until(lambda: json.load(urlopen(f"http://127.0.0.1:{port}/diagram.json"))["figure"], serving)
    finally:
        for process in (watching, serving):
            process.kill()
            process.communicate()


def test_commands_say_that_siblings_diverged(tmp_path):
    rows = "1,0.1,-0.2,0.3,4,2\n2,0.1,-0.01,0.2,6,0\n"
    (tmp_path / "measured.csv").write_text("temperature,density,lmc,test_error,n_runs,n_diverged\n" + rows)
    for name, *option in ("tune_temperature", "--replay"), ("report",), ("select_model", "--replay"):
        done = run_here(name, *option, "measured.csv", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Note: siblings diverged and are in no mean: epochs 1 at density 0.1 (2 of 6); never" in done.stdout


def test_which_error_of_dense_models_chose_is_said(tmp_path):
    columns = "temperature,density,lmc,test_error,dense_test_error,dense_validation_error\n"
    (tmp_path / "measured.csv").write_text(columns + "1,0.1,-0.01,0.3,0.2,0.1\n2,0.1,-0.01,0.2,0.1,0.2\n")
    for option, chosen, said in (
        ([], 1, "Dense error: dense_validation_error.\n"),
        (["--select-by", "dense_test_error"], 2, "Dense error: dense_test_error, so the test images choose"),
    ):
        done = run_here("select_model", "--replay", "measured.csv", "--json", "a.json", *option, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        (answer,) = json.loads((tmp_path / "a.json").read_text())
        assert {each["temperature"] for each in answer["selections"][:2]} == {chosen}
    done = run_here("select_model", "--replay", "measured.csv", "--select-by", "test_error", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_table_of_a_file_tells_probabilities_of_the_thresholds_that_were_asked_for(tmp_path):
    rows = "1,0.1,-0.04,0.3,0.01,0.5\n2,0.1,-0.01,0.2,0.001,0.5\n"
    (tmp_path / "phase.csv").write_text(f"temperature,density,lmc,test_error,lmc_se,p_regime_1\n{rows}")
    for threshold, probabilities in (("-0.05", [0.1587, 0]), ("-0.03", [0.8413, 0])):
        options = "phase.csv", "--table", "told.csv", f"--lmc-threshold={threshold}"
        assert run_here("report", *options, cwd=tmp_path).returncode == 0
        assert list(pd.read_csv(tmp_path / "told.csv")["p_regime_1"]) == pytest.approx(probabilities, abs=1e-3)
    assert "p_regime_2a" not in pd.read_csv(tmp_path / "told.csv")  # without CKA nothing is known of it
