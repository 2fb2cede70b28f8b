"""The picture and the words of the study of sparsity."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from metrics.intervals import Interval, mean_interval
from metrics.turning_points import moves, turns
from sweeps.spec.sparsity import Sparsity
from sweeps.views.charts import Chart, Charts, Line
from sweeps.views.study_words import interval_words, named_lines

MOST_LAYERS = 8
"""In a chart; of more every so many, the first and the last among them."""

CAPTION = (
    "Round 0 is the dense model; each later round prunes, rewinds and trains. Test error and PQ Index are of the "
    "trained model. Means over dense seeds with 95 % intervals."
)


class Story(NamedTuple):
    """What the curves of a method say.

    Attributes:
        up: Round in which the mean PQ Index turns up, and the share of weights left there.
        down: Round in which it turns down again, likewise.
        moves: How far it falls, rises and falls again, by turns that each seed has from the others.
        onset: First round from which on test error is above that of the dense model, with the interval of the paired
            difference above 0 in it and in all later ones, and the share left there; None if there is none.
        seeds: Dense seeds that have all rounds, of which all of this is.
        first: Round that the curve of the PQ Index begins with: 1 where that of the dense models is of another p and q.
    """

    up: tuple[int, float]
    down: tuple[int, float]
    moves: tuple[Interval, Interval, Interval]
    onset: tuple[int, float] | None
    seeds: int
    first: int


def sparsity_charts(study: Sparsity, tables: Mapping[str, pd.DataFrame]) -> Charts:
    """What the picture shows."""
    table = tables["sparsity"]
    charts = [
        Chart("Test error", "round", "test error", list(_lines(study, table, "test_error"))),
        Chart("Weights left", "round", "density", list(_lines(study, table, "density")), log_y=True),
        Chart("Test error over density", "density", "test error", list(_over_density(study, table)), log_x=True),
        Chart("PQ Index", "round", "PQ Index", list(_lines(study, table, "pq_index"))),
    ]
    charts += [
        Chart(f"PQ Index by layer: {name}", "round", "PQ Index", list(_of_layers(own)))
        for name, own in named_lines(study, table, ["method"])
    ]
    return Charts(f"Sparsity: {study.title}", CAPTION, charts, table.drop(columns="pq_index_by_layer"))


def sparsity_words(study: Sparsity, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """What there is to say of the results."""
    for name, own in named_lines(study, tables["sparsity"], ["method"]):
        curves, shares, errors = (_curves(own, column) for column in ("pq_index", "density", "test_error"))
        story = story_of(curves, shares, errors)
        if story is None:
            yield f"{name}: not all of its rounds have results for two dense seeds{_why(own)}."
            continue
        fall, rise, after = map(interval_words, story.moves)
        moved = f"falls by {fall}, and its mean rises in no round"
        if story.down > story.up:
            where = f"its mean turns up in round {_at(story.up)}, and rises to round {_at(story.down)}"
            again = "" if story.down[0] == len(shares[0]) - 1 else f", falls again by {after}"
            moved = f"falls by {fall}, rises by {rise}{again}; {where}"
        suffers = (
            "test error is not shown to be above the dense model's at the end"
            if story.onset is None
            else f"test error is above the dense model's from round {_at(story.onset)} on"
        )
        of = f" ({story.seeds} of {len(curves)} dense seeds{_why(own)})" if story.seeds < len(curves) else ""
        since = " from round 1 on" if story.first else ""
        yield f"{name}{of}: the PQ Index{since} {moved}; {suffers}."


def _why(table: pd.DataFrame) -> str:
    """What there is instead of results of some rounds."""
    others = [status for status in ("diverged", "failed") if (table["status"] == status).any()]
    return f": some {' and some '.join(others)}" if others else " yet" if (table["status"] == "missing").any() else ""


def _at(place: tuple[int, float]) -> str:
    return f"{place[0]} (density {place[1]:.3g})"


def story_of(
    curves: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], errors: npt.NDArray[np.float64]
) -> Story | None:
    """What the curves of a method say; None if fewer than two seeds have all rounds.

    Args:
        curves: PQ Index, shape (seeds, rounds + 1), from round 0, which may be NaN for all.
        shares: Densities, likewise.
        errors: Test errors, likewise.
    """
    first = int(np.isnan(curves[:, 0]).all() and not np.isnan(errors[:, 0]).all())
    whole = ~(np.isnan(curves[:, first:]).any(axis=1) | np.isnan(errors).any(axis=1))
    if whole.sum() < 2:
        return None
    curves, shares, errors = curves[whole, first:], shares[whole].mean(axis=0), errors[whole]
    up, down = (place + first for place in turns(curves.mean(axis=0).tolist()))
    found = moves(curves)
    amounts = (
        mean_interval([own.fall for own in found]),
        mean_interval([own.rise for own in found]),
        mean_interval([own.fall_after for own in found]),
    )
    excess = [mean_interval(own) for own in (errors - errors[:, :1]).T.tolist()]
    onset = len(excess)
    while onset > 1 and excess[onset - 1].low > 0:
        onset -= 1
    from_there = (onset, float(shares[onset])) if onset < len(excess) else None
    return Story((up, float(shares[up])), (down, float(shares[down])), amounts, from_there, len(curves), first)


def _curves(table: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """Values by dense seed and round."""
    return table.pivot(index="dense_seed", columns="round", values=column).to_numpy(dtype=float)


def _lines(study: Sparsity, table: pd.DataFrame, column: str) -> Iterator[Line]:
    """A line for each method and temperature, the mean over dense seeds."""
    for name, own in named_lines(study, table, ["method"]):
        values = _curves(own, column)
        intervals = [mean_interval(each) for each in values.T.tolist()]
        rounds = sorted(set(own["round"]))
        means, lows, highs = (list(each) for each in zip(*intervals, strict=True))
        if column == "density":  # its axis is logarithmic
            lows = [max(low, mean / 10) for low, mean in zip(lows, means, strict=True)]
        yield Line(name, rounds, means, lows, highs)


def _over_density(study: Sparsity, table: pd.DataFrame) -> Iterator[Line]:
    for name, own in named_lines(study, table, ["method"]):
        shares = [mean_interval(each).mean for each in _curves(own, "density").T.tolist()]
        intervals = [mean_interval(each) for each in _curves(own, "test_error").T.tolist()]
        rows = sorted(
            (share, *interval) for share, interval in zip(shares, intervals, strict=True) if not math.isnan(share)
        )
        if rows:
            yield Line(name, *(list(each) for each in zip(*rows, strict=True)))


def _of_layers(table: pd.DataFrame) -> Iterator[Line]:
    """A line for each layer, the mean over dense seeds."""
    known = table[table["pq_index_by_layer"].notna()]
    layers = list(dict.fromkeys(layer for own in known["pq_index_by_layer"] for layer, _ in own))
    step = max(1, math.ceil((len(layers) - 1) / (MOST_LAYERS - 1)))
    shown = layers if len(layers) <= MOST_LAYERS else [*layers[:-1:step], layers[-1]]
    rounds = sorted(set(table["round"]))
    for layer in shown:
        values: dict[int, list[float]] = {number: [] for number in rounds}
        for number, own in zip(known["round"], known["pq_index_by_layer"], strict=True):
            values[number].append(dict(own).get(layer, math.nan))
        yield Line(layer.removesuffix(".weight"), rounds, [mean_interval(values[number]).mean for number in rounds])
