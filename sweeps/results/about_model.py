"""What there is to say of a sibling that leaves the results: plain data for the JSON beside its weights."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from sweeps.results.provenance import provenance
from sweeps.results.store import Store
from sweeps.results.stored_siblings import StoredSibling
from trainables.data import Normalisation, Outline
from trainables.data.text.parallel import parsed
from trainables.data.text.vocabulary import BEGIN, END, PADDING, UNKNOWN
from trainables.stages import MeasurementSettings
from trainables.stages.measurement import settings_key

MADE_BY = "three-regime-sweeps"
"""First in the JSON, which is known again by it."""

ERRORS = ("train_error", "validation_error", "test_error")
BLEU = ("validation_bleu", "bleu", "bleu_signature")
"""Columns of what is said of a translation model alone."""


def about_model(
    sibling: StoredSibling,
    regime: str | None,
    pairs: dict[str, Any],
    inputs: Mapping[str, Any],
) -> dict[str, Any]:
    """All that is known of a sibling with results, in plain data; what is not known is None.

    Args:
        sibling: The sibling.
        regime: Of its cell.
        pairs: :func:`means_of_pairs`.
        inputs: :func:`about_images` or :func:`about_sentences`.
    """
    row, stage = sibling.row, sibling.stage
    assert row is not None
    return {
        "model": stage.run.model,
        "data": stage.run.data,
        **inputs,
        **{name: _known(row[name]) for name in ERRORS},
        **({} if row["bleu_signature"] is None else {name: _known(row[name]) for name in BLEU}),
        **pairs,
        **asdict(stage.label),
        "regime": regime,
        "density": _known(row["density"]),
        "density_by_layer": dict(row["density_by_layer"] or {}),
        "pruner": stage.point.pruner,
        "dense_seed": stage.run.seed,
        "retrain_seed": sibling.seed,
        "epoch": stage.point.epoch,
        "dense": stage.run.key,
        "point": stage.key,
        "configuration": json.loads(row["configuration"]),
        **{name: row[name] for name in ("created_at", "package_version", "commit", "libraries")},
        "created_at": row["created_at"].isoformat(),
        "exported_by": provenance()["package_version"],
    }


def about_images(sizes: Outline | None, normalisation: Normalisation | None) -> dict[str, Any]:
    """What images are that a model takes, as far as it is known."""
    return {
        "image": None if sizes is None else {name: getattr(sizes, name) for name in ("height", "width", "channels")},
        "classes": None if sizes is None else sizes.classes,
        "mean": None if normalisation is None else list(normalisation.mean),
        "std": None if normalisation is None else list(normalisation.std),
    }


def about_sentences(data: str, file: str, vocabulary: bytes) -> dict[str, Any]:
    """What sentences are that a model takes and gives.

    Args:
        data: Pinned name of the text.
        file: Name of the vocabulary's file.
        vocabulary: What is in it.
    """
    name = parsed(data)
    hashed = hashlib.sha256(vocabulary).hexdigest()
    tokens = {"padding": PADDING, "unknown": UNKNOWN, "begin": BEGIN, "end": END}
    return {
        "languages": {"source": name.files.source, "target": name.files.target},
        "vocabulary": {"file": file, "kind": name.kind, "size": name.size, **tokens, "sha256": hashed},
    }


def means_of_pairs(sibling: StoredSibling, store: Store, measurement: MeasurementSettings) -> dict[str, Any]:
    """Means of LMC and CKA over the pairs of a sibling with the others of its point, and how many these are."""
    file = f"{sibling.stage.key}-{settings_key(measurement)}"
    columns = ["first_seed", "second_seed", "status", "lmc", "cka"]
    rows = [
        row
        for row in store.table("pairs", columns, [file]).to_pylist()
        if row["status"] == "ok" and sibling.seed in (row["first_seed"], row["second_seed"])
    ]
    return {name: _mean([row[name] for row in rows]) for name in ("lmc", "cka")} | {"n_pairs": len(rows)}


def regime_of(sibling: StoredSibling, table: pd.DataFrame) -> str | None:
    """Regime of a sibling's cell in a phase table; None where it has none."""
    label = sibling.stage.label
    cell = table[(table["temperature"] == label.temperature) & (table["load"] == label.load)]
    regimes = [regime for regime in cell["regime"] if isinstance(regime, str)]
    return regimes[0] if regimes else None


def _known(value: Any) -> Any:
    """For JSON, which has no NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return math.fsum(known) / len(known) if known else None
