"""Studies: what they want, what their tables and pictures say of what was really trained, and of what is not there."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from points import run_plan
from support import run_here

from metrics.rank_correlation import rank_correlations
from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from sweeps.results.sweep_file import read_study, read_sweep
from sweeps.spec.errors import NoSweepError
from sweeps.spec.presets import PRESETS
from sweeps.spec.studies import STUDIES, sweep_from_json
from sweeps.spec.study_presets import STUDY_PRESETS
from sweeps.views.charts import Chart, Matrix
from sweeps.views.sparsity_view import story_of
from sweeps.views.study_report import study_picture
from trainables.stages import FilterScoresStage, RoundsStage
from trainables.stages.machine import Machine

pytestmark = pytest.mark.usefixtures("one_thread")

COMMON = {
    "data": "digits-first200",
    "model": "conv4-8",
    "dense_seeds": (1, 2),
    "epochs": 2,
    "batch_size": 32,
    "validation_fraction": 0.0,
}
SMALL = {
    "sparsity": {
        **COMMON,
        "temperatures": (1, 2),
        "rounds": 3,
        "methods": ("sap-global", "lottery-global", "one-shot-global"),
    },
    "importance": {
        **COMMON,
        "temperatures": (1,),
        "retrain_epochs": 2,
        "retrain_seeds": (1, 2),
        "densities": (0.5, 0.75),
        "measures": ("filter-magnitude", "filter-loss", "filter-bn"),
        "rounds": (1, 2),
    },
    "prunability": {
        **COMMON,
        "model": "conv4-8",
        "temperatures": (2,),
        "retrain_seeds": (1, 2),
        "densities": (0.1, 0.5),
        "data_dimensions": (2, 16),
        "tolerance": 0.05,
    },
}
NAMES = list(SMALL)


def small(name):
    kind = STUDIES[name]
    study = replace(next(iter(STUDY_PRESETS[kind].values())), **SMALL[name])
    study.check()
    return study


def plan(study, store):
    return GridPlan(study.points(), study.measurement, inventory_of(store), others=study.others())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folders of small studies that were really trained, by name."""
    folders = {}
    for name in NAMES:
        study, store = small(name), Store(tmp_path_factory.mktemp("studies") / name)
        store.set_spec(study)
        run_plan(plan(study, store), store, Machine(store.artifacts, torch.device("cpu")))
        folders[name] = store.folder.path
    return folders


@pytest.mark.parametrize("name", NAMES)
def test_what_is_trained_is_not_wanted_again(name, results):
    assert plan(small(name), Store(results[name])).left == []


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_read_back_as_it_was_written(name, results):
    folder = Store(results[name]).folder
    assert read_sweep(folder) == read_study(folder, STUDIES[name]) == small(name)
    (other, *_) = set(NAMES) - {name}
    with pytest.raises(NoSweepError, match=f"no {other}.json"):
        read_study(folder, STUDIES[other])


def test_a_study_that_this_version_does_not_know_is_told():
    with pytest.raises(ValueError, match="a study called alchemy"):
        sweep_from_json(json.dumps({"study": "alchemy"}))


@pytest.mark.parametrize("kind", STUDY_PRESETS, ids=lambda kind: kind.name)
def test_all_presets_can_be_run(kind):
    for study in STUDY_PRESETS[kind].values():
        study.check()
        assert sweep_from_json(study.to_json()) == study
        assert all(stage.label.variant for stage in study.points())


def draw(name, folder, *more):
    done = run_here(name, folder, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sparsity_tells_what_each_round_left(results, tmp_path):
    out = draw("sparsity", results["sparsity"], "--picture", tmp_path / "rounds.svg")
    table = pd.read_parquet(results["sparsity"] / "sparsity.parquet")
    assert len(table) == 3 * 2 * 2 * 4  # methods, temperatures, dense seeds, rounds with the dense model
    assert set(table["status"]) == {"ok"}
    assert list(table.columns) == list(pd.read_csv(results["sparsity"] / "sparsity.csv").columns)
    store = Store(results["sparsity"])
    lottery = table[(table["method"] == "lottery-global") & (table["temperature"] == 2) & (table["dense_seed"] == 1)]
    assert lottery["density"].tolist() == pytest.approx([1, 0.8, 0.64, 0.512], abs=0.01)
    one_shot = table[(table["method"] == "one-shot-global") & (table["temperature"] == 2) & (table["dense_seed"] == 1)]
    assert one_shot["density"].tolist() == pytest.approx(lottery["density"].tolist(), abs=0.01)
    assert one_shot["test_error"].iloc[1] == lottery["test_error"].iloc[1]  # the first round of both is the same
    (stage,) = (
        stage
        for stage in small("sparsity").rounds_by_variant()["lottery-global"]
        if stage.label.temperature == 2 and stage.run.seed == 1
    )
    rows = {row["round"]: row for row in store.rows("rounds") if row["pruning"] == stage.key}
    for name in ("test_error", "pq_index", "density"):
        assert lottery[name].tolist()[1:] == [rows[number][name] for number in (1, 2, 3)]
    (dense,) = (row for row in store.rows("dense") if row["dense"] == stage.run.key and row["epoch"] == 2)
    assert lottery["test_error"].iloc[0] == dense["test_error"]
    assert lottery["pq_index"].iloc[0] == dense["pq_index"]
    assert "lottery-global, epochs 2: the PQ Index falls by" in out
    assert (tmp_path / "rounds.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "rounds.csv").read_text().startswith("method,temperature_axis,")
    titles = [chart.title for chart in study_picture(small("sparsity"), store).charts]
    assert titles[:4] == ["Test error", "Weights left", "Test error over density", "PQ Index"]
    assert len(titles) == 4 + 3 * 2


def test_importance_compares_measures_with_the_first(results):
    out = draw("importance", results["importance"])
    study, store = small("importance"), Store(results["importance"])
    table = pd.read_parquet(results["importance"] / "importance.parquet")
    assert len(table) == 3 * 2 * 2
    assert set(table["status"]) == {"ok"}
    cell = table[(table["rounds"] == 1) & (table["load"] == 0.5)].set_index("measure")
    runs = pd.DataFrame(store.rows("runs")).query("status == 'ok'")
    means = {}
    for measure in study.measures:
        points = [
            stage
            for stage in study.points_by_variant()[f"{measure}, 1 round"]
            if stage.label.load == 0.5 and stage.label.temperature == 1
        ]
        means[measure] = np.array([runs[runs["point"] == stage.key]["test_error"].mean() for stage in points])
        assert cell.loc[measure, "test_error_over_seeds"] == pytest.approx(means[measure].mean())
        differences = means[measure] - means["filter-magnitude"]
        assert cell.loc[measure, "difference"] == pytest.approx(differences.mean(), abs=1e-12)
    pruned = pd.DataFrame(store.rows("pruned"))
    keys = {stage.point.pruning.key for stage in study.points_by_variant()["filter-loss, 1 round"]}
    own = pruned[pruned["pruning"].isin(keys) & (pruned["target_density"] == 0.5)]
    change = (own["loss_after"] - own["loss_before"]).mean()
    assert cell.loc["filter-loss", "loss_change"] == pytest.approx(change)
    assert cell.loc["filter-loss", "loss_change_low"] < change < cell.loc["filter-loss", "loss_change_high"]
    correlations = pd.read_parquet(results["importance"] / "importance_correlations.parquet")
    assert len(correlations) == 9
    diagonal = correlations[correlations["measure"] == correlations["other"]]
    assert diagonal["correlation"].tolist() == pytest.approx([1, 1, 1])
    scores = {(row["dense_seed"], row["measure"]): row["scores"] for row in store.rows("filter_scores")}
    both = [rank_correlations([scores[seed, "filter-loss"], scores[seed, "filter-bn"]])[0, 1] for seed in (1, 2)]
    found = correlations.set_index(["measure", "other"]).loc[("filter-loss", "filter-bn")]
    assert found["correlation"] == pytest.approx(np.mean(both))
    assert "epochs 1, 1 round, 50% of filters removed: test error [difference from magnitude] " in out
    charts = study_picture(study, store).charts
    assert sum(isinstance(chart, Matrix) for chart in charts) == 1
    assert sum(isinstance(chart, Chart) for chart in charts) == 2 * 3


def test_prunability_is_what_can_go_within_the_tolerance(results):
    out = draw("prunability", results["prunability"])
    table = pd.read_parquet(results["prunability"] / "prunability.parquet").set_index("dimension")
    assert table.index.tolist() == [2, 16]
    assert set(table["tolerance"]) == {0.05}
    assert 1 < table.loc[2, "data_dimension"] < 2.5 < table.loc[16, "data_dimension"] < 16
    assert "dimension 2 (intrinsic dimension " in out
    all_of_it = draw("prunability", results["prunability"], "--tolerance", 0.9)
    assert "at least 0.9 of the weights can go, with a tolerance of 0.9" in all_of_it
    errors = pd.read_parquet(results["prunability"] / "prunability_errors.parquet")
    assert len(errors) == 2 * 2 * 2
    assert errors["excess"].notna().all()


def test_prunability_is_read_of_a_grid_too(tmp_path):
    spec = replace(
        PRESETS["smoke"], epochs=1, temperatures=(1,), densities=(0.1, 0.5), dense_seeds=(1, 2), retrain_seeds=(1, 2)
    )
    store = Store(tmp_path / "grid")
    store.set_spec(replace(spec, densities=(0.5,)))  # the latest sweep is a part of what there is
    run_plan(
        GridPlan(spec.points(), spec.measurement, inventory_of(store)),
        store,
        Machine(store.artifacts, torch.device("cpu")),
    )
    out = draw("prunability", tmp_path / "grid", "--tolerance", 0.9)
    assert "the data as they are (intrinsic dimension " in out
    assert "at least 0.9 of the weights can go" in out
    assert (tmp_path / "grid" / "prunability.html").is_file()
    assert read_sweep(store.folder) == replace(spec, densities=(0.5,))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_there_yet_is_said_and_nothing_fails(name, results, tmp_path):
    store = Store(tmp_path / name)
    store.set_spec(small(name))
    out = draw(name, tmp_path / name)
    said = {"sparsity": "not all of its rounds", "importance": "no results yet", "prunability": "nothing is known"}
    assert said[name] in out
    status = run_here("status", tmp_path / name)
    count = sum(stage.completes_point for stage in small(name).others()) + len(small(name).points())
    assert f"0 of {count} points done" in status.stdout
    assert f"{count} of {count} points done" in run_here("status", results[name]).stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_general_report_draws_a_study_and_others_name_its_command(name, results, tmp_path):
    picture = tmp_path / "picture.pdf"
    done = run_here("report", results[name], "--out", picture, "--paper-columns", 1)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"%PDF")
    first = picture.read_bytes()
    assert run_here("report", results[name], "--out", picture, "--paper-columns", 1).returncode == 0
    assert picture.read_bytes() == first
    refused = run_here("report", results[name], "--panels", "lmc")
    assert refused.returncode == 2
    assert f"is of {name}.py, which has none" in refused.stderr
    refused = run_here("export", results[name], "--out", tmp_path / "model.pt")
    assert refused.returncode == 2
    assert f"holds the study of {name}.py" in refused.stderr
    (other, *_) = set(NAMES) - {name}
    refused = run_here(other, results[name])
    assert refused.returncode == 2
    assert f"holds the results of {name}.py" in refused.stderr


def test_a_dry_run_counts(results):
    typed = ["--dense-seeds", 1, 2, "--data", "digits-first200", "--model", "conv4-8", "--epochs", 2]
    typed += ["--methods", "sap-global", "lottery-global", "one-shot-global", "--batch-size", 32]
    typed += ["--validation-fraction", 0, "--temperatures", 1, 2]
    done = run_here("sparsity", "--out", results["sparsity"], *typed, "--rounds", 4, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "dense models: 6 wanted, 6 stored, 0 to do\n" in done.stdout  # the initial ones among them
    assert "points: 12 wanted, 0 stored, 12 to do\n" in done.stdout
    done = run_here("sparsity", "--out", results["sparsity"], *typed, "--rounds", 3, "--dry-run")
    assert "points: 12 wanted, 12 stored, 0 to do\n" in done.stdout


def test_a_study_wants_what_is_no_point_once_for_each_dense_model():
    kinds = {name: {type(stage) for stage in small(name).others()} for name in NAMES}
    assert kinds == {"sparsity": {RoundsStage}, "importance": {FilterScoresStage}, "prunability": set()}
    assert len(small("importance").others()) == 2
    assert len(small("sparsity").others()) == 3 * 2 * 2


def test_points_of_studies_are_those_of_grids():
    """So that what a grid trained is not trained again, and the other way round."""
    study = small("importance")
    grid = study.plain(pruner="filter-loss", prune_rounds=1)
    assert {stage.key for stage in grid.points()} <= {stage.key for stage in study.points()}


def test_a_story_of_curves():
    rounds = np.arange(7)
    curves = np.array([[3.0, 2, 1, 2, 4, 3, 2], [3.0, 2, 1, 3, 5, 4, 3]])
    shares = np.tile(0.5**rounds, (2, 1))
    errors = np.array([[0.1, 0.1, 0.09, 0.1, 0.15, 0.2, 0.3], [0.12, 0.11, 0.12, 0.12, 0.171, 0.22, 0.33]])
    story = story_of(curves, shares, errors)
    assert (story.up, story.down) == ((2, 0.25), (4, 0.0625))
    assert [amount.mean for amount in story.moves] == [2, 3.5, 2]
    assert story.onset == (4, 0.0625)
    assert story_of(curves, shares, np.full_like(errors, 0.1)).onset is None
    assert story_of(curves[:1], shares[:1], errors[:1]) is None
    curves[0, 3] = math.nan
    assert story_of(curves, shares, errors) is None


def test_a_folder_that_cannot_be_written_is_drawn_elsewhere(results, tmp_path, monkeypatch):
    """Of other people's results."""
    place = shutil.copytree(results["prunability"], tmp_path / "theirs")
    monkeypatch.chdir(tmp_path)
    from trainables.storage.local_folder import LocalFolder

    own = LocalFolder.write

    def write(self, name, content):
        if self.path == place:
            raise PermissionError(13, "Permission denied")
        return own(self, name, content)

    monkeypatch.setattr(LocalFolder, "write", write)
    out = draw("prunability", place)
    assert "Left out: " in out
    assert (tmp_path / "results" / "theirs_prunability.html").is_file()
