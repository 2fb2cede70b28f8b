"""Can the regime be told before retraining ends? ``python tests/benchmarks/early_regime.py RESULTS [RESULTS ...]``.

For every point of a grid's results its siblings are retrained again, as they were, and compared after 10, 25 and 50 %
of the epochs; what comes out is written to ``early.csv`` in the folder, from which a second run goes on, and how often
regime and connectivity are those of the end is printed.
"""

import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from metrics.connectivity import linear_mode_connectivity
from metrics.regimes import Thresholds
from sweeps.results.phase import phase_table, resolved, with_regimes
from sweeps.results.store import Store
from sweeps.running.options import machine_cores
from trainables.measuring.comparison import PathStacks, path_evaluations, similarities
from trainables.stages import MeasurementSettings, PointStage
from trainables.stages.machine import Machine, task_of
from trainables.stages.point import pruned_of, retraining
from trainables.storage.local_folder import LocalFolder

SHARES = (0.1, 0.25, 0.5)
CELL = ["temperature", "load"]


def early(stage: PointStage, folder: Path) -> list[dict[str, object]]:
    """LMC and CKA of every pair of a point's siblings at every share of retraining, and their mean validation error."""
    torch.set_num_threads(1)
    point = stage.point
    machine = Machine(LocalFolder(folder), torch.device("cpu"))
    task = task_of(point.dense, machine)
    training = retraining(point, stage.seeds, pruned_of(point, machine), machine)
    path = PathStacks(lambda models: task.stack(point.dense.model, models), MeasurementSettings().path_points)
    pairs = list(combinations(range(len(stage.seeds)), 2))
    rows: list[dict[str, object]] = []
    for share in SHARES:
        while training.epoch < round(share * point.retrain.epochs):
            training.run_epoch()
        states = [{name: tensor.clone() for name, tensor in state.items()} for state in training.stack.states()]
        validation = statistics.fmean(task.errors(training.stack, "validation"))
        ckas = similarities(training.stack, pairs, task, MeasurementSettings())
        curves = path_evaluations(path, states, pairs, task, MeasurementSettings())
        for cka, (curve, _) in zip(ckas, curves, strict=True):
            rows.append(
                {
                    "point": point.key,
                    "dense_seed": point.dense.seed,
                    "temperature": stage.label.temperature,
                    "load": stage.label.load,
                    "share": share,
                    "lmc": linear_mode_connectivity(curve),
                    "cka": cka,
                    "validation_error": validation,
                }
            )
    return rows


def compute(results: Path) -> pd.DataFrame:
    """All pairs of all points, those of an earlier run from its file."""
    store, file = Store(results), results / "early.csv"
    done = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["point"])
    stages = [stage for stage in store.spec().points() if stage.point.key not in set(done["point"])]
    with ProcessPoolExecutor(machine_cores(), mp_context=get_context("spawn")) as workers:
        for rows in workers.map(early, stages, [store.artifacts.path] * len(stages)):
            done = pd.concat([done, pd.DataFrame(rows)]) if len(done) else pd.DataFrame(rows)
            done.to_csv(file, index=False)
    return done


def agreement(pairs: pd.DataFrame, final: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    """For each share: cells of the same regime and the same connectivity as in the end, and rank correlations."""
    rows = []
    final = final.set_index(CELL)
    connected = final["lmc"] >= thresholds.lmc
    for share, some in pairs.groupby("share"):
        cells = with_regimes(some.groupby(CELL, as_index=False)[["lmc", "cka"]].mean(), thresholds).set_index(CELL)
        cells = cells.reindex(final.index)
        rows.append(
            {
                "share": share,
                "cells": len(cells),
                "same regime": int((cells["regime"] == final["regime"]).sum()),
                "same connectivity": int(((cells["lmc"] >= thresholds.lmc) == connected).sum()),
                "wrongly I": int(((cells["lmc"] < thresholds.lmc) & connected).sum()),
                "wrongly II": int(((cells["lmc"] >= thresholds.lmc) & ~connected).sum()),
                "rank correlation of LMC": cells["lmc"].corr(final["lmc"], method="spearman"),
                "rank correlation of CKA": cells["cka"].corr(final["cka"], method="spearman"),
                "median LMC": cells["lmc"].median(),
                "median final LMC": final["lmc"].median(),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Run the benchmark."""
    for folder in map(Path, sys.argv[1:]):
        spec = Store(folder).spec()
        final = phase_table(spec.points(), Store(folder), spec.thresholds, spec.measurement)
        table = agreement(compute(folder), final, resolved(spec.thresholds, final))
        print(f"{folder.name}:\n{table.round(3).to_string(index=False)}", flush=True)


if __name__ == "__main__":
    main()
