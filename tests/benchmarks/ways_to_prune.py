"""Ways to prune side by side: ``python tests/benchmarks/ways_to_prune.py RESULTS [PICTURE.png]``. Asserts nothing.

RESULTS is a folder into which the same grid ran with several ``--pruner``. Independent are the dense seeds: numbers are
computed of each of them by itself, over its siblings, and given as means over dense seeds with 95 % intervals of
Student's t; differences from ``magnitude-uniform`` are paired by dense seed. Costs are in epochs of training one model:
of the dense model, of the method up to that density, and of one sibling. Of rules that remove whole filters the
differences are from ``filter-magnitude``, and the speed of the models of the first dense seed is measured here: images
a second of inference, relative to the dense model, in turns.
"""

import json
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from scipy import stats

from metrics.regimes import Thresholds, regimes_at_load
from trainables.models import build
from trainables.models.smaller import resized
from trainables.pruning import RULES
from trainables.stages.siblings import kept_siblings
from trainables.storage.local_folder import LocalFolder

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import NullLocator

WHERE = ["temperature", "load"]
TURNS, IMAGES = 7, 512
MARKERS = {"I": "x", "II-A": "o", "II-B": "s", None: "."}


def margin(values):
    """Half of a 95 % interval of the mean."""
    each = np.asarray(values, dtype=float)
    each = each[~np.isnan(each)]  # of a dense seed whose models all diverged
    if len(each) < 2:
        return float("nan")
    return stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5


def seeds_of(results: Path) -> pd.DataFrame:
    """A row for each way, cell and dense seed."""
    key = ["pruner", *WHERE, "dense_seed"]
    runs, pairs = (pd.read_parquet(results / table) for table in ("runs", "pairs"))
    runs["configuration"] = runs["configuration"].map(json.loads)
    runs["epochs"] = runs["configuration"].map(lambda own: own["epoch"] + own["retrain"]["epochs"])
    runs["each"] = runs["configuration"].map(lambda own: (own.get("pruning") or {}).get("epochs", 0))
    first = runs.groupby(key, as_index=False).agg(
        error=("test_error", "mean"),
        density=("density", "mean"),
        pruning=("pruning", "first"),
        point=("point", "first"),
        epochs=("epochs", "first"),
        each=("each", "first"),
    )
    first["epochs"] += [_spent(results, row) for row in first.itertuples()]
    return first.merge(pairs.groupby(key, as_index=False)[["lmc", "cka"]].mean(), on=key)


def _spent(results: Path, row) -> float:
    """Epochs that a method trained before this density."""
    if not row.pruning or not (results / "rounds").exists():
        return 0.0
    if not hasattr(_spent, "rounds"):
        _spent.rounds = pd.read_parquet(results / "rounds")
    own = _spent.rounds[_spent.rounds["pruning"] == row.pruning]
    if row.pruner in ("gradual", "feedback", "movement"):
        return float(own.loc[np.isclose(own["density"], row.density, atol=1e-3), "round"].max())
    return float((own["density"] > 1.01 * row.density).sum() * row.each)


def table_of(seeds: pd.DataFrame, like: str) -> pd.DataFrame:
    """A row for each way and cell."""
    base = seeds[seeds["pruner"] == like].set_index([*WHERE, "dense_seed"])["error"]
    rows = []
    for (pruner, temperature, load), own in seeds.groupby(["pruner", *WHERE], sort=False):
        own = own.set_index("dense_seed").sort_index()
        differences = own["error"] - base[temperature, load].reindex(own.index)
        (regime,) = regimes_at_load([own["lmc"].mean()], [own["cka"].mean()], Thresholds(-0.05, 0.98))
        rows.append(
            {
                "pruner": pruner,
                "temperature": temperature,
                "load": load,
                "density": own["density"].mean(),
                "error": own["error"].mean(),
                "margin": margin(own["error"]),
                "difference": differences.mean(),
                "margin_of_difference": margin(differences),
                "regime": regime,
                "lmc": own["lmc"].mean(),
                "margin_of_lmc": margin(own["lmc"]),
                "cka": own["cka"].mean(),
                "epochs": own["epochs"].mean(),
                "seeds": int(own["error"].notna().sum()),
                "of": len(own),
                "point": own["point"].iloc[0],
            }
        )
    return pd.DataFrame(rows)


def show(table: pd.DataFrame, like: str, speeds: bool) -> None:
    """Print it as Markdown."""
    names = ["temperature", "load", "way", "test error", f"minus {like}", "LMC", "CKA", "regime", "epochs"]
    names += ["weights kept", "speed"] if speeds else []
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    order = list(dict.fromkeys(table["pruner"]))
    for row in sorted(table.itertuples(), key=lambda row: (row.temperature, row.load, order.index(row.pruner))):
        diverged = row.of - row.seeds
        cells = [f"{row.temperature:g}", f"{row.load:g}", row.pruner]
        cells.append(f"{row.error:.4f}{_margin(row.margin, 4)}" + f", {diverged} of {row.of} diverged" * bool(diverged))
        low, high = row.difference - row.margin_of_difference, row.difference + row.margin_of_difference
        interval = "" if np.isnan(low) else f" ({low:+.4f} to {high:+.4f})"
        cells.append("" if row.pruner == like else f"{row.difference:+.4f}{interval}")
        cells += [f"{row.lmc:+.3f}{_margin(row.margin_of_lmc, 3)}", f"{row.cka:.3f}", row.regime or ""]
        cells.append(f"{row.epochs:.0f}")
        cells += [f"{row.density:.3f}", f"{row.speed:.2f}"] if speeds else []
        print("| " + " | ".join(cells) + " |")


def _margin(value: float, digits: int) -> str:
    return "" if np.isnan(value) else f" ± {value:.{digits}f}"


def speed(results: Path, point: str, model: str, channels: int, pixels: int) -> float:
    """Images a second of a point's first sibling, relative to the dense model: median of turns."""
    torch.set_num_threads(1)
    state = next(iter(kept_siblings(LocalFolder(results / "artifacts"), point).values()))["model"]
    dense = build(model, channels, 10).eval().to(memory_format=torch.channels_last)
    small = resized(build(model, channels, 10), state)
    small.load_state_dict(state)
    small = small.eval().to(memory_format=torch.channels_last)
    images = torch.randn(IMAGES, channels, pixels, pixels).contiguous(memory_format=torch.channels_last)
    ratios = []
    with torch.no_grad():
        for _ in range(TURNS + 1):
            taken = []
            for each in (dense, small):
                started = time.perf_counter()
                each(images)
                taken.append(time.perf_counter() - started)
            ratios.append(taken[0] / taken[1])
    return float(np.median(ratios[1:]))


def draw(table: pd.DataFrame, file: str, x: str, label: str) -> None:
    """Test error against density or speed, a panel for each temperature; the marker is the regime."""
    temperatures, ways = sorted(set(table["temperature"])), list(dict.fromkeys(table["pruner"]))
    colours = plt.get_cmap("tab10")
    figure, axes = plt.subplots(
        1, len(temperatures), figsize=(6.5 * len(temperatures), 5.5), sharey=True, squeeze=False
    )
    for axis, temperature in zip(axes[0], temperatures, strict=True):
        for number, way in enumerate(ways):
            own = table[(table["pruner"] == way) & (table["temperature"] == temperature)].sort_values(x)
            places = own[x] * (1 + 0.035 * (number - len(ways) / 2) * (x == "load"))
            look = {"color": colours(number % 10), "ls": ("-", "--")[number // 10], "lw": 0.8, "capsize": 2}
            axis.errorbar(places, own["error"], own["margin"], label=way, **look)
            for place, error, regime in zip(places, own["error"], own["regime"], strict=True):
                axis.plot(place, error, MARKERS[regime], color=colours(number % 10), ms=6, mfc="none")
        axis.set(xscale="log", xlabel=label, title=f"dense models of {temperature:g} epochs")
        ticks = sorted(set(table["load"])) if x == "load" else [1, 1.5, 2, 2.5, 3]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xlim(0.8 * ticks[0], 1.2 * ticks[-1])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.grid(alpha=0.3)
    axes[0][0].set(ylabel="test error after retraining", ylim=(0.1, min(0.8, axes[0][0].get_ylim()[1])))
    for regime, marker in MARKERS.items():
        if regime:
            axes[0][-1].plot([], [], marker, ls="", color="black", mfc="none", label=f"Regime {regime}")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(file, dpi=110, bbox_inches="tight")


def main() -> None:
    """Print the tables, and draw them."""
    results = Path(sys.argv[1])
    seeds = seeds_of(results)
    seeds = seeds.iloc[seeds["pruner"].map(list(RULES).index).argsort(kind="stable")]
    data = json.loads((results / "sweep.json").read_text())
    print(f"{data['data'].partition('#')[0]}, {data['model']}; {seeds['dense_seed'].nunique()} dense seeds\n")
    is_filter = seeds["pruner"].str.startswith("filter-")
    for of_filters, like in ((False, "magnitude-uniform"), (True, "filter-magnitude")):
        if not (is_filter == of_filters).any():
            continue
        table = table_of(seeds[is_filter == of_filters], like)
        if of_filters:
            table["speed"] = [speed(results, point, data["model"], 1, 14) for point in table["point"]]
        show(table, like, of_filters)
        print()
        if len(sys.argv) > 2:
            file = Path(sys.argv[2])
            draw(
                table,
                str(file.with_stem(file.stem + "_filters" * of_filters)),
                "load",
                "share of the filters kept" if of_filters else "density",
            )
            if of_filters:
                draw(
                    table,
                    str(file.with_stem(file.stem + "_speed")),
                    "speed",
                    "images a second of inference, relative to the dense model",
                )


if __name__ == "__main__":
    main()
