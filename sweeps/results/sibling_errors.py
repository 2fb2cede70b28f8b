"""Test errors of siblings, by their points."""

from collections.abc import Sequence

from sweeps.results.store import Store
from trainables.stages import PointStage


def sibling_errors(points: Sequence[PointStage], store: Store) -> dict[str, list[float]]:
    """Test errors of the siblings named by these points that have a result, in the order of their seeds.

    Args:
        points: The points; siblings that other sweeps retrained from the same pruned model do not count.
        store: Where the results are.

    Returns:
        By the points' keys; of a point without any an empty list.

    Raises:
        UsageError: If a table is damaged.
    """
    keys = {stage.key for stage in points}
    there = {
        (row["point"], row["retrain_seed"]): row["test_error"]
        for row in store.table("runs", ["point", "retrain_seed", "status", "test_error"], keys).to_pylist()
        if row["status"] == "ok"
    }
    return {
        stage.key: [there[stage.key, seed] for seed in stage.seeds if (stage.key, seed) in there] for stage in points
    }
