import os
import socket
import subprocess
import sys
import time

import pytest
from support import free_port, grid

LEFT_OUT = []
"""Slow tests that were not run."""


def pytest_deselected(items):
    LEFT_OUT.extend(item for item in items if item.get_closest_marker("slow"))


def pytest_terminal_summary(terminalreporter):
    if LEFT_OUT:
        terminalreporter.write_line(
            f"{len(LEFT_OUT)} slow tests of clusters, S3, Prometheus, a browser, ssh and more of the real commands "
            "were not run; all of them: pytest -m 'slow or not slow'"
        )


@pytest.fixture(scope="session", autouse=True)
def own_timings(tmp_path_factory):
    """What tests find out about the time that steps take does not stay on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainables.execution.timings.CACHE", str(tmp_path_factory.mktemp("timings")))
        yield


@pytest.fixture(scope="session")
def s3():
    """URI of an empty bucket, and the address of the server on this machine that has it, a real process."""
    from pyarrow.fs import S3FileSystem

    pytest.importorskip("moto")
    environment = {
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    assert server.poll() is None
                    time.sleep(0.05)
            endpoint = f"http://127.0.0.1:{port}"
            S3FileSystem(endpoint_override=endpoint, allow_bucket_creation=True).create_dir("sweeps")
            yield "s3://sweeps", endpoint
        finally:
            server.terminate()
            server.wait()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Results of the smoke preset, and what the command printed."""
    out = tmp_path_factory.mktemp("smoke") / "results"
    temporary = tmp_path_factory.mktemp("temporary")
    done = grid(out, env=os.environ | {"TMPDIR": str(temporary), "RAY_TMPDIR": "/tmp"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(temporary.glob("three-regime-sweeps-*"))
    return out, done


@pytest.fixture(scope="session")
def without_ray_and_torch(tmp_path_factory):
    """An environment in which importing Ray or torch fails."""
    folder = tmp_path_factory.mktemp("fake")
    for name in ("ray", "torch"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported what it should not')")
    return os.environ | {"PYTHONPATH": str(folder)}
