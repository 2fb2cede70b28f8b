"""Training losses of single siblings in complete grids, any of them as the first one, and which of them are clear."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from search_grids import SEEDS, Cell

from metrics.regimes import Thresholds
from sweeps.results.phase import phase_table, resolved, rows_of
from sweeps.results.recorded import open_recorded
from trainables.stages import PointStage

MEASURES = {
    "loss": "of the sibling, in nats",
    "last epoch": "of the sibling's last epoch of retraining, in nats: on the way, with its augmentation",
    "above the dense model's": "that minus the training loss of its dense model",
    "over the dense model's": "that divided by it",
    "over the start's": "divided by that of the start temperature at the largest density, where a search begins",
    "density": "one over the density, which is known without any training: what does the loss add to that?",
}

RELATIVE = ("above the dense model's", "over the dense model's", "over the start's")
"""Losses that may have a scale that is the same elsewhere, and that a search knows."""

Array = npt.NDArray[np.float64]
Choice = tuple[int, ...]
"""For each dense seed, which of its siblings is the first one."""


class SiblingGrid:
    """A complete grid: the losses of single siblings, and the phase table of as many as one likes.

    Attributes:
        name: Of its folder.
        spec: Of the sweep.
        losses: Columns ``temperature``, ``load``, ``dense_seed``, ``sibling`` (0, 1, ...), and the measures.
    """

    def __init__(self, folder: str, threshold: Any) -> None:
        past = open_recorded(folder, None)
        assert past.store is not None
        self.name, self.spec, self._store = Path(folder).name, past.spec, past.store
        self._points = self._store.with_added_siblings(self.spec.points())
        self._asked = Thresholds(threshold, self.spec.cka_threshold)
        self._rows: dict[tuple[Any, ...], dict[Cell, dict[str, Any]]] = {}
        self.losses = self._read_losses()

    @property
    def siblings(self) -> int:
        """Of each dense model."""
        return len(self.spec.retrain_seeds)

    @cached_property
    def start(self) -> float:
        """Where a search begins."""
        return self.spec.default_temperature

    @cached_property
    def truth(self) -> pd.DataFrame:
        """Phase table of all dense seeds and siblings, with whether each cell is connected; by cell."""
        table = phase_table(self._points, self._store, self._asked, self.spec.measurement)
        table["connected"] = table["lmc"] >= resolved(self._asked, table).lmc
        return table.set_index(["temperature", "load"])

    def boundary(self, load: float) -> float:
        """The coldest temperature that the whole grid has as connected, or the hottest."""
        connected = self.truth["connected"]
        order = self.spec.hot_to_cold
        return next((each for each in reversed(order) if connected[each, load]), order[0])

    @cached_property
    def groups(self) -> list[tuple[int, ...]]:
        """Dense seeds of a search: two at a time, and each alone."""
        seeds = sorted(self.spec.dense_seeds)
        pairs = [tuple(seeds[first : first + SEEDS]) for first in range(0, len(seeds) - SEEDS + 1, SEEDS)]
        return [*pairs, *((seed,) for seed in seeds)]

    def choices(self, group: Sequence[int]) -> list[Choice]:
        """Every sibling of every dense seed as the first one."""
        return list(product(range(self.siblings), repeat=len(group)))

    def rows(self, group: Sequence[int], choice: Choice, count: int) -> dict[Cell, dict[str, Any]]:
        """Phase table of so many siblings of these dense seeds, those after the first one in their order."""
        at = (tuple(group), choice if count < self.siblings else (), count)
        if at not in self._rows:
            first = dict(zip(group, choice, strict=True))
            some = [
                self._with(stage, first[stage.run.seed], count) for stage in self._points if stage.run.seed in first
            ]
            rows = rows_of(phase_table(some, self._store, self._asked, self.spec.measurement))
            self._rows[at] = {(row["temperature"], row["load"]): row for row in rows}
        return self._rows[at]

    def of_first(self, group: Sequence[int], choice: Choice, measure: str) -> dict[Cell, float]:
        """Mean over dense seeds of what is measured of their first sibling, by cell; NaN if one diverged."""
        named = pd.DataFrame({"dense_seed": group, "sibling": choice})
        cells = self.losses.merge(named).groupby(["temperature", "load"])[measure]
        return {(float(cell[0]), float(cell[1])): values.mean(skipna=False) for cell, values in cells}

    def told(self, measure: str) -> tuple[Array, npt.NDArray[np.bool_]]:
        """What is measured of the first siblings of all cells, and whether these are connected.

        Returns:
            Both of the same shape: of cells for every choice of first siblings and group of two dense seeds, without
            those where the measure is NaN.
        """
        found = pd.DataFrame(
            [
                (value, self.truth["connected"][cell])
                for group in self.groups
                if len(group) == SEEDS
                for choice in self.choices(group)
                for cell, value in self.of_first(group, choice, measure).items()
            ]
        ).dropna()
        return found[0].to_numpy(float), found[1].to_numpy(bool)

    def _with(self, stage: PointStage, first: int, count: int) -> PointStage:
        seeds = sorted(stage.seeds)
        return replace(stage, seeds=tuple(sorted((seeds[first:] + seeds[:first])[:count])))

    def _read_losses(self) -> pd.DataFrame:
        runs = self._store.table("runs").to_pandas()[["point", "retrain_seed", "train_loss", "losses"]]
        runs["last epoch"] = [losses[-1] if len(losses) else np.nan for losses in runs.pop("losses")]
        dense = self._store.table("dense").to_pandas()
        of_dense = {(row["dense"], row["epoch"]): row["train_loss"] for row in rows_of(dense)}
        cells = [
            vars(stage.label)
            | {"point": stage.point.key, "sibling": place, "retrain_seed": seed, "dense_seed": stage.run.seed}
            | {"dense_loss": of_dense[stage.point.dense.key, stage.point.epoch]}
            for stage in self._points
            for place, seed in enumerate(sorted(stage.seeds))
        ]
        table = pd.DataFrame(cells).merge(runs, how="left").rename(columns={"train_loss": "loss"})
        is_start = (table["temperature"] == self.start) & (table["load"] == max(self.spec.loads))
        of_start = table[is_start].set_index(["dense_seed", "sibling"])["loss"].rename("loss_of_start")
        table = table.join(of_start, on=["dense_seed", "sibling"])
        table["above the dense model's"] = table["loss"] - table["dense_loss"]
        table["over the dense model's"] = table["loss"] / table["dense_loss"]
        table["over the start's"] = table["loss"] / table["loss_of_start"]
        table["density"] = 1 / table["load"]
        return table


@dataclass(frozen=True)
class Clear:
    """Where a loss decides.

    Attributes:
        low: At most this is connected.
        high: At least this is in Regime I.
    """

    low: float
    high: float

    def decides(self, value: float) -> bool | None:
        """Whether a cell is connected; None if its loss does not say."""
        return True if value <= self.low else False if value >= self.high else None


def fit(values: Array, connected: npt.NDArray[np.bool_], most_wrong: float) -> Clear:
    """Thresholds that leave as little as they can between them, of which at most a share is wrong on either side.

    Args:
        values: Of cells, of shape (cells,).
        connected: Whether they are.
        most_wrong: Largest share of the cells at or below the lower threshold that are not connected, and of those at
            or above the upper one that are.

    Returns:
        Both are values of cells, or infinite where nothing is so sure; where the sides would overlap, both are the
        middle, and nothing is between.
    """
    order = np.argsort(values, kind="stable")
    values, wrong = values[order], ~connected[order]
    count = np.arange(1, len(values) + 1)
    last = np.append(values[1:] != values[:-1], True)
    first = np.append(True, values[1:] != values[:-1])
    below = values[last & (np.cumsum(wrong) <= most_wrong * count) & ~wrong]
    above = values[first & (np.cumsum(~wrong[::-1])[::-1] <= most_wrong * count[::-1]) & wrong]
    low, high = max(below, default=-np.inf), min(above, default=np.inf)
    return Clear(float(low), float(high)) if low < high else Clear((low + high) / 2, (low + high) / 2)


def area_under_curve(values: Array, connected: npt.NDArray[np.bool_]) -> float:
    """Probability that a cell in Regime I has the higher value of it and a connected one; NaN without one of either."""
    apart = np.sign(values[~connected][:, None] - values[connected])
    return float((apart.mean() + 1) / 2) if apart.size else np.nan
