"""Ray for as long as a sweep needs it: one of its own, or a cluster's."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Thread
from typing import Any

import ray

from sweeps.running.auth_token import keep_token_private
from sweeps.running.options import RunOptions, machine_cores
from sweeps.running.ray_watch import agents_of, check_room
from sweeps.spec.errors import UsageError

REMEMBERED_TASKS = 5000
"""A trial's step is a task. Ray's server would remember the latest 100,000 of them, which took 16 KB for each point."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Memory for Ray's objects on this machine: stages are small, and models travel through files."""


IMPORTED_EARLY = ["torch", "ray.tune"]
"""What takes a worker seconds to import."""

MOST_EARLY = 16
"""On machines with more cores Ray's workers import nothing early: there might be fewer trials than cores."""


THREAD_SECONDS = 10
"""A thread that imports torch while Python ends could crash it, so it is waited for; but not for a long download."""


class Interrupted(Exception):  # noqa: N818  not an error: the person asked for it
    """The sweep was stopped by a signal, cleanly: what ran was saved."""


@contextmanager
def ray_cluster(options: RunOptions, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Ray for as long as it is needed: one of our own, or a cluster's.

    Args:
        options: Which.
        meanwhile: Done in a thread beside this one while Ray starts; what it raises is raised then.

    Raises:
        UsageError: If there is no Ray to join, or this machine lacks what a trial needs.
        Interrupted: If a signal came while Ray started.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    ray._private.worker._worker_logs_enabled = False  # of its processes that died, at length; what matters is told
    pressed: list[int] = []
    done = _beside(meanwhile)
    # An exception inside ray.init can crash the process, so Ctrl-C waits until Ray has started.
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        _join(options)
        if pressed:
            raise Interrupted
        signal.signal(signal.SIGINT, before)
        done.result()
        have = ray.cluster_resources()
        for option, need, kind in (
            ("--cpus-per-trial", options.cpus_per_trial, "CPU"),
            ("--gpus-per-trial", options.gpus_per_trial, "GPU"),
        ):
            if need > have.get(kind, 0):
                lack = f"{option} {need:g}: Ray has {have.get(kind, 0):g} {kind}s"
                if options.address is None:
                    raise UsageError(f"{lack} on this machine.")
                print(f"{lack} so far; waiting until the cluster has grown.", flush=True)
        yield
    except SystemExit:
        raise Interrupted from None  # Ray's own answer to SIGTERM
    finally:
        signal.signal(signal.SIGINT, before)
        ray.shutdown()
        wait([done], THREAD_SECONDS)


def _beside(work: Callable[[], None]) -> "Future[None]":
    """Do something in a thread that ends with this process, at the latest."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    Thread(target=run, name="beside Ray's start", daemon=True).start()
    return done


def own_processes() -> dict[int, str]:
    """Processes without which a Ray of one's own ends, their names by their ids; none of a cluster's Ray."""
    started: Any = ray._private.worker._global_node
    started = started.all_processes
    found = {each.process.pid: name for name in ("gcs_server", "raylet") for each in started.get(name, ())}
    for raylet in started.get("raylet", ()):
        found |= agents_of(raylet.process.pid)
    return found


def _join(options: RunOptions) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    keep_token_private(make=options.address is None)  # a cluster has its own, which another one would only hide
    if options.address is None:
        if options.metrics_port is not None:
            _check_port(options.metrics_port)
            settings["_metrics_export_port"] = options.metrics_port
        check_room()
        system: dict[str, Any] = {"task_events_max_num_task_in_gcs": REMEMBERED_TASKS}
        if options.cpus_per_trial <= 1 and not options.gpus_per_trial and machine_cores() <= MOST_EARLY:
            system["num_workers_soft_limit"] = machine_cores()  # else an idle one may end when another has a trial
            # Ray starts a worker for each core with itself. Where trials will have them all, they import what they need
            # while this process is still busy.
            system["preload_python_modules"] = IMPORTED_EARLY
        try:
            with _threads_of_workers(options):
                own = ray.init(
                    address="local",
                    include_dashboard=options.dashboard,
                    object_store_memory=OBJECT_STORE_BYTES,
                    _system_config=system,
                    **settings,
                )
        except Exception as error:  # of any kind
            check_room()
            said = str(error).strip().partition("\n")[0].rstrip(".")
            raise UsageError(f"Ray did not start on this machine ({said}); the same command tries again.") from None
        if options.dashboard:
            print(f"Dashboard: http://{own.dashboard_url} (it asks for Ray's token)", flush=True)
        return
    _check_address(options.address)
    try:
        ray.init(address=options.address, **settings)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        said = str(error).strip().splitlines()[0].rstrip(".")
        raise UsageError(f"--address {options.address}: there is no Ray cluster to join ({said}).") from None


@contextmanager
def _threads_of_workers(options: RunOptions) -> Iterator[None]:
    """Have Ray's processes start with the number of threads that Ray gives to workers once they have a trial.

    Numerical libraries look for it when they are imported, which is before that.
    """
    name = "OMP_NUM_THREADS"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(max(1, int(options.cpus_per_trial)))
    try:
        yield
    finally:
        del os.environ[name]


def _check_port(port: int) -> None:
    """Fail at once where Ray would wait for half a minute."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"--metrics-port {port} cannot be used ({error.strerror}); give another one.") from None


def _check_address(address: str) -> None:
    """Fail at once where Ray would try for a minute, and for Ray Client, through which Tune cannot ask a plan."""
    if "://" in address:
        said = "a sweep joins no Ray from outside; run it on a machine of the cluster, or with ray job submit"
        raise UsageError(f"--address {address}: {said}.")
    if address == "auto":
        if "://" in (named := os.environ.get("RAY_ADDRESS", "")):
            raise UsageError(f"--address auto: it would be RAY_ADDRESS={named}, which no sweep can join; unset it.")
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise UsageError(f"--address {address}: nothing answers there ({error}); write auto, or host:port.") from None
