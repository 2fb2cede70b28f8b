"""BLEU of a translation model beside its errors, from tables to pictures and choices; of images there is none."""

import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from points import record
from support import run_here

from metrics.regimes import Thresholds
from sweeps.results.about_model import about_model
from sweeps.results.phase import phase_table
from sweeps.results.phase_schema import PHASE, SCORES
from sweeps.results.store import Store
from sweeps.results.stored_siblings import stored_siblings
from sweeps.results.user_table import phase_of, read_table
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.views.interactive_diagram import draw_json
from sweeps.views.paper import Paper
from sweeps.views.phase_diagram import phase_diagram
from sweeps.views.printed_diagram import draw_printed
from sweeps.views.shades import CIVIDIS
from trainables.stages import DenseStage

SPEC = replace(
    PRESETS["digits-epochs"],
    temperatures=(3, 10),
    densities=(0.1, 0.2),
    dense_seeds=(1, 2),
    retrain_seeds=(1, 2, 3),
    lmc_threshold=-0.05,
)
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0, greedy decoding"
LEVEL = {(3, 0.1): 20.0, (10, 0.1): 12.0, (3, 0.2): 25.0, (10, 0.2): 30.0}
"""BLEU of the cells, of the first sibling of the first dense seed."""


def scores(bleu):
    return {"bleu": bleu, "validation_bleu": bleu - 1, "bleu_signature": SIGNATURE}


def table_of(store, spec=SPEC):
    return phase_table(spec.points(), store, spec.thresholds, spec.measurement)


def cell(table, temperature, load):
    return table[(table["temperature"] == temperature) & (table["load"] == load)].iloc[0]


@pytest.fixture
def filled(store, made_up):
    """All siblings, each with 1 more than the one before, those of the second dense seed with 4 more; and dense models.

    Those of 10 epochs are in Regime I. Errors do not tell temperatures apart.
    """
    store.set_spec(SPEC)
    for stage in SPEC.points():
        seed, epoch = stage.point.dense.seed, stage.point.epoch
        rows = made_up(stage, error=0.5 - 0.1 * stage.label.load, lmc=-0.3 if epoch == 10 else -0.01)
        level = LEVEL[stage.label.temperature, stage.label.load] + 4 * (seed - 1)
        rows["runs"] = [row | scores(level + row["retrain_seed"] - 1) for row in rows["runs"]]
        record(store, stage, rows)
        dense = {"dense": stage.run.key, "epoch": epoch, "status": "ok", "message": "", "seconds": 1.0}
        errors = dict.fromkeys(("train_error", "validation_error", "test_error"), 0.3)
        own = dense | errors | scores(38.0 + 2 * seed if epoch == 3 else 35.0)
        store.record(DenseStage(stage.run, (epoch,)), {"dense": [own]}, "cpu")
    return store


@pytest.fixture
def images(tmp_path, made_up):
    store = Store(tmp_path / "images")
    for stage in SPEC.points():
        record(store, stage, made_up(stage))
    return store


def test_cells_have_means_with_their_standard_errors(filled):
    ours = cell(table_of(filled), 3, 0.1)  # 20, 21, 22 and 24, 25, 26
    assert (ours["bleu"], ours["validation_bleu"]) == pytest.approx((23, 22))
    assert ours["bleu_se"] == ours["validation_bleu_se"] == pytest.approx(math.sqrt(28 / 5 / 6))
    assert ours["bleu_se_dense"] == pytest.approx(2)
    assert (ours["dense_bleu"], ours["dense_validation_bleu"]) == pytest.approx((41, 40))
    assert cell(table_of(filled), 10, 0.2)["dense_bleu"] == pytest.approx(35)
    of_error = table_of(filled)["normalized_test_error"]
    assert of_error.tolist() == [0] * 4


def test_siblings_that_diverged_are_in_no_mean(store, made_up):
    stage = SPEC.points()[0]
    rows = made_up(stage)
    gone = {"status": "diverged", "test_error": math.nan, "bleu": math.nan, "validation_bleu": math.nan}
    rows["runs"] = [row | scores(10.0) | (gone if row["retrain_seed"] == 2 else {}) for row in rows["runs"]]
    record(store, stage, rows)
    ours = cell(table_of(store), stage.label.temperature, stage.label.load)
    assert (ours["bleu"], ours["n_runs"], ours["n_diverged"]) == (10, 2, 1)
    (lost,) = (row for row in store.rows("runs") if row["status"] == "diverged")
    assert math.isnan(lost["bleu"])
    assert lost["bleu_signature"] == SIGNATURE


def test_columns_say_their_unit(filled):
    for table in ("dense", "runs"):
        schema = filled.table(table).schema
        for name in ("bleu", "validation_bleu"):
            assert schema.field(name).metadata[b"unit"] == b"BLEU, in [0, 100]"
        assert b"greedy" in schema.field("bleu_signature").metadata[b"description"]
    assert {PHASE.field(name).metadata[b"unit"] for name in SCORES} == {b"BLEU, in [0, 100]"}


def test_of_images_nothing_is_known_nor_shown(images):
    assert {row["bleu"] for row in images.rows("runs")} == {None}
    assert {row["bleu_signature"] for row in images.rows("runs")} == {None}
    table = table_of(images)
    assert table[[name for name in table if "bleu" in name]].isna().all(axis=None)
    diagram = phase_diagram(table, True, SPEC.thresholds)
    assert [panel.name for panel in diagram.panels] == ["test_error", "normalized_test_error", "lmc", "cka", "regime"]
    assert "bleu" not in "".join([draw_json(diagram, "", ""), *diagram.data]).lower()


def test_nor_where_nothing_is_known_at_all(store):
    panels = phase_diagram(table_of(store), True, SPEC.thresholds).panels
    assert [panel.name for panel in panels] == ["test_error", "normalized_test_error", "lmc", "cka", "regime"]


def test_it_is_drawn_as_a_panel_in_which_high_is_bright(filled):
    diagram = phase_diagram(table_of(filled), True, SPEC.thresholds)
    names = [panel.name for panel in diagram.panels]
    assert names == ["test_error", "normalized_test_error", "bleu", "lmc", "cka", "regime"]
    panel = diagram.panels[names.index("bleu")]
    assert panel.layers[0].values == [[23, 28], [15, 33]]
    assert (panel.colors[1][1], panel.colors[1][0]) == (CIVIDIS[-1], CIVIDIS[0])
    error = diagram.panels[0]
    assert error.colors[0][0] == CIVIDIS[0]  # the highest error
    assert list(diagram.data["bleu_se_dense"]) == pytest.approx([2] * 4)
    assert "bleu 23.00 ± 0.97 over siblings, ± 2.00 over dense seeds" in diagram.hover[0][0]
    assert "validation_bleu 22.00" in diagram.hover[0][0]
    assert "dense_validation_bleu 40.00" in diagram.hover[0][0]
    assert "BLEU of the test pairs" in draw_json(diagram, "", "")
    alone = phase_diagram(table_of(filled), True, SPEC.thresholds, ["bleu"])
    assert draw_printed(alone, "", "svg", Paper()) != draw_printed(replace(alone, panels=[error]), "", "svg", Paper())


ROWS = """temperature,density,lmc,test_error,validation_bleu,bleu,dense_bleu,dense_validation_bleu
1,0.1,-0.01,0.3,20,21,30,31
2,0.1,-0.2,0.3,24,25,34,33
4,0.1,-0.2,0.3,28,20,32,35
"""
"""Of a user; the boundary is 1."""


@pytest.fixture
def measured(tmp_path):
    (tmp_path / "measured.csv").write_text(ROWS)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "chosen", "reason"),
    [
        (("--select-by", "bleu"), 2, "where bleu is highest, which outweighs that 1 is the boundary"),
        (("--select-by", "validation_bleu"), 4, "where validation_bleu is highest, which outweighs that 1 is"),
        (("--select-by", "bleu", "--choose", "best-visited"), 2, "where bleu is highest"),
        (("--select-by", "train_error"), 1, "the boundary"),
    ],
)
def test_the_temperature_of_the_highest_is_chosen(measured, options, chosen, reason):
    search = "--strategy", "step", "--lmc-threshold=-0.05", "--json", "answers.json", "--picture", "way.html"
    done = run_here("tune_temperature", "--replay", "measured.csv", *search, *options, cwd=measured)
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads((measured / "answers.json").read_text())
    assert [visit["temperature"] for visit in answer["visited"]] == [4, 2, 1]
    assert answer["chosen_temperature"] == chosen
    assert answer["reason"].startswith(reason)
    assert [visit["bleu"] for visit in answer["visited"]] == [20, 25, 21]
    if options == ("--select-by", "bleu"):
        assert [visit["weighed_error"] for visit in answer["visited"]] == pytest.approx([20, 25, 21])
    assert answer["chosen_bleu"] == {1: 21, 2: 25, 4: 20}[chosen]
    assert "BLEU" in done.stdout
    assert f"{answer['chosen_bleu']:.2f}" in done.stdout


def test_a_search_of_what_is_stored_chooses_by_it_too(filled, tmp_path):
    search = "--replay", str(filled.folder), "--lmc-threshold=-0.05", "--json", "answers.json"
    for options, chosen in ((), (3, 3)), (("--select-by", "validation_bleu"), (3, 10)):
        done = run_here("tune_temperature", *search, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / "answers.json").read_text())
        assert tuple(answer["chosen_temperature"] for answer in found) == chosen


@pytest.mark.parametrize(
    ("name", "chosen", "said"),
    [
        ("dense_bleu", 2, "Dense BLEU: dense_bleu, so the test pairs choose, and judge what they chose."),
        ("dense_validation_bleu", 4, "Dense BLEU: dense_validation_bleu."),
    ],
)
def test_the_model_of_the_highest_is_selected(measured, name, chosen, said):
    done = run_here("select_model", "--replay", "measured.csv", "--json", "a.json", "--select-by", name, cwd=measured)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    (answer,) = json.loads((measured / "a.json").read_text())
    first, second, *_ = answer["selections"]
    assert (first["method"], first["temperature"], first["select_by"]) == ("dense BLEU", chosen, name)
    assert first["reason"] == f"highest {name.replace('_', ' ')}"
    assert (second["method"], second["temperature"]) == ("Algorithm 2", 1)  # the others are in Regime I
    assert first["bleu"] == {2: 25, 4: 20}[chosen]


def test_a_table_of_ones_own_may_bring_it(measured):
    table = phase_of(read_table(str(measured / "measured.csv")), "epochs", Thresholds(-0.05, 0.98))
    assert list(table["bleu"]) == [21, 25, 20]
    assert list(phase_diagram(table, True, Thresholds(-0.05, 0.98)).panels)[2].name == "bleu"
    (measured / "gap.csv").write_text(ROWS.replace("20,21", "20,"))
    assert math.isnan(read_table(str(measured / "gap.csv"))["bleu"][0])
    (measured / "much.csv").write_text(ROWS.replace("20,21", "20,121"))
    with pytest.raises(UsageError, match=r"row 1: bleu is 121; BLEU is in \[0, 100\]."):
        read_table(str(measured / "much.csv"))
    done = run_here("report", "measured.csv", "--panels", "bleu", "--out", "picture.svg", cwd=measured)
    assert done.returncode == 0, done.stderr
    assert list(pd.read_csv(measured / "picture.csv")["bleu"]) == [21, 25, 20]


def test_what_is_exported_says_it_where_there_is_one(filled, images):
    for store, known in (filled, {"validation_bleu": 19.0, "bleu": 20.0, "bleu_signature": SIGNATURE}), (images, {}):
        sibling = stored_siblings(SPEC.points(), store)[0]
        about = about_model(sibling, None, {}, {})
        assert {name: value for name, value in about.items() if "bleu" in name} == known
