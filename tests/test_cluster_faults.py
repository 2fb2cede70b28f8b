"""Several nodes: what dies on them, what they do not share, and jobs."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest
from support import PATIENCE, ROOT, assert_same, command, free_port, until

from trainables.storage.artifacts import load
from trainables.storage.local_folder import LocalFolder

pytestmark = pytest.mark.slow

NODES = """
import json, sys
from itertools import chain
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = []
for line in chain(["add", "add"], sys.stdin):
    if line.strip() == "add":
        nodes.append(cluster.add_node(num_cpus=1))
    elif line.strip() == "remove":
        cluster.remove_node(nodes.pop(0), allow_graceful=False)
    if line.strip() == "names":
        print(json.dumps([node["NodeID"] for node in cluster.global_state.node_table() if node["Alive"]]), flush=True)
    elif len(nodes) == 2:
        print(json.dumps(cluster.address), flush=True)
"""


def ray(*arguments):
    return [sys.executable, "-m", "ray.scripts.scripts", *map(str, arguments)]


class Nodes:
    """A head that runs no trials, and two nodes with a core each; nodes can vanish and come."""

    def __init__(self, environment, before=()):
        self.environment = environment
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", NODES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.address = json.loads(self.process.stdout.readline())

    def replace_one(self):
        """Kill all processes of a node, without notice, and add another one."""
        self.process.stdin.write("remove\nadd\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def names(self):
        """Nodes that the cluster knows."""
        self.process.stdin.write("names\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start_grid(self, out, *arguments, cwd=None, **environment):
        options = ["--preset", "smoke", "--out", out, "--address", self.address, "--checkpoint-seconds", "0.001"]
        return subprocess.Popen(
            command("grid", *options, *arguments),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment | environment,
        )

    def trials(self):
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found += [process] if "Trainable" in process.name() else []
        return found

    def close(self):
        for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def environment():
    return os.environ | {"RAY_AUTH_MODE": "token"}


@pytest.fixture(scope="module")
def nodes(environment, undisturbed):  # undisturbed: Ray's token is there
    started = Nodes(environment)
    yield started
    started.close()


def test_workers_nodes_and_drivers_that_die_at_any_moment_change_nothing(nodes, undisturbed, tmp_path):
    """Each once in every round, at moments that differ from run to run of this test; the message tells them."""
    moments = []
    out = tmp_path / "results"
    for _ in range(2):
        driver = nodes.start_grid(out)
        for what in ("worker", "node", "driver"):
            until(lambda driver=driver: nodes.trials() or driver.poll() is not None, nodes.process)
            moments.append((what, round(random.uniform(0, 3), 2)))
            time.sleep(moments[-1][1])
            if what == "worker":
                for trial in nodes.trials()[:1]:
                    trial.kill()
            elif what == "node":
                nodes.replace_one()
            else:
                driver.kill()
        driver.communicate()
    driver = nodes.start_grid(out)
    printed = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 0, (moments, printed)
    assert "4 points wanted" in printed, moments
    assert_same(out, undisturbed[0])
    assert list((out / "artifacts" / "training").glob("*")) == []


def test_a_node_that_vanishes_costs_at_most_the_work_since_the_last_checkpoint(nodes, tmp_path):
    """Epochs that are saved never become fewer, and the sweep ends with all of them."""
    out = tmp_path / "results"
    one = ["--temperatures", "60", "--epochs", "60", "--densities", "0.4"]
    driver = nodes.start_grid(out, *one)
    training = LocalFolder(out / "artifacts")

    def saved():
        """Epochs of the dense training that is running; None before and after."""
        for name in training.names("training", ".pt"):
            if name.startswith("dense"):
                state = load(training, f"training/{name}.pt")
                return state and state["training"]["epoch"]
        return None

    until(lambda: (saved() or 0) >= 10, driver)
    before = saved()
    at = time.monotonic()
    until(nodes.trials, driver)
    nodes.replace_one()
    nodes.replace_one()  # whichever it was on
    seen = [before]
    while driver.poll() is None and (epochs := saved()) is not None:
        seen.append(epochs)
        assert time.monotonic() - at < PATIENCE
        time.sleep(0.01)
    printed = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 0, printed
    assert seen == sorted(seen)
    assert seen[-1] > before, seen
    assert "1 of 1 points done, 0 running, 0 failed" in printed


def hidden(folder):
    """Start of a command for which a folder is another one, as on a machine that does not mount it."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("mount namespaces cannot be made here")
    folder.mkdir(parents=True, exist_ok=True)
    return ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{folder}" && exec "$@"', "sh"]


@contextmanager
def stranger(nodes, folder):
    """A third node that does not see a folder."""
    join = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--block",
        "--num-cpus",
        "1",
        "--address",
        nodes.address,
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*hidden(folder), *join], env=nodes.environment, **quiet)
    children = []
    try:
        until(lambda: len(nodes.names()) == 4, process)
        children = psutil.Process(process.pid).children(recursive=True)
        yield process
    finally:
        process.terminate()
        process.wait(60)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        until(lambda: len(nodes.names()) == 3, nodes.process)


def test_a_node_that_does_not_share_the_folder_is_left_out_before_anything_trains(nodes, undisturbed, tmp_path):
    shared = tmp_path / "shared"
    with stranger(nodes, shared):
        driver = nodes.start_grid(shared / "results")
        printed = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 0, printed
    assert f"Left out: {shared}/results is another folder on node {socket.gethostname()}" in printed
    assert_same(shared / "results", undisturbed[0])


def test_a_folder_that_no_other_node_shares_is_told_of_before_anything_trains(nodes, tmp_path):
    shared = tmp_path / "shared"
    seen = tmp_path / "seen"
    alone = [*hidden(shared), "sh", "-c", f'"$@"; code=$?; cp -r "{shared}" "{seen}"; exit $code', "sh"]
    options = ["--preset", "smoke", "--out", shared / "results", "--address", nodes.address]
    driver = subprocess.run(
        [*alone, *command("grid", *options)], capture_output=True, text=True, timeout=PATIENCE, env=nodes.environment
    )
    assert driver.returncode == 2, driver.stdout + driver.stderr
    assert f"{shared}/results is another folder on node" in driver.stderr
    assert "give --out a folder that all nodes share" in driver.stderr
    assert not list(shared.iterdir())
    assert not (seen / "results" / "sweep.json").exists()


LONG = [
    "--epochs",
    "100",
    "--temperatures",
    "100",
    "--retrain-epochs",
    "2",
    "--densities",
    "0.4",
    "--dense-seeds",
    "1",
    "2",
    "3",
    "4",
]


def test_a_node_that_comes_later_and_does_not_share_the_folder_is_left_out_and_named(nodes, tmp_path):
    """The trials of the other nodes stand still until then: a fast machine would be done before it has joined."""
    shared = tmp_path / "shared"
    driver = nodes.start_grid(shared / "results", *LONG)
    until(lambda: len(nodes.trials()) == 2, driver)
    running = nodes.trials()
    for trial in running:
        trial.suspend()
    patience = threading.Timer(PATIENCE, driver.kill)
    patience.start()
    with stranger(nodes, shared):
        printed = ""
        for line in driver.stdout:
            printed += line
            if "is left out" in line:
                for trial in running:
                    trial.resume()
    patience.cancel()
    assert driver.wait() == 0, printed
    assert f"Node {socket.gethostname()} is left out" in printed
    assert f"{shared}/results/artifacts is another folder on" in printed
    assert "4 of 4 points done, 0 running, 0 failed" in printed


def test_a_node_without_the_data_does_not_eat_the_queue(nodes, tmp_path):
    """Nothing counts as failed that failed there alone."""
    with np.load(ROOT / "trainables" / "digits.npz") as digits:
        images, labels = digits["images"], digits["labels"]
    data = tmp_path / "data"
    with stranger(nodes, data):
        arrays = {"x_train": images[:300], "y_train": labels[:300], "x_test": images[300:], "y_test": labels[300:]}
        np.savez(data / "images.npz", **arrays)
        seeds = map(str, range(1, 9))
        some = [
            "--data",
            data / "images.npz",
            "--dense-seeds",
            *seeds,
            "--temperatures",
            "6",
            "--retrain-epochs",
            "2",
            "--densities",
            "0.4",
        ]
        driver = nodes.start_grid(tmp_path / "results", *some)
        printed = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 0, printed
    assert f", on {socket.gethostname()} (ValueError: " in printed
    assert "images.npz cannot be read (No such file or directory)" in printed
    assert "8 of 8 points done, 0 running, 0 failed" in printed


OWN_MODEL = """
from torch import nn
from myparts.head import head

def small(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Flatten(), head(classes))
"""
OWN_PART = """
from torch import nn

def head(classes):
    return nn.Linear(288, classes)
"""


def with_own_model(folder):
    (folder / "myparts").mkdir(parents=True)
    (folder / "mymodels.py").write_text(OWN_MODEL)
    (folder / "myparts" / "head.py").write_text(OWN_PART)
    return folder


def test_a_users_model_is_trained_on_nodes_that_do_not_have_its_files(environment, undisturbed, tmp_path):
    typed = tmp_path / "typed"
    nodes = Nodes(environment, hidden(typed))
    try:
        with_own_model(typed)
        driver = nodes.start_grid(tmp_path / "results", "--model", "mymodels:small", cwd=typed)
        printed = driver.communicate(timeout=PATIENCE)[0]
    finally:
        nodes.close()
    assert driver.returncode == 0, printed
    assert "4 of 4 points done" in printed


def test_a_users_model_is_trained_on_nodes_that_do_not_find_its_files(nodes, tmp_path):
    """Ray tells workers in which folder the command was typed, but not where else that looked."""
    one = ["--densities", "0.4", "--temperatures", "2", "--dense-seeds", "1", "--model", "mymodels:small"]
    library = with_own_model(tmp_path / "library")
    driver = nodes.start_grid(tmp_path / "results", *one, cwd=tmp_path, PYTHONPATH=str(library))
    printed = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 0, printed
    assert "1 of 1 points done" in printed


def test_a_job_runs_a_grid_on_a_cluster_that_wants_a_token(undisturbed, tmp_path):
    port, dashboard = free_port(), free_port()
    owner, stranger = tmp_path / "owner", tmp_path / "stranger"
    owner.mkdir()
    stranger.mkdir()
    common = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    environment = os.environ | common | {"HOME": str(owner)}
    subprocess.run(ray("get-auth-token", "--generate"), env=environment, check=True, capture_output=True)
    ports = ["--port", port, "--dashboard-port", dashboard, "--ray-client-server-port", free_port()]
    ports += ["--dashboard-agent-listen-port", free_port(), "--dashboard-agent-grpc-port", free_port()]
    head = subprocess.Popen(
        ray("start", "--head", "--block", "--num-cpus", 2, "--temp-dir", tempfile.mkdtemp(dir="/tmp"), *ports),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{dashboard}"
    try:
        until(lambda: not socket.socket().connect_ex(("127.0.0.1", dashboard)), head)
        out = tmp_path / "results"
        excluded = json.dumps({"excludes": [".git", ".venv", "results", "*.png"]})
        submit = ray("job", "submit", "--address", url, "--working-dir", ROOT, "--runtime-env-json", excluded, "--")
        submit += [sys.executable, "sweeps/grid.py", "--preset", "smoke", "--address", "auto", "--out", str(out)]
        refused = subprocess.run(
            submit, env=environment | {"HOME": str(stranger)}, capture_output=True, text=True, timeout=PATIENCE
        )
        assert refused.returncode != 0
        assert "token" in (refused.stdout + refused.stderr).lower()
        done = subprocess.run(submit, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 of 4 points done" in done.stdout
        assert_same(out, undisturbed[0])
    finally:
        children = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
        head.terminate()
        head.wait(60)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
