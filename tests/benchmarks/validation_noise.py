"""What finitely many held-out images add to noise: ``python tests/benchmarks/validation_noise.py RESULTS ...``.

Wants results that keep their siblings. A cell is a temperature at a load, and here two dense seeds with their siblings;
more seeds are more cells, an odd one is left out. Two cells A and B are measured on the same n images, which so add
Var_i(p_A(i) - p_B(i)) / n to the variance of the difference of their errors v; p(i) is the share of a cell's models,
with the weights of the end, that are wrong on image i. Printed is c: that over (v_A (1 - v_A) + v_B (1 - v_B)) / n, of
single models on images of their own; its mean over pairs of cells of equal load and seeds, and the quotient of the
sums. With s dense seeds of k siblings c is "shared" + "dense" / s + "sibling" / (s k): which images are hard for a
temperature, for the models of one dense model, and for one model alone. The last two are in the scatter of errors
between models already. Intervals: bootstrap over pairs, 95 %. The last columns are standard deviations of the error as
stored, a mean over the last epochs, between the siblings of a dense model and between the means of dense seeds, over
the error: each the root of a mean square over cells.
"""

import sys
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from sweeps.results.store import Store
from trainables.stacks.stack import Stack
from trainables.stages.machine import Machine, task_of
from trainables.stages.siblings import diverged_message, kept_siblings
from trainables.tasks.evaluation import evaluate
from trainables.tasks.image_classification.batches import Split
from trainables.tasks.image_classification.task import ImageClassification
from trainables.tasks.task import SplitName

RESAMPLES = 2_000
SPLITS: tuple[SplitName, ...] = ("validation", "test")
Array = npt.NDArray[np.float64]
Predicted = dict[tuple[SplitName, float, float, int], Array]  # by split, load, temperature and dense seed


def wrong(stack: Stack, split: Split) -> Array:
    """Whether a model errs on an image: shape (models, images)."""

    def classes(at_once: int) -> Tensor:
        batches = (batch.expand(stack.models, *batch.shape) for batch in split.batches(at_once))
        return torch.cat([torch.stack([*stack(batch)]).argmax(-1) for batch in batches], 1)

    return (evaluate(stack, classes) != split.labels).double().numpy()


def predicted(store: Store) -> Predicted:
    """What :func:`wrong` gives of the siblings of all points that have all of them."""
    machine, found = Machine(store.artifacts, torch.device("cpu")), Predicted()
    for stage in store.spec().points():
        run, siblings = stage.point.dense, kept_siblings(store.artifacts, stage.point.key)
        if siblings.keys() >= set(stage.seeds) and not diverged_message(*siblings.values()):
            task = task_of(run, machine)
            assert isinstance(task, ImageClassification)
            stack = task.stack(run.model, len(stage.seeds))
            stack.load([siblings[seed]["model"] for seed in stage.seeds])
            for split in SPLITS:
                found[split, stage.label.load, stage.label.temperature, run.seed] = wrong(stack, task.split(split))
    return found


def components(models: Array) -> tuple[float, float, float]:
    """Variances over images: shared by all models, of dense seeds, of siblings; given (seeds, siblings, images)."""
    within = np.mean([np.cov(siblings, bias=True) for siblings in models], 0)
    alone, of_seed = within.diagonal().mean(), within[~np.eye(len(within), dtype=bool)].mean()
    shared = np.cov(models.mean(1), bias=True)[0, 1]
    return float(shared), float(of_seed - shared), float(alone - of_seed)


def cell_pairs(store: Store) -> pd.DataFrame:
    """Of pairs of cells of equal load and seeds: n times the variances, those of c and its parts not yet divided."""
    spec, found, rows = store.spec(), predicted(store), []
    places, seeds = list(enumerate(sorted(spec.temperatures))), sorted(spec.dense_seeds)
    for split, load, two in product(SPLITS, spec.loads, zip(seeds[::2], seeds[1::2], strict=False)):
        wanted = {place: [(split, load, temperature, seed) for seed in two] for place, temperature in places}
        cells = {at: np.array([found[key] for key in keys]) for at, keys in wanted.items() if found.keys() >= {*keys}}
        for first, second in combinations(cells, 2):
            models, errors = cells[first] - cells[second], np.array([cells[first].mean(), cells[second].mean()])
            variances = (models.mean((0, 1)).var(), *components(models), (errors * (1 - errors)).sum())
            rows.append((split, load, second == first + 1, models.shape[-1], *variances))
    names = ["split", "load", "neighbours", "images", "c of sums", "shared", "dense", "sibling", "unpaired"]
    return pd.DataFrame(rows, columns=names)


def ratios(pairs: pd.DataFrame) -> dict[str, object]:
    """Columns of the table: c by both ways, and its parts; pairs without errors have no part in the mean."""
    unpaired, of_each = pairs["unpaired"].to_numpy(), (pairs["c of sums"] / pairs["unpaired"]).to_numpy()
    some = np.random.default_rng(1).integers(len(pairs), size=(RESAMPLES, len(pairs)))
    columns: dict[str, object] = {"pairs": len(pairs), "images": pairs["images"].iloc[0]}
    columns["mean c"] = with_interval(np.nanmean(of_each), np.nanmean(of_each[some], 1))
    for name in ("c of sums", "shared", "dense", "sibling"):
        values = pairs[name].to_numpy()
        columns[name] = with_interval(values.sum() / unpaired.sum(), values[some].sum(1) / unpaired[some].sum(1))
    return columns


def with_interval(value: np.floating, resampled: Array) -> str:
    """A value, and where 95 % of these lie."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return f"{value:.3f} ({low:.3f}, {high:.3f})"


def scatter(runs: pd.DataFrame, column: str) -> dict[str, object]:
    """Columns of the table: an error, and its relative standard deviations."""
    models = runs.groupby(["temperature", "load", "dense_seed"])[column]
    cells = models.mean().groupby(["temperature", "load"])
    deviations = np.sqrt(np.array([models.var().mean(), cells.var().mean()]) / (cells.mean() ** 2).mean())
    return {"error": runs[column].mean(), "siblings": deviations[0], "dense seeds": deviations[1]}


def main() -> None:
    """Print the table."""
    rows: list[dict[str, object]] = []
    for folder in sys.argv[1:]:
        store = Store(folder)
        pairs, runs = cell_pairs(store), pd.DataFrame(store.rows("runs"))
        runs = runs[(runs["status"] == "ok") & runs["point"].isin([stage.point.key for stage in store.spec().points()])]
        for split, own in pairs.groupby("split", sort=False):
            parts = [(f"load {load:g}", some, runs[runs["load"] == load]) for load, some in own.groupby("load")]
            for name, some, of in [(f"{folder}, {split}", own, runs), *parts]:
                rows.append({"of": name} | ratios(some) | scatter(of, f"{split}_error"))
            rows.append({"of": "neighbours"} | ratios(own[own["neighbours"]]))
    print(pd.DataFrame(rows).round(3).to_string(index=False, na_rep=""))


if __name__ == "__main__":
    main()
