"""What temperature and load do to dense models: ``python tests/benchmarks/five_phase_claims.py RESULTS``.

RESULTS is a folder that ``landscape.py`` wrote. For the coldest and the hottest temperature, and for the largest and
the smallest load, it prints differences with 95 % intervals as a table in Markdown: those of models are paired by their
seed (Student's), those of pairs are over the same pairs (jackknife over the seeds). Losses and curvatures are compared
as natural logarithms of their ratio.
"""

import math
import sys
from collections.abc import Iterator

import pandas as pd

from metrics.intervals import Interval, mean_interval, students_interval
from sweeps.results.landscape_schema import POSITIVE
from sweeps.results.pair_noise import standard_error
from sweeps.results.store import Store
from sweeps.spec.landscape import Landscape
from trainables.stages import ConnectionStage

OF_MODELS = ("train_loss", "hessian_eigenvalue", "hessian_trace", "test_error")
OF_PAIRS = ("mc", "line_mc", "cka")

Cell = tuple[dict[int, dict[str, float]], dict[tuple[int, int], dict[str, float]]]
"""Numbers of models by seed, and of pairs by theirs."""


def main() -> None:
    """Print the table, and how many cells have a barrier."""
    store = Store(sys.argv[1])
    study = store.spec()
    assert isinstance(study, Landscape), "a folder of landscape.py is wanted"
    cells = {}
    for stage in study.connections():
        assert stage.label is not None  # of every stage of a study
        cells[stage.label.temperature, stage.label.load] = _cell(stage, study, store)
    hot, cold = study.hot_to_cold[0], study.hot_to_cold[-1]
    small, large = min(study.loads), max(study.loads)
    print(f"| | {' | '.join([*OF_MODELS, *OF_PAIRS])} |")
    print("|---" * (1 + len(OF_MODELS + OF_PAIRS)) + "|")
    for said, first, last in (
        (f"{study.load} {small:g} to {large:g}, at {study.temperature} {cold:g}", (cold, small), (cold, large)),
        (f"{study.load} {small:g} to {large:g}, at {study.temperature} {hot:g}", (hot, small), (hot, large)),
        (f"{study.temperature} {hot:g} to {cold:g}, at {study.load} {large:g}", (hot, large), (cold, large)),
        (f"{study.temperature} {hot:g} to {cold:g}, at {study.load} {small:g}", (hot, small), (cold, small)),
    ):
        print(f"| {said} | {' | '.join(_differences(cells[first], cells[last]))} |")
    barriers = {name: [_mean(own, name) < study.mc_threshold for _, own in cells.values()] for name in OF_PAIRS[:2]}
    for name, found in barriers.items():
        print(f"{name}: a barrier in {sum(found)} of {len(found)} cells")
    closer = [_mean(own, "mc") > _mean(own, "line_mc") for _, own in cells.values()]
    print(f"the curve is better than the line in {sum(closer)} of {len(closer)} cells")


def _cell(stage: ConnectionStage, study: Landscape, store: Store) -> Cell:
    """What is stored of a cell."""
    curvatures = {own.run.key: own for own in study.curvatures()}
    errors = {(row["dense"], row["epoch"]): row["test_error"] for row in store.rows("dense")}
    models = {}
    for run in stage.runs:
        rows = store.table("curvature", parts=[curvatures[run.key].key]).to_pylist()
        (own,) = (row for row in rows if row["epoch"] == stage.epoch)
        models[run.seed] = own | {"test_error": errors[run.key, stage.epoch]}
    rows = store.table("connections", parts=[stage.key]).to_pylist()
    return models, {(row["first_seed"], row["second_seed"]): row for row in rows}


def _differences(first: Cell, last: Cell) -> Iterator[str]:
    """Of each quantity the last minus the first, in words."""
    for name in OF_MODELS:
        values = [(first[0][seed][name], last[0][seed][name]) for seed in first[0]]
        changes = [math.log(b / a) if name in POSITIVE else b - a for a, b in values]
        yield _words(mean_interval(changes))
    for name in OF_PAIRS:
        rows = [
            {"first_seed": a, "second_seed": b, "cell": 0, "dense_seed": 0, name: last[1][a, b][name] - own[name]}
            for (a, b), own in first[1].items()
        ]
        table = pd.DataFrame(rows)
        middle = float(table[name].mean())
        yield _words(students_interval(middle, float(standard_error(table, name).iloc[0]), len(first[0]) - 1))


def _words(interval: Interval) -> str:
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _mean(pairs: dict[tuple[int, int], dict[str, float]], name: str) -> float:
    return sum(row[name] for row in pairs.values()) / len(pairs)


if __name__ == "__main__":
    main()
