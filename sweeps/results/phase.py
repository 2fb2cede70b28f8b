"""The phase table: one row for each temperature and load, with the regime found there."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from metrics.lmc_threshold import lmc_threshold
from metrics.regimes import AUTO, Thresholds, regimes_at_load
from sweeps.results.pair_noise import standard_error
from sweeps.results.phase_schema import P_REGIMES, PHASE
from sweeps.results.probabilities import regime_probabilities
from sweeps.results.stage_rows import lost_file, lost_part
from sweeps.results.store import Store
from trainables.data import held_out_samples
from trainables.stages import MeasurementSettings, PointStage, Stage
from trainables.stages.dense import dense_part
from trainables.stages.measurement import settings_key

MOST_NAMED = 5
"""Cells in a note."""

_OF_RUNS = ["test_error", "validation_error", "train_error", "bleu", "validation_bleu", "density"]
_OF_PAIRS = ["lmc", "cka"]
DECIMALS = 12
"""Of means and standard errors: so that equal errors are equal, and a search decides the same, whatever else was summed
with them."""

_MODEL = ["cell", "dense_seed"]
"""What siblings of one pruned model have in common."""

MOST_DIVERGED = 1 / 3
"""Of a cell of which such a share of the siblings that have a result diverged, or more, no regime is told, and nothing
chooses it: its means are of the survivors alone, and who trains there may well get none. The paper does not say what
becomes of trainings that diverge; this is our interpretation."""


def phase_table(
    points: Sequence[PointStage], store: Store, thresholds: Thresholds, measurement: MeasurementSettings
) -> pd.DataFrame:
    """Summarise the stored results of these points and of the siblings named there; nothing else is read.

    Args:
        points: The points.
        store: Where the results are.
        thresholds: Boundaries of the regimes.
        measurement: Of pairs that were measured with other settings nothing is read.

    Returns:
        One row for each cell of the grid, missing ones included, by temperature, then load; columns as in
        :data:`sweeps.results.phase_schema.PHASE`, which also says what they mean.

    Raises:
        UsageError: If a table is damaged.
    """
    stages = _stages(points)
    siblings = stages[["cell", "point", "seed"]].explode("seed").astype({"seed": "int64"})
    of_runs = [*stages["point"], *chain.from_iterable(stages["lost"])]
    runs = _read(store, "runs", of_runs, _OF_RUNS, siblings, "retrain_seed")
    measured = [f"{point}-{settings_key(measurement)}" for point in stages["point"]]
    of_pairs = [*measured, *map(lost_file, measured)]
    pairs = _read(store, "pairs", of_pairs, _OF_PAIRS, siblings, "first_seed", "second_seed")
    pairs = pairs[pairs["point"].isin(runs["point"])]
    table = stages.drop_duplicates("cell").set_index("cell").sort_index()
    wanted = siblings.groupby(["cell", "point"]).size()
    table["status"] = _statuses(
        runs, pairs, wanted.groupby("cell").sum(), (wanted * (wanted - 1) // 2).groupby("cell").sum()
    )
    seconds = pd.concat([rows.set_index("cell")["seconds"] for rows in (runs, pairs)])
    table["seconds"] = seconds.groupby("cell").sum().reindex(table.index, fill_value=0)
    table["n_diverged"] = _counts(runs[runs["status"] == "diverged"], len(table))
    runs, pairs = (rows[rows["status"] == "ok"] for rows in (runs, pairs))
    table["n_runs"], table["n_pairs"] = _counts(runs, len(table)), _counts(pairs, len(table))
    table["n_dense_seeds"] = _counts(runs.drop_duplicates(_MODEL), len(table))
    errors = {f"{name}_se": standard_error(pairs, name) for name in _OF_PAIRS}
    table = table.join([_means(runs, _OF_RUNS), _means(pairs, _OF_PAIRS).assign(**errors)])
    table = table.join(_dense_errors(points, stages, store)).reset_index(drop=True)
    averaged = table.select_dtypes("float").columns.difference(["temperature", "load"])
    table[averaged] = table[averaged].round(DECIMALS)
    table["normalized_test_error"] = normalized_error(table)
    return with_regimes(table, thresholds)[PHASE.names]


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table, by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def none_if_nan(value: float) -> float | None:
    """The value for JSON, which has no NaN."""
    return None if math.isnan(value) else value


def is_left_out(row: Mapping[str, Any]) -> bool:
    """Whether so many siblings of a cell diverged (:data:`MOST_DIVERGED`) that nothing chooses it.

    Args:
        row: In columns of the phase table; without ``n_diverged`` none did.
    """
    diverged = row.get("n_diverged", 0)
    return bool(diverged > 0 and diverged >= MOST_DIVERGED * (diverged + row["n_runs"]))


def left_out(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether so many siblings of each cell diverged that nothing chooses it."""
    return np.array([is_left_out(row) for row in rows_of(table)], dtype=bool)


def diverged_note(table: pd.DataFrame) -> str:
    """What there is to say to a person about siblings that diverged; empty if none did."""
    rows = [row for row in rows_of(table) if row["n_diverged"] > 0]
    if not rows:
        return ""
    cells = ", ".join(
        f"{row['temperature_axis']} {row['temperature']:g} at {row['load_axis']} {row['load']:g} ({diverged_of(row)})"
        for row in rows[:MOST_NAMED]
    )
    more = f" and {len(rows) - MOST_NAMED} other cells" if len(rows) > MOST_NAMED else ""
    never = sum(map(is_left_out, rows))
    said = f"; never chosen, since a third or more did: {never} of these cells" if never else ""
    return f"Note: siblings diverged and are in no mean: {cells}{more}{said}."


def diverged_of(row: Mapping[str, Any]) -> str:
    """How many siblings of a cell diverged, of those that have results."""
    return f"{row['n_diverged']:g} of {row['n_diverged'] + row['n_runs']:g}"


def normalized_error(table: pd.DataFrame) -> "pd.Series[float]":
    """Test error minus the smallest of any temperature at the same load (Zhou et al. 2023, section 4.1).

    NaN where too many siblings diverged, and these are not looked at for the smallest.
    """
    errors = table["test_error"].mask(left_out(table))
    return errors - errors.groupby(table["load"]).transform("min")


def with_regimes(table: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    """Add the columns ``regime``, its probabilities and ``lmc_threshold`` to a table with those that they depend on.

    None and NaN where they are undefined, and where too many siblings diverged: these cells' CKA is no best of their
    load either. The threshold of LMC is the same for all cells, a number also where the table decides it; probabilities
    take it as exact.
    """
    thresholds = resolved(thresholds, table)
    regimes = np.full(len(table), None, dtype=object)
    counted = table.assign(**{name: table[name].mask(left_out(table)) for name in _OF_PAIRS})
    lmcs, ckas = (counted[name].to_numpy() for name in _OF_PAIRS)
    for cells in table.groupby("load").indices.values():
        regimes[cells] = regimes_at_load(lmcs[cells].tolist(), ckas[cells].tolist(), thresholds)
    probabilities = dict(zip(P_REGIMES, regime_probabilities(counted, thresholds), strict=True))
    regime = pd.Series(regimes, index=table.index, dtype=object)
    return table.assign(regime=regime, **probabilities, lmc_threshold=float(thresholds.lmc))


def resolved(thresholds: Thresholds, table: pd.DataFrame) -> Thresholds:
    """Boundaries of the regimes with a number for LMC, which with ``auto`` the cells of this table decide.

    The rule is that of :func:`metrics.lmc_threshold.lmc_threshold`, over the cells of which LMC is known, without those
    that are left out because too many siblings diverged. Their errors are the validation errors where these are known
    of all of them, else the test errors.

    Args:
        thresholds: As they were given.
        table: All cells that are shown or chosen from together, in columns of :data:`PHASE`, of which ``lmc``,
            ``validation_error``, ``test_error``, ``n_diverged`` and ``n_runs`` are looked at; without a column nothing
            of it is known.
    """
    if thresholds.lmc != AUTO:
        return thresholds
    cells = table.reindex(columns=["lmc", "validation_error", "test_error", "n_diverged", "n_runs"]).astype(float)
    cells = cells[cells["lmc"].notna() & ~left_out(cells)]
    validated = cells["validation_error"].notna().all()
    errors = cells["validation_error" if validated else "test_error"]
    found = lmc_threshold(cells["lmc"].to_numpy(), errors.to_numpy())
    return replace(thresholds, lmc=found.lmc, lmc_reason=found.reason)


def threshold_note(thresholds: Thresholds) -> str:
    """What there is to say to a person of boundaries that a table decided; empty if none did."""
    return f"LMC threshold: {thresholds.lmc:.3g} (auto: {thresholds.lmc_reason})" if thresholds.lmc_reason else ""


def _stages(points: Sequence[PointStage]) -> pd.DataFrame:
    """A row for each point, with the number of its cell: by temperature, then load."""
    rows = [
        vars(stage.label)
        | {"point": stage.point.key, "seed": stage.seeds, "dense": stage.run.key, "epoch": stage.point.epoch}
        | {"lost": list(_lost_parts(stage))}
        for stage in points
    ]
    stages = pd.DataFrame(rows)
    data = {(stage.run.data, stage.run.validation_fraction) for stage in points}
    images = {held_out_samples(*each) for each in data}
    stages["validation_images"] = float(images.pop()) if len(images) == 1 and images != {0} else math.nan
    return stages.assign(cell=stages.groupby(["temperature", "load"]).ngroup())


def _lost_parts(stage: Stage) -> Iterator[str]:
    """Files in which it may be noted that a stage cannot run since one that it needs failed."""
    for need in stage.needs:
        yield lost_part(need)
        yield from _lost_parts(need)


def _read(
    store: Store, name: str, files: Iterable[str], values: Sequence[str], siblings: pd.DataFrame, *seeds: str
) -> pd.DataFrame:
    """Rows of these files of a table whose point and seeds are among the siblings, with the number of the cell."""
    columns = ["point", "dense_seed", "status", "seconds", *seeds, *values]
    table = store.table(name, columns, files).to_pandas(use_threads=False)
    for seed in seeds:
        table = table.merge(siblings.rename(columns={"seed": seed}))
    return table


def _counts(rows: pd.DataFrame, cells: int) -> npt.NDArray[np.int64]:
    """How many rows each cell has."""
    return np.bincount(rows["cell"].to_numpy(), minlength=cells)


def _statuses(
    runs: pd.DataFrame, pairs: pd.DataFrame, siblings: "pd.Series[int]", wanted: "pd.Series[int]"
) -> npt.NDArray[np.str_]:
    """Status of each cell, of which so many siblings and pairs are wanted."""
    cells = len(siblings)
    found, measured = _counts(runs, cells), _counts(pairs, cells)
    failed = sum(_counts(rows[rows["status"] == "failed"], cells) for rows in (runs, pairs)) > 0
    diverged = _counts(runs[runs["status"] == "diverged"], cells) > 0
    incomplete = (found < siblings) | (measured < wanted)
    cases = {"failed": failed, "diverged": diverged, "missing": found == 0, "incomplete": incomplete}
    return np.select(list(cases.values()), list(cases), "ok")


def _means(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Means over the defined values, their standard errors over them, and over the means of the dense seeds.

    NaN without any value; a standard error also with one.
    """
    cells = rows.groupby("cell")[columns]
    dense = rows.groupby(_MODEL)[columns].mean().groupby("cell")
    return cells.mean().join([cells.sem().add_suffix("_se"), dense.sem().add_suffix("_se_dense")])


def _dense_errors(points: Sequence[PointStage], stages: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Mean errors and BLEU of the dense models of each cell that did not diverge; NaN unless known of all of these."""
    names = {dense_part(stage.point.dense, stage.point.epoch) for stage in points}
    errors = ["validation_error", "test_error", "validation_bleu", "bleu"]
    dense = store.table("dense", ["dense", "epoch", "status", *errors], sorted(names)).to_pandas(use_threads=False)
    models = stages[["cell", "dense", "epoch"]].merge(dense, how="left")
    cells = models[models["status"] != "diverged"].groupby("cell")[errors]
    return cells.mean().where(cells.count().eq(cells.size(), axis=0)).add_prefix("dense_")
