"""What a diagnosis found, as plain data: its numbers, its verdict, and what to change first."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from metrics.diagnosis import Change, diagnose, hotter_or_colder
from metrics.regimes import Regime
from sweeps.results.landscape_table import landscape_tables
from sweeps.results.phase import phase_table
from sweeps.results.store import Store
from sweeps.spec.changes import changes
from sweeps.spec.diagnosis import Diagnosis
from sweeps.spec.study_presets import STUDY_PRESETS
from trainables.data import outline, short_name
from trainables.stages.curves import START

NUMBERS = (
    "train_loss",
    "mc",
    "line_mc",
    "cka",
    "hessian_eigenvalue",
    "hessian_trace",
    "train_error",
    "validation_error",
    "test_error",
)
"""Of the dense models, in columns of the landscape's table."""

OF_REGIMES: dict[Regime, Change] = {"I": "hotter", "II-A": "colder", "II-B": "none"}
"""What helps siblings (Zhou et al. 2023, section 3.2): to prune models that were trained so."""

HITS: dict[Change, tuple[int, int, int, int]] = {"colder": (11, 14, 20, 40)}
"""Of advice to change the temperature, on the small landscapes: how often it named the better of two neighbours, of how
many cells that had it; then how often that neighbour is the better one of any cell, and of how many.
``tests/benchmarks/diagnosis.py`` prints it; docs/diagnosis.md has the tables."""

CHANCE = 0.98
"""From this share of the loss of guessing, the logarithm of the number of classes, models count as untrained; ours."""

_OF_SIBLINGS = ("regime", "status", "lmc", "cka", "test_error", "dense_test_error")

Answer = dict[str, Any]


def diagnosis_answer(study: Diagnosis, store: Store) -> Answer:
    """What is stored of a diagnosis, and what follows from it.

    Returns:
        Plain data for JSON, with None for what is not known: ``status`` as of the table of landscapes; ``phase`` and
        ``possible_phases``, which the intervals allow; ``verdict``, ``change`` and the options ``to_change``, the first
        to be tried in front; ``temperature_by_mc``, what the sign of mode connectivity alone says, and its options,
        ``to_change_temperature``; ``loss_decides``, and ``loss_threshold_of``, other data for which the threshold of
        the loss was set; ``hits`` of such advice, as of :data:`HITS`; ``numbers`` with their 95 %
        intervals in units of that table, and ``hessian_trace_se``; the ``thresholds``, the ``curve``, the
        recipe with its ``steps``, and ``pruned`` if there is a density.

    Raises:
        UsageError: If a table is damaged.
    """
    (row,) = landscape_tables(study, store)["landscape"].to_dict("records")
    thresholds = study.phase_thresholds
    found = diagnose(row["train_loss"], row["mc"], row["cka"], thresholds)
    by_sign = hotter_or_colder(row["mc"])
    run = study.curvatures()[0].run
    curve = study.curve_recipe(run)
    answer = {
        "data": short_name(study.data),
        "model": short_name(study.model),
        "recipe": asdict(study.dense_recipe),
        "dense_seeds": None if study.checkpoints else list(study.dense_seeds),
        "checkpoints": [name.rpartition("#")[0] for name in study.checkpoints] if study.checkpoints else None,
        "status": row["status"],
        "n_models": row["n_models"],
        "n_diverged": row["n_diverged"],
        "n_pairs": row["n_pairs"],
        "phase": found and found.phase,
        "possible_phases": found and [found.phase, *row["other_phases"].split()],
        "verdict": found and found.verdict,
        "change": found and found.change,
        "to_change": changes(study, found.change) if found else [],
        "temperature_by_mc": found and by_sign,
        "to_change_temperature": changes(study, by_sign) if found else [],
        "loss_decides": found and found.loss_decides,
        "is_chance": bool(row["train_loss"] >= CHANCE * math.log(outline(study.data).classes)),
        "hits": None if found is None else HITS.get(found.change),
        "loss_threshold_of": _set_for(study),
        "numbers": {name: _with_interval(row, name) for name in NUMBERS},
        "hessian_trace_se": _trace_error(study, store),
        "thresholds": asdict(thresholds),
        "steps": study.steps_of(run, study.dense_recipe),
        "curve": {
            "epochs": curve.epochs,
            "lr": curve.lr,
            "batch_size": curve.batch_size,
            "steps": study.curve_steps(run),
            "start": START,
        },
        "pruned": None if study.density is None else _pruned(study, store),
    }
    return {name: _known(value) for name, value in answer.items()}


def _pruned(study: Diagnosis, store: Store) -> Answer:
    """What is stored of the siblings, and what helps them."""
    points = store.with_added_siblings(study.points())
    (row,) = phase_table(points, store, study.sibling_thresholds, study.measurement).to_dict("records")
    values: Answer = {name: _known(row[name]) for name in _OF_SIBLINGS}
    change = OF_REGIMES.get(values["regime"])
    return {
        "density": study.density,
        **values,
        "change": change,
        "to_change": changes(study, change) if change else [],
        "thresholds": {"lmc": study.lmc_threshold, "cka": study.sibling_cka_threshold},
    }


def _set_for(study: Diagnosis) -> str | None:
    """Data of the preset whose threshold of the loss a study of other data has."""
    presets = [preset for preset in STUDY_PRESETS[Diagnosis].values() if isinstance(preset, Diagnosis)]
    own = {preset.loss_threshold: preset.data for preset in presets}
    data = own.get(study.loss_threshold)
    return None if data == study.data else data


def _trace_error(study: Diagnosis, store: Store) -> float:
    """Standard error of the estimate of the trace, a mean over models; NaN without any."""
    own = [
        row["hessian_trace_se"]
        for stage in study.curvatures()
        for row in store.table("curvature", ["epoch", "status", "hessian_trace_se"], parts=[stage.key]).to_pylist()
        if row["epoch"] in stage.epochs and row["status"] == "ok"
    ]
    return math.sqrt(math.fsum(error**2 for error in own)) / len(own) if own else math.nan


def _with_interval(row: Mapping[Any, Any], name: str) -> Answer:
    ends = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
    return {said: _known(row[column]) for said, column in ends.items()}


def _known(value: Any) -> Any:
    """For JSON, which has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
