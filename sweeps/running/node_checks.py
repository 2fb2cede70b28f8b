"""Which nodes of a cluster can work: those that see the results' storage and have this package."""

from collections.abc import Set
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.results.store import Store
from sweeps.spec.errors import UsageError

NODE_SECONDS = 60
"""A node that does not start a process in this time is left out."""

NOT_SHARED = "{} {}; give --out a folder that all nodes share, or object storage that all may use"


def unable_nodes(store: Store) -> dict[str, str]:
    """Ask every node of the cluster whether it sees what this process wrote (:meth:`Store.shared`).

    Returns:
        Names of the nodes that do not, or lack this package, with the reason. A person was told.

    Raises:
        UsageError: If no node but this process's own does, though there are others: then it is not the nodes' fault.
    """
    unable = unable_among(store, frozenset())
    others = {node for node in _nodes_with_cores() if node != ray.get_runtime_context().get_node_id()}
    if others and others <= unable.keys():
        raise UsageError(f"{next(iter(unable.values()))}; no other node can work, either.")
    return unable


def unable_among(store: Store, known: Set[str]) -> dict[str, str]:
    """Nodes but those known that do not see what this process wrote, or lack this package; a person is told."""
    nodes = {name: node for name, node in _nodes_with_cores().items() if name not in known}
    asked = {
        node: ray.remote(num_cpus=0, max_retries=0)(Store.is_shared)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(store)
        for node in nodes
    }
    unable = {}
    for node, answer in asked.items():
        name = f"node {nodes[node]['NodeManagerHostname']} ({nodes[node]['NodeManagerAddress']})"
        if said := _why_unable(answer, name, store):
            unable[node] = said
            print(f"Left out: {said}.", flush=True)
    return unable


def _nodes_with_cores() -> dict[str, Any]:
    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}


def _why_unable(answer: Any, node: str, store: Store) -> str:
    """Why a node cannot work; empty if it can, or is gone."""
    try:
        shared = ray.get(answer, timeout=NODE_SECONDS)
    except ray.exceptions.RayTaskError as error:
        said = str(error.cause).strip().splitlines()[-1].rstrip(".")
        hint = (
            "" if isinstance(error.cause, (OSError, ValueError)) else "; install this package there, as on this machine"
        )
        return f"{node}: {said}{hint}"
    except ray.exceptions.GetTimeoutError:
        return f"{node} does not answer in {NODE_SECONDS} s"
    except ray.exceptions.RayError:
        return ""
    return "" if shared else NOT_SHARED.format(store.folder, f"is another folder on {node}")
