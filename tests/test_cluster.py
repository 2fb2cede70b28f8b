"""The cluster files: by Ray's schema, against an AWS that is made up, and for real over ssh."""

import getpass
import json
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from support import PATIENCE, ROOT, command

pytest.importorskip("jsonschema", reason="Ray's schema and cluster commands need ray[default]")

import ray
from ray.autoscaler._private.command_runner import SSHCommandRunner
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.autoscaler._private.util import prepare_config, validate_config

AWS = ROOT / "cluster.yaml"
OWN = ROOT / "docs" / "own_machines.yaml"
BIN = Path(sys.executable).parent
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
PATH = f"{BIN}:{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"


def prepared(file):
    config = prepare_config(yaml.safe_load(file.read_text()))
    validate_config(config)
    return config


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def free_ports(number):
    """Ports that nothing uses, above those of Ray's workers, which are 10002 to 19999."""
    found = []
    port = 20000 + os.getpid() % 10000
    while len(found) < number:
        port += 1
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                found.append(port)
    return found


def processes(text):
    """Those with this text in their command line, and what they started."""
    found = {}
    for process in psutil.process_iter():
        try:
            if any(text in word for word in process.cmdline()):
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
        except psutil.Error:
            continue
    return list(found.values())


def pairs(text):
    """Of those processes the two that every machine of a cluster has: the first to come, and the last to go."""
    both = re.compile(r"/raylet$|/log_monitor\.py$")
    every = [(one, one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    return [one for one, words in every if text in " ".join(words) and any(map(both.search, words[:3]))]


def kill(found):
    for process in found:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(found, timeout=10)


def environment(home, **more):
    """As of a person with this home, who has never used Ray."""
    before = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return before | {"PATH": PATH, "HOME": str(home), "RAY_TMPDIR": str(home), "TMPDIR": str(home)} | more


def run(arguments, **options):
    return subprocess.run(
        list(map(str, arguments)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


def hosts_of_a_finished_grid(done, out):
    assert done.returncode == 0, done.stdout
    assert "4 of 4 points done" in done.stdout
    assert set(pd.read_csv(out / "phase.csv")["status"]) == {"ok"}
    assert len(pd.read_parquet(out / "runs")) == 8
    return set(pd.read_parquet(out / "runs")["host"]) | set(pd.read_parquet(out / "dense")["host"])


@pytest.fixture
def folder():
    """One with a short name: the path of a socket has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)
        kill(processes(f"{name}/"))


@pytest.mark.parametrize("file", [AWS, OWN])
def test_the_token_is_asked_for_and_private_and_usage_statistics_are_off(file):
    config = prepared(file)
    for start in (config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]):
        assert re.search("RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token (setsid --fork )?ray start", start)
        assert "--dashboard-host" not in start
    setup = "\n".join(config["setup_commands"])
    assert "ray disable-usage-stats" in setup
    assert re.search(r"600 .*~/.ray/auth_token", setup)
    assert "~/.ray/auth_token" in config["file_mounts"].values()


@pytest.mark.parametrize("file", [AWS, OWN])
def test_every_machine_gets_the_clone_without_what_git_ignores(file):
    config = prepared(file)
    assert config["file_mounts"]["~/three-regime-sweeps"] == "."
    assert config["rsync_exclude"] == [".git"]
    assert config["rsync_filter"] == [".gitignore"]
    assert {".venv*/", "/results/"} <= set((ROOT / ".gitignore").read_text().split())
    assert any("install --quiet --editable '.[cluster]'" in line for line in config["setup_commands"])


def test_images_are_of_this_ray():
    docker = prepared(AWS)["docker"]
    assert docker["head_image"] == f"rayproject/ray:{ray.__version__}-py311-cpu"
    assert docker["worker_image"] == f"rayproject/ray:{ray.__version__}-py311-gpu"


def test_a_key_that_ray_does_not_know_is_found():
    with pytest.raises(Exception, match="no_such_key"):
        validate_config(prepared(AWS) | {"no_such_key": 1})


def aws(arguments):
    """What the command-line tool would do."""
    import boto3

    service, operation, *options = arguments
    if operation == "mb":
        boto3.client(service, "us-east-1").create_bucket(Bucket=options[0].removeprefix("s3://"))
        return
    names = ("".join(word.capitalize() for word in name.strip("-").split("-")) for name in options[::2])
    getattr(boto3.client(service), operation.replace("-", "_"))(**dict(zip(names, options[1::2], strict=True)))


def policies(profile):
    """Policies of the role of a machine's profile."""
    import boto3

    iam = boto3.client("iam")
    (role,) = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    own = {"RoleName": role["RoleName"]}
    found = [
        iam.get_role_policy(**own, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(**own)["PolicyNames"]
    ]
    for policy in iam.list_attached_role_policies(**own)["AttachedPolicies"]:
        managed = {"PolicyArn": policy["PolicyArn"]}
        version = iam.get_policy(**managed)["Policy"]["DefaultVersionId"]
        found.append(iam.get_policy_version(**managed, VersionId=version)["PolicyVersion"]["Document"])
    return found


def allowed(documents, action, resource):
    """Whether one of these policies allows it, and none denies it."""
    from moto.iam.access_control import IAMPolicy, PermissionResult

    said = {IAMPolicy(json.dumps(document)).is_action_permitted(action, resource) for document in documents}
    return PermissionResult.PERMITTED in said and PermissionResult.DENIED not in said


@pytest.mark.slow
def test_on_aws_workers_are_spot_machines_with_a_role_of_their_own_and_only_ssh_is_open(tmp_path, monkeypatch):
    """Ray's own steps, and the commands of the file's comment, on a made-up AWS."""
    boto3 = pytest.importorskip("boto3", reason="Ray reaches AWS with boto3")
    moto = pytest.importorskip("moto", reason="AWS is made up with moto")
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    monkeypatch.setenv("HOME", str(tmp_path))  # Ray puts a key there
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    comment = AWS.read_text().rpartition("\n\n")[2].replace("YOUR-BUCKET", "some-bucket")
    commands = "\n".join(line[4:] for line in comment.splitlines() if line.startswith("#   "))
    tell = f"aws() {{ {sys.executable} -c 'import json, sys; print(json.dumps(sys.argv[1:]))' \"$@\"; }}\n"
    said = run(["bash", "-eu", "-c", tell + commands])
    assert said.returncode == 0, said.stdout
    with moto.mock_aws():
        for line in said.stdout.splitlines():
            aws(json.loads(line))
        config = AWSNodeProvider.fillout_available_node_types_resources(prepared(AWS))
        validate_config(config)
        config = AWSNodeProvider.bootstrap_config(config)
        types = config["available_node_types"]
        assert types["ray.head.default"]["resources"] == {"CPU": 0}
        assert types["gpu"]["resources"]["GPU"] == 1
        assert (types["gpu"]["min_workers"], types["gpu"]["max_workers"]) == (0, config["max_workers"])

        ec2 = boto3.client("ec2", config["provider"]["region"])
        (group,) = ec2.describe_security_groups(GroupNames=["three-regime-sweeps"])["SecurityGroups"]
        world = [rule for rule in group["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
        assert [(rule["FromPort"], rule["ToPort"]) for rule in world] == [(22, 22)]

        provider = AWSNodeProvider(config["provider"], config["cluster_name"])
        for kind, name in (("head", "ray.head.default"), ("worker", "gpu")):
            assert types[name]["node_config"]["SecurityGroupIds"] == [group["GroupId"]]
            tags = {"ray-node-type": kind, "ray-node-name": kind}
            provider.create_node(types[name]["node_config"], tags, 1)
        machines = [one for some in ec2.describe_instances()["Reservations"] for one in some["Instances"]]
        assert [machine.get("InstanceLifecycle") for machine in machines] == [None, "spot"]
        profiles = [machine["IamInstanceProfile"]["Arn"].rpartition("/")[2] for machine in machines]
        assert profiles == ["three-regime-sweeps-head", "three-regime-sweeps-worker"]
        head, worker = map(policies, profiles)
        bucket, other = "arn:aws:s3:::some-bucket", "arn:aws:s3:::some-bucket-of-others"
        for documents in (head, worker):
            assert allowed(documents, "s3:ListBucket", bucket)
            for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"):
                assert allowed(documents, action, f"{bucket}/results/runs/key.parquet")
                assert not allowed(documents, action, f"{other}/key")
            assert not allowed(documents, "s3:ListBucket", other)
        image = types["gpu"]["node_config"]["ImageId"]  # looked up by who starts the machine
        for action, resource in (
            ("ec2:RunInstances", "*"),
            ("ec2:TerminateInstances", "*"),
            ("ssm:GetParameters", f"arn:aws:ssm:us-west-2::parameter{image.removeprefix('resolve:ssm:')}"),
            ("iam:PassRole", f"arn:aws:iam::123456789012:role/{profiles[1]}"),
        ):
            assert allowed(head, action, resource)
            assert not allowed(worker, action, resource)
        assert not allowed(head, "iam:PassRole", f"arn:aws:iam::123456789012:role/{profiles[0]}")
        assert not allowed(head, "iam:PassRole", "arn:aws:iam::123456789012:role/administrator")
        (only,) = worker
        assert {action.partition(":")[0] for action in only["Statement"]["Action"]} == {"s3"}
        provider.terminate_nodes([machine["InstanceId"] for machine in machines])
        assert provider.non_terminated_nodes({}) == []


class Machines:
    """Machines with ssh servers, and a cluster of docs/own_machines.yaml on them."""

    def __init__(self, folder, names):
        self.folder, self.names = folder, names
        self.rays = f"{folder}/ray/session_"  # in the command lines of their Rays
        (folder / "ray").mkdir()
        (folder / "temporary").mkdir()
        for key in ("key", "host_key"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key]).check_returncode()
        for name in names:
            home = folder / name
            programs = home / "three-regime-sweeps" / ".venv" / "bin"
            programs.mkdir(parents=True)
            self.program(name, "python", f'exec {sys.executable} "$@"')
            self.program(name, "ray", f'exec {BIN}/ray "$@"')
            (home / ".bashrc").touch()
            (home / "sshd_config").write_text(
                f"HostKey {folder}/host_key\nAuthorizedKeysFile {folder}/key.pub\n"
                "StrictModes no\nUsePAM no\nPidFile none\n"
                f"SetEnv HOME={home} PYTHONPATH={home}/three-regime-sweeps"
                f" RAY_TMPDIR={folder} TMPDIR={folder}/temporary"
                " AUTOSCALER_UPDATE_INTERVAL_S=1"  # instead of five seconds
                " RAY_gcs_rpc_server_reconnect_timeout_s=5\n"  # instead of a minute
            )
        self.clone = folder / "laptop" / "clone"
        for name in ("metrics", "trainables", "sweeps"):
            shutil.copytree(ROOT / name, self.clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / ".gitignore", self.clone)
        for ignored in (".git", ".venv", "results"):
            (self.clone / ignored).mkdir()
            (self.clone / ignored / "large").touch()

    def program(self, machine, name, text):
        file = self.folder / machine / "three-regime-sweeps" / ".venv" / "bin" / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def configure(self, addresses, reach, head_options):
        """Change what has to be; there is nothing to install, as all machines have this one's files."""
        config = yaml.safe_load(OWN.read_text())
        config["cluster_name"] = self.folder.name
        config["provider"] |= {"head_ip": addresses[0], "worker_ips": addresses[1:]}
        config["auth"] = {
            "ssh_user": getpass.getuser(),
            "ssh_private_key": str(self.folder / "key"),
            "ssh_proxy_command": f"{reach} {SSHD} -i -f {self.folder}/{self.names[0]}/sshd_config",
        }
        config["setup_commands"] = [line for line in config["setup_commands"] if "pip install" not in line]
        config["head_start_ray_commands"][-1] += f" --include-dashboard=false {head_options}"
        worker = config["worker_start_ray_commands"]
        worker[-1] = worker[-1].replace("--block", "--block --num-cpus=1")
        self.config = self.folder / "cluster.yaml"
        self.config.write_text(yaml.safe_dump(config))

    def ray(self, command, *arguments):
        return run(["ray", command, *arguments], env=environment(self.folder / "laptop"), cwd=self.clone)

    def close(self):
        """End what is left, Ray's ssh connections too, which stay open for some seconds."""
        connections = SSHCommandRunner("", "", None, {"ssh_user": ""}, self.folder.name, None, False).ssh_control_path
        kill(processes(connections) + processes(self.rays))
        shutil.rmtree(connections, ignore_errors=True)
        with suppress(OSError):  # those of other clusters are there
            Path(connections).parent.rmdir()


def skip_without(*programs):
    for name in programs:
        if not shutil.which(name, path=PATH):
            pytest.skip(f"{name} is not installed")


@pytest.fixture
def sshd():
    if not SSHD:
        pytest.skip("sshd is not installed")
    skip_without("ssh", "ssh-keygen", "rsync", "pkill")
    separation = Path("/run/sshd")  # sshd of Debian wants it, and a service that may never have run makes it
    make = os.geteuid() == 0 and not separation.exists()
    if make:
        separation.mkdir(mode=0o755)
    yield
    if make:
        separation.rmdir()


@pytest.fixture
def this_machine(folder, sshd):
    machines = Machines(folder, ["head"])
    # `ray down` runs `ray stop`, which would end every other Ray of this machine, too.
    machines.program("head", "ray", f'[ "$1" = stop ] || exec {BIN}/ray "$@"\npkill -KILL -f {machines.rays} || true')
    options = ("--port", "--ray-client-server-port", "--dashboard-agent-listen-port")
    ports = " ".join(f"{option}={port}" for option, port in zip(options, free_ports(3), strict=True))
    machines.configure(["127.0.0.1"], "", f"--num-cpus=1 {ports}")
    machines.trainer = socket.gethostname()
    yield machines
    machines.close()


@pytest.fixture
def two_machines(folder, sshd):
    """With a network, processes and names of their own: Linux namespaces."""
    apart = ["unshare", "--net", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child"]
    skip_without("unshare", "nsenter", "ip")
    if (tried := run([*apart, "true"])).returncode:
        pytest.skip(f"namespaces cannot be made here: {tried.stdout.strip()}")
    machines = Machines(folder, ["head", "worker"])
    started = []
    try:
        for name in machines.names:
            home = folder / name
            users = Path("/etc/passwd").read_text().replace(f":{pwd.getpwuid(0).pw_dir}:", f":{home}:")
            (home / "passwd").write_text(users)
            script = f"mount --bind {home}/passwd /etc/passwd;"
            for own in ("ray", "temporary"):
                (home / own).mkdir()
                script += f"mount --bind {home}/{own} {folder}/{own};"
            script += (
                f"mount --bind /dev/null /etc/resolv.conf; echo {name} > /proc/sys/kernel/hostname;"
                f"ip link set lo up; {SSHD} -D -f {home}/sshd_config; exit"
            )
            started.append(subprocess.Popen([*apart, "bash", "-c", script], env=environment(home)))
        first = [until(psutil.Process(process.pid).children)[0].pid for process in started]
        join = f"ip link add eth0 netns {first[0]} type veth peer name eth0 netns {first[1]}"
        run(join.split(), env=environment(folder)).check_returncode()
        for number, pid in enumerate(first, 1):
            address = f"address add 10.0.0.{number}/24 dev eth0"
            for command in (address, "link set eth0 up", "route add default dev eth0"):
                inside = ["nsenter", "--target", pid, "--net", "ip", *command.split()]
                run(inside, env=environment(folder)).check_returncode()
        enter = f"nsenter --target {first[0]} --all"
        machines.configure(["10.0.0.1", "10.0.0.2"], enter, "--num-cpus=0")
        machines.trainer = "worker"
        yield machines
    finally:
        for process in started:
            process.kill()
            process.wait()
        machines.close()


@pytest.mark.slow
@pytest.mark.parametrize("machines", ["this_machine", "two_machines"])
def test_own_machines_come_up_train_and_go_down(machines, request):
    machines = request.getfixturevalue(machines)
    folder = machines.folder
    machines.ray("get-auth-token", "--generate").check_returncode()
    up = machines.ray("up", "--yes", machines.config)
    assert up.returncode == 0, up.stdout

    until(lambda: "0.0/1.0 CPU" in machines.ray("exec", machines.config, "ray status").stdout)
    refused = machines.ray("exec", machines.config, "RAY_AUTH_MODE=disabled ray status")
    assert refused.returncode != 0, refused.stdout
    until(lambda: len(pairs(machines.rays)) == 2 * len(machines.names))
    for process in pairs(machines.rays):
        settings = process.environ()
        assert (settings["RAY_AUTH_MODE"], settings["RAY_USAGE_STATS_ENABLED"]) == ("token", "0")
        assert "OMP_NUM_THREADS" not in settings
    for name in machines.names:
        token = folder / name / ".ray" / "auth_token"
        assert token.read_text() == (folder / "laptop" / ".ray" / "auth_token").read_text()
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        copied = {file.name for file in (folder / name / "three-regime-sweeps").iterdir()}
        assert copied == {".gitignore", ".venv", "metrics", "trainables", "sweeps"}
        assert not (folder / name / "three-regime-sweeps" / ".venv" / "large").exists()

    out = folder / "results"
    grid = machines.ray(
        "submit", machines.config, "sweeps/grid.py", "--", "--preset", "smoke", "--address", "auto", "--out", out
    )
    assert hosts_of_a_finished_grid(grid, out) == {machines.trainer}

    down = machines.ray("down", "--yes", machines.config)
    assert down.returncode == 0, down.stdout
    until(lambda: not processes(machines.rays))


@pytest.mark.slow
def test_machines_come_when_trials_wait_and_go_when_idle(folder):
    """cluster.yaml with Ray's provider for tests, whose machines are processes."""
    port, client, agent = free_ports(3)
    address = f"{ray.util.get_node_ip_address()}:{port}"
    config = prepared(AWS) | {"max_workers": 2, "idle_timeout_minutes": 0.05, "docker": {}, "file_mounts": {}}
    config["available_node_types"]["gpu"] |= {"resources": {"CPU": 1}, "max_workers": 2}
    config["provider"] = {
        "type": "external",
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "gcs_address": address,
        "head_node_id": FAKE_HEAD_NODE_ID,
        "launch_multiple": True,
        "disable_node_updaters": True,
    }
    rays = f"{folder}/ray/session_"
    (folder / "cluster.yaml").write_text(yaml.safe_dump(config))
    settings = environment(folder, RAY_AUTH_MODE="token", RAY_USAGE_STATS_ENABLED="0")
    run(["ray", "get-auth-token", "--generate"], env=settings).check_returncode()
    start = f"ray start --head --block --num-cpus=0 --include-dashboard=false --port={port}"
    more = f"--ray-client-server-port={client} --dashboard-agent-listen-port={agent}"
    with (folder / "log").open("w") as log:
        head = subprocess.Popen(
            [*start.split(), *more.split(), f"--autoscaling-config={folder}/cluster.yaml"],
            stdout=log,
            stderr=log,
            env=settings
            | {
                "RAY_FAKE_CLUSTER": "1",
                "AUTOSCALER_UPDATE_INTERVAL_S": "1",
                "RAY_enable_autoscaler_v2": "1",  # as `ray up` has it on AWS
                "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
                "RAY_NODE_TYPE_NAME": config["head_node_type"],
            },
        )
    until(lambda: run(["ray", "status", "--address", address], env=settings).returncode == 0)
    until(lambda: len(pairs(rays)) == 2)

    out = folder / "results"
    two_trainings = ["--preset", "smoke", "--dense-seeds", "1", "2", "--densities", "0.4"]
    grid = subprocess.Popen(
        command("grid", *two_trainings, "--address", address, "--out", out),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=settings,
    )
    until(lambda: grid.poll() is not None or len(pairs(rays)) == 6)
    assert grid.poll() is None, grid.communicate()
    said, _ = grid.communicate(timeout=PATIENCE)
    done = subprocess.CompletedProcess(grid.args, grid.returncode, said)
    assert hosts_of_a_finished_grid(done, out) == {socket.gethostname()}
    assert "waiting until the cluster has grown" in said
    until(lambda: len(pairs(rays)) == 2)

    head.terminate()
    head.wait(timeout=PATIENCE)
    until(lambda: not processes(rays))
