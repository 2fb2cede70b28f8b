import socket
import subprocess
import sys
import time

import pytest


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


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
