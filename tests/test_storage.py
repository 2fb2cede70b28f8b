"""The real commands on object storage: a real S3 server on loopback."""

import os
import tempfile
import uuid
from pathlib import Path

import pytest
from support import assert_same, grid, run, run_here, start_grid, until, workers

from trainables.storage.location import open_folder

pytestmark = pytest.mark.slow

RESULTS = {"artifacts", "dense", "pairs", "runs", "phase.csv", "phase.parquet", "phase_diagram.html"} | {
    "sweep.json",
    "progress.json",
}


@pytest.fixture
def bucket(s3):
    """Arguments for results in object storage, and the folder there."""
    uri, endpoint = f"{s3[0]}/{uuid.uuid4().hex}", s3[1]
    return uri, ["--storage-endpoint", endpoint], open_folder(uri, endpoint)


def fetched(folder, into):
    for name in folder.files(""):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_bytes(folder.read(name))
    return into


def test_a_grid_that_is_killed_and_continued_in_object_storage_has_the_values_of_one_on_disk(
    bucket, undisturbed, tmp_path, without_ray_and_torch
):
    uri, endpoint, folder = bucket
    blind = os.environ | {"PYTHONPATH": without_ray_and_torch["PYTHONPATH"]}  # with the keys of the bucket
    killed = start_grid(uri, *endpoint)
    until(lambda: folder.names("runs", ".parquet"), killed)
    orphans = workers(killed)
    killed.kill()
    killed.communicate()
    for process in orphans:
        process.wait(60)
    done = run("grid", "--preset", "smoke", "--out", uri, *endpoint)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Phase diagram: {uri}/phase_diagram.html" in done.stdout
    assert {name for name in folder.contents() if name[0] != "."} == RESULTS  # nothing of Tune's, which nothing reads
    assert folder.files("artifacts/training") == {}
    (tmp_path / "fetched").mkdir()
    assert_same(fetched(folder, tmp_path / "fetched"), undisturbed[0])
    again = run("grid", "--preset", "smoke", "--out", uri, *endpoint, env=blind)
    assert "4 points wanted, 4 stored" in again.stdout, again.stderr
    status = run("status", uri, *endpoint, env=blind)
    assert "4 of 4 points done" in status.stdout
    report = run("report", uri, *endpoint, "--out", tmp_path / "mine.html", env=blind)
    assert report.returncode == 0, report.stderr
    assert (tmp_path / "mine.html").stat().st_size > 1_000_000
    search = run("tune_temperature", "--replay", uri, *endpoint, env=blind)
    assert search.returncode == 0, search.stderr
    assert f"Picture: {uri}/temperature_tuning.html" in search.stdout


def test_keys_are_in_no_file_of_rays(tmp_path):
    keys = {
        "AWS_ACCESS_KEY_ID": "access-key-that-nobody-reads",
        "AWS_SECRET_ACCESS_KEY": "secret-key-that-nobody-reads",
        "AWS_SESSION_TOKEN": "session-token-that-nobody-reads",
        "AWS_SECURITY_TOKEN": "security-token-that-nobody-reads",
    }
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:  # a short name
        done = grid(tmp_path / "results", env=os.environ | keys | {"RAY_TMPDIR": folder})
        assert done.returncode == 0, done.stdout + done.stderr
        files = {file: file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}
    assert any(file.name.startswith("raylet") for file in files)  # which starts the trials; they inherit the keys
    told = {file.name for file, content in files.items() for key in keys.values() if key.encode() in content}
    assert told == set()


@pytest.mark.parametrize(
    ("out", "endpoint", "said"),
    [
        ("s3://no-such-bucket/results", None, "NO_SUCH_BUCKET"),
        ("s3://sweeps/results", "http://127.0.0.1:1", "NETWORK_CONNECTION"),
        ("s3://sweeps", None, "names no folder"),
        ("s3://key:secret@sweeps/results", None, "credentials belong into the environment"),
        ("nowhere://sweeps/results", None, "cannot be used as storage"),
        ("results", None, "has no storage endpoint"),
    ],
)
@pytest.mark.parametrize("name", ["grid", "status"])
def test_storage_that_cannot_be_used_is_said_in_one_sentence(s3, name, out, endpoint, said, tmp_path):
    where = ["--preset", "smoke", "--out", out] if name == "grid" else [out]
    if out.startswith("s3") or out == "results":
        where += ["--storage-endpoint", endpoint or s3[1]]
    done = run_here(name, *where, cwd=tmp_path)
    if (name, said) == ("status", "NO_SUCH_BUCKET"):
        said = "NO_SUCH_BUCKET|holds no results"
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
    assert any(each in done.stderr for each in said.split("|")), done.stderr
    assert not list(tmp_path.iterdir())
