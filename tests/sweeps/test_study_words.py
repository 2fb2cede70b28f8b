"""What studies say of results that are not as usual: other norms, what diverged, what is known as a bound alone."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from points import made_up_rows

from sweeps.results.prunability_table import error_table, prunability_of, prunability_tables
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.spec.study_presets import IMPORTANCE, PRUNABILITY, SPARSITY
from sweeps.views.charts import Chart, Charts, Line, Matrix
from sweeps.views.interactive_charts import draw_json
from sweeps.views.prunability_view import prunability_words
from sweeps.views.sparsity_view import sparsity_words, story_of
from trainables.stages import DenseStage

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


def test_every_line_is_in_the_legend_of_the_first_chart_that_has_it():
    lines = {name: Line(name, [1, 2], [0.1, 0.2]) for name in "abc"}
    charts = [
        Chart("one", "x", "y", [lines["a"], lines["b"]]),
        Matrix("between", ["a"], [[1.0]]),
        Chart("two", "x", "y", [lines["b"], lines["c"]]),
        Chart("three", "x", "y", [lines["a"]]),
    ]
    figures = json.loads(draw_json(Charts("all", "", charts)))["figures"]
    shown = [[trace["name"] for trace in figure["data"] if trace.get("showlegend")] for figure in figures]
    assert shown == [["a", "b"], [], ["c"], []]


STUDY = replace(
    PRUNABILITY,
    data="digits-first200",
    model="conv4-8",
    data_dimensions=(),
    densities=(0.1, 0.5),
    dense_seeds=(1, 2),
    retrain_seeds=(1, 2),
    epochs=2,
    temperatures=(2,),
    tolerance=0.05,
)


def filled(store, excess, study=STUDY):
    """The study with made-up results: test errors above the dense models', of 0.1, by dense seed and density."""
    for stage in study.points():
        run = stage.run
        rows = made_up_rows(stage, error=0.1 + excess[run.seed, stage.point.density])
        dense = {"dense": run.key, "epoch": stage.point.epoch, "status": "ok", "message": "", "test_error": 0.1}
        store.record(DenseStage(run, (stage.point.epoch,)), {"dense": [dense | {"seconds": 1.0}]}, "cpu")
        store.record(stage, {"runs": rows["runs"]}, "cpu")
    return store


def said_of(study, store):
    tables = prunability_tables(study, store)
    return tables["prunability"].iloc[0], next(iter(prunability_words(study, tables)))


def test_a_bound_has_no_interval(store):
    """Dense seeds that all reach the lowest density are equal in that alone."""
    never, late = {(1, 0.5): 0.0, (1, 0.1): 0.0}, {(2, 0.5): 0.0, (2, 0.1): 0.1}
    row, words = said_of(STUDY, filled(store, never | {(2, 0.5): 0.0, (2, 0.1): 0.0}))
    assert (row["bound"], row["share"]) == ("at least", pytest.approx(0.9))
    assert math.isnan(row["share_low"])
    assert "at least 0.9 of the weights can go" in words
    row, words = said_of(STUDY, filled(store, never | late))
    assert (row["bound"], math.isnan(row["share_high"])) == ("at least", True)
    row, words = said_of(STUDY, filled(store, never | {(2, 0.5): 0.1, (2, 0.1): 0.1}))
    assert row["bound"] == "at least and at most"
    assert "about 0.776 of the weights can go" in words
    row, words = said_of(STUDY, filled(store, {(1, 0.5): 0.0, (1, 0.1): 0.1} | late))
    assert (row["bound"], row["share_low"]) == ("", pytest.approx(row["share"]))


def test_a_point_without_one_of_its_siblings_is_incomplete(store):
    errors = {(seed, density): 0.0 for seed in (1, 2) for density in (0.1, 0.5)}
    more = replace(STUDY, retrain_seeds=(1, 2, 3))
    row, words = said_of(more, filled(store, errors))
    assert row["status"] == "incomplete"
    assert "(2 of 2 dense seeds, of which results are missing)" in words
    assert said_of(STUDY, store)[0]["status"] == "ok"
    store.record(more.points()[0], {"runs": made_up_rows(more.points()[0], error=0.9)["runs"][2:]}, "cpu")
    assert error_table(STUDY, store)["excess"].max() == pytest.approx(0)  # another sweep's sibling is none of these
    assert error_table(more, store)["excess"].max() == pytest.approx(0.8 / 3)


def test_with_rules_for_filters_the_share_is_one_of_filters(store):
    study = replace(STUDY, pruner="filter-magnitude")
    errors = {(seed, density): 0.0 for seed in (1, 2) for density in (0.1, 0.5)}
    words = said_of(study, filled(store, errors, study))[1]
    assert "at least 0.9 of the filters can go" in words


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"load": "width", "widths": (0.5, 1.0)}, "widths"),
        ({"load": "data_amount", "data_amounts": (300, 900)}, "data amounts"),
    ],
)
def test_of_a_grid_over_other_loads_no_prunability_is_read(store, fields, said):
    spec = replace(PRESETS["smoke"], model="preresnet8", densities=(0.5,), **fields)
    spec.check()
    with pytest.raises(UsageError, match=f"holds a grid over {said}; prunability is read of one over densities"):
        prunability_of(spec, store, 0.01)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"methods": ("lottery-layer",), "sap_p": 1.0}, "--sap-p 1.0: it is of sap alone"),
        ({"methods": ("sap-layer",), "prune_share": 0.3}, "--prune-share 0.3: it is of lottery and one-shot alone"),
        ({"rewind_epoch": "none"}, "--rewind-epoch none: lottery and one-shot rewind"),
    ],
)
def test_an_option_that_no_method_takes_is_refused(changed, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        replace(SPARSITY, **changed).check()
    replace(SPARSITY, methods=("sap-layer",), rewind_epoch="none", sap_p=1.0, sap_q=2.0).check()
