"""What ends a sweep from below: processes of its own Ray that die, and disks that are full."""

import os
import re
import shutil
import subprocess
import time

import psutil
import pytest
from support import PATIENCE, assert_same, command, grid, run, start_grid, until, workers

pytestmark = pytest.mark.slow

LONG = ["--retrain-epochs", "300"]  # so that it is not done when something dies


def part_of_ray(process, name):
    for child in psutil.Process(process.pid).children(recursive=True):
        if name in (child.name(), *child.cmdline()[:1]):
            return child
    return None


@pytest.mark.parametrize("name", ["raylet", "gcs_server", "ray::DashboardAgent"])
def test_a_process_of_rays_that_dies_ends_the_sweep_in_one_sentence(name, tmp_path):
    out = tmp_path / "results"
    process = start_grid(out, *LONG)
    until(lambda: workers(process) and (out / "runs").parent.exists() and (out / "sweep.json").exists(), process)
    part_of_ray(process, name).kill()
    killed = time.monotonic()
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, said
    assert time.monotonic() - killed < 30
    sentence = (
        f"grid.py: Ray's {name.removeprefix('ray::')} on this machine has died "
        "(was it killed, perhaps with all of this, or is memory short?)"
    )
    lines = said.splitlines()
    assert lines[-1] == f"{sentence}; everything finished is in {out}; the same command continues."
    usual = re.compile(r"4 points wanted, |\d of 4 points done, |Tried again: ")
    assert [line for line in lines[:-1] if not usual.match(line)] == []
    status = run("status", out)
    assert "Stopped before its end on" in status.stdout, status.stdout + status.stderr
    assert "Running" not in status.stdout


def on_a_small_disk(folder, script, **environment):
    """Run a script with a disk of 12 MB in a folder."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("disks cannot be mounted here")
    folder.mkdir()
    start = f"set -e; mount -t tmpfs -o size=12m none {folder}; set +e; {script}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", start],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
        env=os.environ | environment,
    )


def test_a_grid_on_a_full_disk_says_so_and_goes_on_when_there_is_room(undisturbed, tmp_path):
    disk = tmp_path / "disk"
    start = " ".join(command("grid", "--preset", "smoke", "--out", disk / "results"))
    fill = f"mkdir {disk}/results; head -c 12100000 /dev/zero > {disk}/filler"
    status = " ".join(command("status", disk / "results"))
    keep = f"cp -r {disk}/results {tmp_path}/kept"
    again = f"{start}; echo code $? >&2; {status}; rm {disk}/filler; {start}; echo code $? >&2; {keep}"
    done = on_a_small_disk(disk, f"{fill}; {again}")
    assert done.stderr.count("\n") == 3, done.stderr
    full, first, second = done.stderr.splitlines()
    assert re.fullmatch(
        rf"grid.py: the disk of {disk}/results(/artifacts)? is full \(No space left on device\); "
        "make room there, and the same command continues.",
        full,
    )
    assert (first, second) == ("code 2", "code 0"), done.stderr
    assert "Running" not in done.stdout
    assert "Tried again" not in done.stdout
    assert_same(tmp_path / "kept", undisturbed[0])


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_full_disk_under_ray_is_named(variable, tmp_path):
    disk = tmp_path / "disk"
    start = " ".join(command("grid", "--preset", "smoke", "--out", tmp_path / "results"))
    fill = f"head -c 100000000 /dev/zero > {disk}/filler"
    done = on_a_small_disk(disk, f"{fill} 2> /dev/null; {start}; echo code $? >&2", **{variable: str(disk)})
    said, code = done.stderr.splitlines()
    assert said.startswith(f"grid.py: the disk of {disk} is full, where Ray keeps files; make room there, or name ")
    assert code == "code 2"


def test_a_disk_under_ray_that_fills_up_while_it_works_is_named(tmp_path):
    """A file that Tune could not finish says nothing to it later on."""
    disk = tmp_path / "disk"
    folder = tmp_path / "results"
    start = " ".join(command("grid", "--preset", "smoke", "--out", folder))
    fill = f"while ! test -e {folder}/progress.json; do sleep 0.05; done; head -c 100000000 /dev/zero > {disk}/filler"
    script = f"({fill} 2> /dev/null) & {start}; echo code $? >&2; rm {disk}/filler; {start}; echo code $? >&2"
    done = on_a_small_disk(disk, script, TMPDIR=str(disk), RAY_TMPDIR="/tmp")
    said = [line for line in done.stderr.splitlines() if "LOG ERROR" not in line]
    assert "Traceback" not in done.stderr + done.stdout
    assert said[-1] == "code 0"
    if len(said) > 2:  # it needed the room
        assert said[0].startswith(f"grid.py: the disk of {disk} is full, where Ray keeps files; ")
        assert said[1] == "code 2"


def test_a_read_only_folder_is_drawn_elsewhere(undisturbed, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(undisturbed[0], folder)
    report = " ".join(command("report", folder, "--out", tmp_path / "elsewhere.html", "--table", tmp_path / "mine.csv"))
    bound = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    done = on_a_small_disk(tmp_path / "disk", f"{bound} && {report}")
    assert done.returncode == 0, done.stderr
    assert "Left out: " in done.stdout
    assert (tmp_path / "elsewhere.html").stat().st_size > 1_000_000
    assert "regime" in (tmp_path / "mine.csv").read_text()


def test_status_in_the_first_seconds_of_a_sweep_says_that_it_starts(tmp_path):
    out = tmp_path / "results"
    assert grid(out).returncode == 0
    process = start_grid(out, *LONG)
    until(lambda: list((out / ".driver").glob("[!.]*")), process)
    starting = run("status", out)
    try:
        until(lambda: workers(process), process)
        working = run("status", out)
    finally:
        process.kill()
        process.communicate()
    lost = run("status", out)
    assert starting.stdout.startswith(f"The sweep starts (process {process.pid} on "), starting.stdout + starting.stderr
    assert "Running on" in working.stdout
    assert "Lost: " in lost.stdout
