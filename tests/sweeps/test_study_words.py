"""What studies say of results that are not as usual: other norms, what diverged, what is known as a bound alone."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sweeps.spec.study_presets import IMPORTANCE, PRUNABILITY, SPARSITY
from sweeps.views.sparsity_view import sparsity_words, story_of

ROUNDS = np.arange(7)
SHARES = np.tile(0.5**ROUNDS, (2, 1))
CURVES = np.array([[3.0, 2, 1, 2, 4, 3, 2], [3.0, 2, 1, 3, 5, 4, 3]])
ERRORS = np.array([[0.1, 0.1, 0.09, 0.1, 0.15, 0.2, 0.3], [0.12, 0.11, 0.12, 0.12, 0.171, 0.22, 0.33]])


@pytest.mark.parametrize("study", [SPARSITY, IMPORTANCE], ids=lambda study: study.name)
def test_titles_of_several_rules_name_none(study):
    assert study.title == replace(PRUNABILITY, data=study.data, model=study.model).title.removesuffix(
        ", magnitude-uniform"
    )


def test_of_other_norms_the_story_begins_with_the_first_round():
    """The PQ Index of dense models is that of the usual ones."""
    curves = CURVES.copy()
    curves[:, 0] = math.nan
    story = story_of(curves, SHARES, ERRORS)
    assert (story.up, story.down, story.first) == ((2, 0.25), (4, 0.0625), 1)
    assert [amount.mean for amount in story.moves] == [1, 3.5, 2]
    assert story.onset == story_of(CURVES, SHARES, ERRORS).onset == (4, 0.0625)


def table(statuses):
    """Of one method: a row for each dense seed and round, without a result where the status says so."""
    rows = [
        {
            "method": "sap-layer",
            "temperature": 1.0,
            "dense_seed": seed,
            "round": number,
            "status": status,
            "density": 0.5**number,
            "test_error": 0.1 + 0.01 * seed if status == "ok" else math.nan,
            "pq_index": 0.1 * seed + 0.01 * number if status == "ok" else math.nan,
        }
        for seed, own in enumerate(statuses)
        for number, status in enumerate(own)
    ]
    return {"sparsity": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (["ok ok ok", "ok ok ok", "ok ok diverged"], "sap-layer (2 of 3 dense seeds: some diverged): the PQ Index "),
        (["ok ok ok", "ok ok ok", "ok ok missing"], "sap-layer (2 of 3 dense seeds yet): the PQ Index "),
        (["ok ok ok", "ok ok ok"], "sap-layer: the PQ Index "),
        (["ok ok ok", "ok ok missing"], "sap-layer: not all of its rounds have results for two dense seeds yet."),
        (["ok ok ok"], "sap-layer: not all of its rounds have results for two dense seeds."),
        (["ok ok ok", "ok failed missing"], "have results for two dense seeds: some failed."),
    ],
)
def test_what_is_left_out_of_a_story_is_said(statuses, said):
    study = replace(SPARSITY, methods=("sap-layer",))
    (words,) = sparsity_words(study, table([own.split() for own in statuses]))
    assert said in words
