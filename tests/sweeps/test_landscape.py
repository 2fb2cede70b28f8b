"""The landscape of dense models: what it wants and shares, and what its table says of results made up and real."""

import math
import statistics
from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest
import torch
from points import run_plan
from support import run_here

from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.landscape_schema import LANDSCAPE
from sweeps.results.landscape_table import landscape_tables
from sweeps.results.store import Store
from sweeps.spec.landscape import Landscape
from sweeps.spec.studies import sweep_from_json
from sweeps.spec.study_presets import DIGITS_PHASES, PAPER_PHASES, STUDY_PRESETS
from trainables.data import training_samples
from trainables.stages import ConnectionStage, CurvatureStage, DenseStage, finish
from trainables.stages.machine import Machine
from trainables.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("one_thread")

STUDY = replace(
    DIGITS_PHASES,
    data="digits-first200",
    model="conv4-8",
    temperatures=(1, 2),
    widths=(1, 2),
    dense_seeds=(1, 2, 3),
    epochs=2,
    batch_size=32,
    validation_fraction=0.1,
    path_points=3,
    cka_images=64,
    hessian_images=40,
    hessian_products=6,
    curve_epochs=None,
    curve_lr=None,
    curve_batch_size=128,
    loss_threshold=0.1,
    mc_threshold=-0.25,
    cka_threshold=0.5,
)
STUDENT = 4.302652729749462
"""Of a 95 % interval with 2 degrees of freedom."""


def plan(study, store):
    return GridPlan(study.points(), study.measurement, inventory_of(store), others=study.others())


def carry_out(study, store, keep="siblings"):
    """Kinds of the stages that were carried out, and how many."""
    store.set_spec(study)
    machine = replace(Machine(store.artifacts, torch.device("cpu")), keep=keep)
    done = run_plan(plan(study, store), store, machine)
    return Counter(stage.kind for stage in done)


def table_of(study, store):
    return landscape_tables(study, store)["landscape"].set_index(["temperature", "load"])


# What it wants.


def test_it_wants_a_ring_of_pairs_in_each_cell_and_the_curvature_of_each_training():
    study = replace(STUDY, dense_seeds=(3, 1, 2, 4))
    study.check()
    connections, curvatures = study.connections(), study.curvatures()
    assert study.points() == []
    assert study.others() == [*connections, *curvatures]
    assert [(stage.label.temperature, stage.label.load) for stage in connections] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert {stage.pairs for stage in connections} == {((1, 2), (1, 4), (2, 3), (3, 4))}
    assert [stage.epoch for stage in connections] == [1, 1, 2, 2]
    assert [stage.run.model for stage in connections] == ["conv4-8", "conv4-8-w2"] * 2
    assert {(stage.run.seed, stage.run.model) for stage in curvatures} == {
        (seed, model) for seed in (1, 2, 3, 4) for model in ("conv4-8", "conv4-8-w2")
    }
    assert {stage.epochs for stage in curvatures} == {(1, 2)}  # one training has both temperatures
    assert {need for stage in study.others() for need in stage.needs} >= {
        DenseStage(stage.run, stage.epochs) for stage in curvatures
    }


def test_of_a_batch_size_axis_each_temperature_is_a_training_of_its_own():
    study = replace(STUDY, temperature="batch_size", temperatures=(16, 32))
    assert len(study.curvatures()) == 2 * 2 * 3
    assert {stage.epochs for stage in study.curvatures()} == {(2,)} | {
        (stage.point.epoch,) for stage in study.tried([])
    }


def test_with_fixed_epochs_all_batch_sizes_train_equally_long():
    study = replace(STUDY, temperature="batch_size", temperatures=(16, 64), fixed="epochs", epochs=4)
    study.check()
    recipes = {stage.label.temperature: stage.run.recipe for stage in study.connections()}
    assert {stage.epoch for stage in study.connections()} == {4}
    assert [recipes[size].iterations for size in (16, 64)] == [4 * (180 // 16), 4 * (180 // 64)]
    assert {stage.curve for stage in study.connections()} == {study.curve_recipe(study.connections()[0].run)}


def test_the_load_may_be_the_amount_of_data():
    study = replace(STUDY, load="data_amount", widths=(), data_amounts=(50, 200))
    study.check()
    assert [stage.run.data for stage in study.connections()] == ["digits-first50", "digits-first200"] * 2
    assert [stage.curve.batch_size for stage in study.connections()] == [45, 128] * 2  # a tenth is held out
    assert {stage.run.model for stage in study.connections()} == {"conv4-8"}


def test_curves_are_trained_as_published():
    """Yang et al. 2021: half of the epochs, a tenth of the learning rate, 128 images, whatever the temperature."""
    study = replace(STUDY, epochs=100, lr=0.1, milestones=(0.5,), warmup=0.1, rho=0.05, data="digits")
    run = study.connections()[0].run
    curve = study.curve_recipe(run)
    assert (curve.epochs, curve.batch_size, curve.schedule) == (50, 128, "constant-linear")
    assert curve.lr == pytest.approx(0.01)
    assert (curve.warmup, curve.rho, curve.iterations, curve.milestones) == (0, 0, None, Recipe.milestones)
    assert (curve.momentum, curve.weight_decay) == (study.momentum, study.weight_decay)
    own = replace(study, curve_epochs=7, curve_lr=0.3, curve_batch_size=20).curve_recipe(run)
    assert (own.epochs, own.lr, own.batch_size) == (7, 0.3, 20)
    assert replace(study, epochs=1).curve_recipe(run).epochs == 1
    small = replace(study, data="digits-first100").connections()[0]
    assert small.curve.batch_size == training_samples("digits-first100", 0.1) == 90


def test_curves_are_the_same_at_all_temperatures():
    for name in ("lr", "rho", "batch_size"):
        study = replace(STUDY, temperature=name, temperatures=(16, 32), momentum=0.5)
        assert len({stage.curve for stage in study.connections()}) == 1


def test_keys_are_frozen():
    """Results on people's disks are found by these."""
    assert STUDY.connections()[0].part_columns((1, 2)) == {
        "curve": "dcb9f87fb4225ed8cc0c",
        "first_seed": 1,
        "second_seed": 2,
        "measurement": "207f82285f6cf5af1be9",
    }
    assert STUDY.curvatures()[0].part_columns(2) == {
        "dense": "7ff979840d93377f4c36",
        "epoch": 2,
        "measurement": "318a33ed6a5886684a1c",
    }


def test_how_results_are_read_is_in_no_key():
    other = replace(STUDY, loss_threshold=0.5, mc_threshold=-0.5, cka_threshold=0.1)
    assert [stage.key for stage in other.others()] == [stage.key for stage in STUDY.others()]
    longer = replace(STUDY, curve_epochs=3)
    assert {stage.key for stage in longer.curvatures()} == {stage.key for stage in STUDY.curvatures()}
    assert not {stage.key for stage in longer.connections()} & {stage.key for stage in STUDY.connections()}


@pytest.mark.parametrize("name", STUDY_PRESETS[Landscape])
def test_presets_can_be_run_and_read_back(name):
    study = STUDY_PRESETS[Landscape][name]
    study.check()
    assert sweep_from_json(study.to_json()) == study
    assert len(study.connections()) == len(study.temperatures) * len(study.loads)
    assert all(len(stage.pairs) == len(study.dense_seeds) for stage in study.connections())


def test_the_published_grid_has_their_sizes():
    assert (len(PAPER_PHASES.temperatures), len(PAPER_PHASES.widths), len(PAPER_PHASES.dense_seeds)) == (13, 13, 5)
    assert PAPER_PHASES.curve_recipe(PAPER_PHASES.connections()[0].run).epochs == 50


# What it trains, and shares.


@pytest.fixture(scope="module")
def trained(tmp_path_factory, one_thread):
    """A small landscape of two seeds, to which a third was added: the store, and what was carried out for each."""
    store = Store(tmp_path_factory.mktemp("landscape") / "results")
    first = carry_out(replace(STUDY, dense_seeds=(1, 2)), store)
    before = {name: store.rows(name) for name in ("dense", "curvature", "connections")}
    return store, first, before, carry_out(STUDY, store)


def test_a_seed_that_is_added_trains_nothing_again(trained):
    store, first, before, added = trained
    assert first == {"dense": 2 * 2, "curvature": 2 * 2, "connection": 4}
    assert added == {"dense": 2, "curvature": 2, "connection": 4}
    for name, rows in before.items():
        now = store.rows(name)
        assert all(row in now for row in rows), name
    assert {(row["first_seed"], row["second_seed"]) for row in store.rows("connections")} == {(1, 2), (1, 3), (2, 3)}
    assert plan(STUDY, store).left == []
    assert plan(replace(STUDY, dense_seeds=(1, 2)), store).left == []


def test_a_table_of_real_results(trained):
    store, *_ = trained
    table = table_of(STUDY, store)
    assert list(landscape_tables(STUDY, store)["landscape"].columns) == LANDSCAPE.names
    assert set(table["status"]) == {"ok"}
    assert list(table.index) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert (table[["n_models", "n_pairs", "n_diverged"]] == (3, 3, 0)).all(axis=None)
    stage = STUDY.connections()[-1]
    keys = [run.key for run in stage.runs]
    for name, columns in (("curvature", ("train_loss", "hessian_trace")), ("dense", ("test_error", "train_error"))):
        rows = [row for row in store.rows(name) if row["dense"] in keys and row["epoch"] == 2]
        for column in columns:
            assert table.loc[(2, 2), column] == pytest.approx(sum(row[column] for row in rows) / 3)
    pairs = [row for row in store.rows("connections") if row["curve"] == stage.connected.key]
    for column in ("mc", "line_mc", "cka"):
        assert table.loc[(2, 2), column] == pytest.approx(sum(row[column] for row in pairs) / 3)
        assert table.loc[(2, 2), f"{column}_low"] <= table.loc[(2, 2), column] <= table.loc[(2, 2), f"{column}_high"]


def test_dense_models_are_those_of_a_grid_whichever_was_first(trained, tmp_path):
    store, *_ = trained
    grid = STUDY.plain(densities=(0.5,), retrain_seeds=(1, 2), cka_threshold=0.9, lmc_threshold=-0.05)
    grid.check()
    left = Counter(stage.kind for stage in GridPlan(grid.points(), grid.measurement, inventory_of(store)).left)
    assert left == {"point": 2 * 2 * 3, "measurement": 2 * 2 * 3}

    other = Store(tmp_path / "grid")
    small = replace(grid, temperatures=(2,), widths=(1,), dense_seeds=(1, 2))
    run_plan(
        GridPlan(small.points(), small.measurement, inventory_of(other)),
        other,
        Machine(other.artifacts, torch.device("cpu")),
    )
    study = replace(STUDY, temperatures=(2,), widths=(1,), dense_seeds=(1, 2))
    assert carry_out(study, other) == {"connection": 1, "curvature": 2}
    table = table_of(study, store)
    assert table.drop(columns=["temperature_axis"]).equals(table_of(study, other).drop(columns=["temperature_axis"]))


def test_other_thresholds_read_the_same_results(trained):
    store, *_ = trained
    table = table_of(STUDY, store)
    strict = table_of(replace(STUDY, loss_threshold=1e-9, mc_threshold=-1.0), store)
    assert set(strict["phase"]) == {"II"}
    assert set(strict["loss_threshold"]) == {1e-9}
    numbers = ["train_loss", "mc", "mc_low", "cka", "hessian_trace"]
    assert strict[numbers].equals(table[numbers])
    assert plan(replace(STUDY, loss_threshold=1e-9), store).left == []


def test_other_settings_measure_again_and_train_nothing(trained, tmp_path):
    study = replace(STUDY, temperatures=(1,), widths=(1,), dense_seeds=(1, 2))
    store = Store(tmp_path / "results")
    carry_out(study, store)
    assert carry_out(replace(study, hessian_products=9), store) == {"curvature": 2}
    finer = replace(study, path_points=5)
    assert carry_out(finer, store) == {"connection": 1}
    assert len(store.rows("connections")) == 2
    assert len(list(store.artifacts.files("curves"))) == 1
    assert table_of(finer, store).loc[(1, 1), "status"] == table_of(study, store).loc[(1, 1), "status"] == "ok"


def test_with_keep_nothing_the_table_is_the_same_and_curves_are_gone(trained, tmp_path):
    store, *_ = trained
    study = replace(STUDY, temperatures=(2,), widths=(1,))
    other = Store(tmp_path / "results")
    carry_out(study, other, keep="nothing")
    assert list(other.artifacts.files("curves")) == []
    assert len(list(store.artifacts.files("curves"))) == 3 * 4
    assert table_of(study, other).equals(table_of(study, store))
    assert plan(study, Store(other.folder.path)).left == []


def test_the_command_draws_what_is_stored_and_its_tables(trained):
    store, *_ = trained
    store.set_spec(STUDY)
    done = run_here("landscape", store.folder.path, "--loss-threshold", 9)
    assert done.returncode == 0, done.stderr
    written = pd.read_parquet(store.folder.path / "landscape.parquet")
    assert written.equals(landscape_tables(replace(STUDY, loss_threshold=9.0), store)["landscape"])
    assert "Cells in each phase: I 0, II 0, III " in done.stdout
    assert "4 of 4 points done" in run_here("status", store.folder.path).stdout


# What its table says of results that are made up.

LOSSES = {1: 0.1, 2: 0.2, 3: 0.3}
PAIRS = {(1, 2): -0.1, (1, 3): -0.2, (2, 3): -0.3}
CELL = replace(STUDY, temperatures=(2,), widths=(1,))


def record_models(store, losses, status="ok"):
    """Curvature and dense models of one cell, with these training losses by seed."""
    for stage in CELL.curvatures():
        if stage.run.seed in losses:
            loss = losses[stage.run.seed]
            row = {"status": status, "message": "", "seconds": 1.0, "train_loss": loss, "train_error": loss / 10}
            values = {"hessian_eigenvalue": 10 * loss, "hessian_trace": 100 * loss, "hessian_trace_se": 0.0}
            store.record(stage, {"curvature": [stage.part_columns(2) | row | values]}, "cpu")
            dense = {"dense": stage.run.key, "epoch": 2, "test_error": loss, "validation_error": 2 * loss}
            own = {name: row[name] for name in ("status", "message", "seconds")}
            store.record(DenseStage(stage.run, (2,)), {"dense": [dense | own]}, "cpu")


def record_pairs(store, pairs, status="ok", study=CELL):
    """Pairs with this mode connectivity."""
    (stage,) = study.connections()
    common = {"status": status, "message": "", "seconds": 1.0}
    rows = [
        stage.part_columns(pair) | common | {"mc": mc, "line_mc": 2 * mc, "cka": 1 + mc, "losses": [1.0]}
        for pair, mc in pairs.items()
    ]
    store.record(stage, {"connections": rows}, "cpu")


def cell(store, study=CELL):
    (row,) = landscape_tables(study, store)["landscape"].to_dict("records")
    return row


def test_means_and_their_intervals(store):
    record_models(store, LOSSES)
    record_pairs(store, PAIRS)
    row = cell(store)
    logarithms = [math.log(loss) for loss in (0.1, 0.2, 0.3)]
    middle, factor = math.exp(statistics.mean(logarithms)), STUDENT * statistics.stdev(logarithms) / math.sqrt(3)
    ends = middle * math.exp(-factor), middle * math.exp(factor)
    assert (row["train_loss"], row["train_loss_low"], row["train_loss_high"]) == pytest.approx((0.2, *ends))
    assert row["hessian_eigenvalue"] == pytest.approx(2)
    assert row["hessian_trace_high"] / row["hessian_trace"] == pytest.approx(ends[1] / 0.2)
    assert (row["test_error"], row["validation_error"], row["train_error"]) == pytest.approx((0.2, 0.4, 0.02))
    # Leaving out a model leaves one pair: (3 - 1) times their variance, times (1 + 2 / 4) / (1 + 2 / 1).
    half = STUDENT * math.sqrt((0.1**2 + 0.1**2) / 3)
    assert (row["mc"], row["mc_low"], row["mc_high"]) == pytest.approx((-0.2, -0.2 - half, -0.2 + half))
    assert (row["line_mc"], row["line_mc_high"]) == pytest.approx((-0.4, -0.4 + 2 * half))
    # Of similarity the share of a pair's own noise is 0.8: (1 + 0.8 / 4) / (1 + 0.8 / 1).
    half = STUDENT * math.sqrt(2 * (0.02 / 3) * 1.2 / 1.8)
    assert (row["cka"], row["cka_low"]) == pytest.approx((0.8, 0.8 - half))
    assert (row["status"], row["n_models"], row["n_pairs"], row["n_diverged"]) == ("ok", 3, 3, 0)


def test_the_phase_is_that_of_the_means_and_others_are_those_of_the_intervals(store):
    record_models(store, LOSSES)
    record_pairs(store, PAIRS)
    row = cell(store)
    assert row["phase"] == "II"  # a loss of 0.2 above 0.1, and -0.2 above -0.25
    assert row["other_phases"].split() == ["I", "III", "IV-A", "IV-B"]
    assert cell(store, replace(CELL, mc_threshold=-0.1))["phase"] == "I"
    assert cell(store, replace(CELL, loss_threshold=0.2))["phase"] == "IV-B"
    assert cell(store, replace(CELL, loss_threshold=0.2, cka_threshold=0.81))["phase"] == "IV-A"


def test_where_no_interval_has_a_border_in_it_no_other_phase_is_possible(store):
    record_models(store, {1: 0.19, 2: 0.2, 3: 0.21})
    record_pairs(store, PAIRS)
    assert (cell(store)["phase"], cell(store)["other_phases"]) == ("II", "I")
    sure = cell(store, replace(CELL, mc_threshold=-1.0))
    assert (sure["phase"], sure["other_phases"]) == ("II", "")


def test_two_models_have_no_interval_of_their_pair(store):
    two = replace(CELL, dense_seeds=(1, 2))
    record_models(store, {1: 0.1, 2: 0.3})
    record_pairs(store, {(1, 2): -0.1}, study=two)
    row = cell(store, two)
    assert row["status"] == "ok"
    assert row["mc"] == pytest.approx(-0.1)
    assert math.isnan(row["mc_low"])
    assert math.isnan(row["cka_high"])
    assert row["train_loss_low"] < row["train_loss"] == pytest.approx(0.2)


def test_a_cell_without_results_is_missing(store):
    row = cell(store)
    assert (row["status"], row["other_phases"], row["n_models"]) == ("missing", "", 0)
    assert pd.isna(row["phase"])
    numbers = [field.name for field in LANDSCAPE if field.name.startswith(("train_loss", "mc", "cka", "hessian"))]
    numbers = [name for name in numbers if not name.endswith("threshold")]
    assert len(numbers) == 15
    assert all(math.isnan(row[name]) for name in numbers)


def test_a_cell_of_which_something_is_there_is_incomplete(store):
    record_models(store, {1: 0.1})
    assert cell(store)["status"] == "incomplete"
    assert pd.isna(cell(store)["phase"])
    record_models(store, LOSSES)
    record_pairs(store, {(1, 2): -0.1})
    row = cell(store)
    assert (row["status"], row["n_pairs"], row["phase"]) == ("incomplete", 1, "II")
    record_pairs(store, PAIRS)
    assert cell(store)["status"] == "ok"


def test_what_diverged_is_counted_and_in_no_mean(store):
    record_models(store, {1: 0.1, 2: 0.3})
    record_models(store, {3: math.nan}, status="diverged")
    record_pairs(store, {(1, 2): -0.1})
    record_pairs(store, {(1, 3): math.nan, (2, 3): math.nan}, status="diverged")
    row = cell(store)
    assert (row["status"], row["n_models"], row["n_diverged"], row["n_pairs"]) == ("diverged", 2, 1, 1)
    assert (row["train_loss"], row["mc"], row["test_error"]) == pytest.approx((0.2, -0.1, 0.2))
    assert row["phase"] == "II"


def test_without_similarity_the_phase_is_four(store):
    record_models(store, dict.fromkeys(LOSSES, 0.01))
    (stage,) = CELL.connections()
    row = {"status": "ok", "message": "", "seconds": 1.0, "mc": 0.0, "line_mc": 0.0, "cka": math.nan}
    store.record(stage, {"connections": [stage.part_columns(pair) | row for pair in stage.pairs]}, "cpu")
    assert cell(store)["phase"] == "IV"
    assert math.isnan(cell(store)["cka"])


@pytest.mark.parametrize("kind", [ConnectionStage, CurvatureStage, DenseStage])
def test_a_cell_of_which_something_failed_is_failed_until_it_is_mended(kind, store):
    to_do = plan(CELL, store)
    (failing, *_) = [stage for stage in to_do.left if isinstance(stage, kind)]
    machine = Machine(store.artifacts, torch.device("cpu"))
    store.set_spec(CELL)
    while (stage := to_do.ask()) is not None:
        if stage.id == failing.id:
            store.record_failure(stage, "no luck")
            store.record_lost(to_do.tell(stage, "failed", "no luck"))
        else:
            store.record(stage, finish(stage.execute(machine)), "cpu")
            to_do.tell(stage, "ok")
    assert cell(store)["status"] == "failed"
    if kind is not CurvatureStage:  # which is of no point
        assert "no luck" in run_here("status", store.folder.path).stdout
    carry_out(CELL, store)
    assert cell(store)["status"] == "ok"


def test_another_load_leaves_the_values_of_the_presets_own():
    said = run_here("landscape", "--out", "new", "--load", "data_amount", "--data-amounts", 100, 200, "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "points: 10 wanted" in said.stdout


def test_intervals_have_no_values_that_there_cannot_be(store):
    record_models(store, LOSSES)
    record_pairs(store, {(1, 2): -0.9, (1, 3): -0.1, (2, 3): 0.0})
    row = cell(store)
    assert (row["mc_low"], row["cka_high"]) == (-1, 1)
    assert row["mc_low"] <= row["mc"] <= row["mc_high"] <= 1
