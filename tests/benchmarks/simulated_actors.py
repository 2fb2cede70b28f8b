"""Many workers in few processes, for benchmarks of the driver: what Ray Tune takes for actors are objects in these.

Trainables, Tune's controller and its manager of actors, placement groups, and the futures that Tune waits for are the
real ones. Only the processes are missing: an actor is one of many trainables in a host, which is an actor of Ray.
"""

import asyncio
from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any

import ray
from ray import tune
from ray.actor import ActorClass
from ray.tune.execution import tune_controller

AT_ONCE = 10_000
"""Calls that a host may have begun."""


@ray.remote(num_cpus=0, max_concurrency=AT_ONCE)
class Host:
    """Trainables, by their numbers."""

    def __init__(self) -> None:
        self._trainables: dict[int, tune.Trainable] = {}

    async def prepare(self, trainable: type[tune.Trainable]) -> None:
        """Take the class of those to come."""
        self._class = trainable

    async def begin(self, number: int, settings: dict[str, Any]) -> None:
        """Make one."""
        self._trainables[number] = self._class(**settings)

    async def call(self, number: int, method: str, *args: Any, **settings: Any) -> Any:
        """Call a method of one; its ``nap`` says for how many seconds it would work, in which others can."""
        while number not in self._trainables:  # Ray may be told of a first call before it knows whom to make
            await asyncio.sleep(0.01)
        trainable: Any = self._trainables[number]
        if method == "__ray_ready__":
            return True
        if method == "train" and (nap := trainable.nap()) > 0:
            await asyncio.sleep(nap)
        return getattr(trainable, method)(*args, **settings)


class _Method:
    def __init__(self, host: Any, number: int, name: str) -> None:
        self._host, self._number, self._name = host, number, name

    def remote(self, *args: Any, **settings: Any) -> Any:
        return self._host.call.remote(self._number, self._name, *args, **settings)


class _Actor:
    """What Tune sees of an actor."""

    def __init__(self, host: Any, number: int) -> None:
        self._host, self._number, self._actor_id = host, number, number

    def __getattr__(self, name: str) -> Any:
        return _Method(self._host, self._number, name)


class _Class(ActorClass):
    """What Tune sees of the class of an actor."""

    def __init__(self, hosts: Sequence[Any], trainable: type[tune.Trainable]) -> None:
        self._hosts, self._numbers = hosts, count()
        ray.get([host.prepare.remote(trainable) for host in hosts])

    def options(self, **options: Any) -> "_Class":
        return self

    def remote(self, **settings: Any) -> _Actor:
        number = next(self._numbers)
        host = self._hosts[number % len(self._hosts)]
        host.begin.remote(number, settings)
        return _Actor(host, number)


def simulate(hosts: Sequence[Any]) -> None:
    """From now on Tune's actors are objects in these hosts, whatever resources they ask for."""

    class Classes:
        """One class for each trainable; for a sweep that is one."""

        def __init__(self) -> None:
            self.get = cache(lambda trainable: _Class(hosts, trainable))

    tune_controller._ActorClassCache = Classes
