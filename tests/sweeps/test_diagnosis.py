"""Diagnoses: what they want, what they say of what was really trained and of made-up numbers, checkpoints, JSON."""

import json
import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from points import run_plan
from support import run_here

from sweeps.plans.grid_plan import GridPlan
from sweeps.results import diagnosis_answer as answers
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from sweeps.spec.axes import LOADS
from sweeps.spec.changes import changes
from sweeps.spec.diagnosis import Diagnosis
from sweeps.spec.landscape import Landscape
from sweeps.spec.presets import PRESETS
from sweeps.spec.studies import sweep_from_json
from sweeps.spec.study_presets import STUDY_PRESETS
from sweeps.views.diagnosis_words import diagnosis_words, numbers_table
from trainables.stages.machine import Machine

pytestmark = pytest.mark.usefixtures("one_thread")

DIGITS = STUDY_PRESETS[Diagnosis]["digits-diagnosis"]
SMALL = replace(DIGITS, data="digits-first200", model="conv4-8", epochs=2, retrain_seeds=(1, 2), density=0.5)
TYPED = ["--data", "digits-first200", "--model", "conv4-8", "--epochs", 2, "--density", 0.5]
TOLD = ["--lr", 0.1, "--batch-size", 32]
"""How models of checkpoints were trained."""


def trained(study, folder):
    """A store with all that a study wants, and the stages that this took."""
    study.check()
    store = Store(folder)
    store.set_spec(study)
    plan = GridPlan(study.points(), study.measurement, inventory_of(store), others=study.others())
    return store, run_plan(plan, store, Machine(store.artifacts, torch.device("cpu")))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return trained(SMALL, tmp_path_factory.mktemp("diagnosis") / "out")[0]


def say(*words):
    done = run_here("diagnose", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_diagnosis_is_said_again_with_other_thresholds(results, tmp_path):
    said = say(results.folder.path, "--json", tmp_path / "a.json", "--loss-threshold", 50, "--mc-threshold", -1)
    answer = json.loads((tmp_path / "a.json").read_text())
    assert answer["status"] == "ok"
    assert answer["phase"] in ("IV-A", "IV-B")
    assert f"Phase {answer['phase']}: a low training loss, no barrier" in said
    assert answer["pruned"]["regime"] is not None
    assert "Pruned to 0.5: siblings are in Regime" in said
    say(results.folder.path, "--json", tmp_path / "b.json", "--loss-threshold", 1e-9, "--mc-threshold", -1)
    other = json.loads((tmp_path / "b.json").read_text())
    assert (other["phase"], other["numbers"]) == ("II", answer["numbers"])
    assert (other["verdict"], other["to_change"][0]) == ("too hot", "--batch-size 64")


def test_numbers_are_those_of_the_tables(results, tmp_path):
    say(results.folder.path, "--json", tmp_path / "a.json")
    numbers = json.loads((tmp_path / "a.json").read_text())["numbers"]
    (pair,) = results.rows("connections")
    fits = pd.DataFrame(results.rows("curvature"))
    assert numbers["mc"] == {"value": pair["mc"], "low": None, "high": None}
    assert numbers["line_mc"]["value"] == pair["line_mc"]
    for name in ("train_loss", "hessian_trace"):
        assert numbers[name]["value"] == pytest.approx(fits[name].mean())
        assert numbers[name]["low"] < numbers[name]["value"] < numbers[name]["high"]
    error = json.loads((tmp_path / "a.json").read_text())["hessian_trace_se"]
    assert error == pytest.approx(math.hypot(*fits["hessian_trace_se"]) / 2)


def test_what_is_trained_is_not_wanted_again(results):
    said = run_here("diagnose", "--out", results.folder.path, *TYPED, "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "dense models: 2 wanted, 2 stored, 0 to do" in said.stdout
    assert "curvature: 2 dense trainings wanted, 2 stored, 0 to do" in said.stdout


def test_dense_models_and_curves_are_those_of_grids_and_landscapes():
    grid = replace(PRESETS["digits"], temperature="epochs", temperatures=(2,), densities=(0.5,))
    grid = replace(grid, data=SMALL.data, model=SMALL.model, epochs=2)
    assert {stage.point.key for stage in grid.points()} == {stage.point.key for stage in SMALL.points()}
    landscape = STUDY_PRESETS[Landscape]["digits-phases"]
    landscape = replace(landscape, temperatures=(2,), widths=(1,), dense_seeds=(1, 2))
    assert landscape.loss_threshold == SMALL.loss_threshold
    landscape = replace(landscape, data=SMALL.data, model=SMALL.model, epochs=2)
    keys = {stage.key for stage in landscape.others()}
    assert keys == {stage.key for stage in SMALL.others()}


def test_a_diagnosis_is_read_back_as_it_was_written(results):
    assert results.spec() == SMALL
    with_files = replace(SMALL, checkpoints=("a.pt#1", "b.pt#2"))
    assert sweep_from_json(with_files.to_json()) == with_files


def test_axes_are_no_options():
    shown = run_here("diagnose", "--help").stdout
    for name in ("temperature", "temperatures", "load", *(axis.values for axis in LOADS.values())):
        assert f"--{name.replace('_', '-')} " not in shown
    assert "--density" in shown


@pytest.fixture
def files(results, tmp_path):
    """The dense models as files of a user's."""
    for number, file in enumerate(results.artifacts.files("dense"), start=1):
        kept = torch.load(results.artifacts.path / "dense" / file, weights_only=False)
        torch.save(kept["model"], tmp_path / f"{number}.pt")
    return [tmp_path / "1.pt", tmp_path / "2.pt"]


def test_checkpoints_take_the_place_of_training(results, files, tmp_path, monkeypatch):
    """The same models give the same numbers, up to the batches of their curve."""
    import sweeps.running.run_sweep as running

    def carry_out(plan, store, started, *more, **others):
        started()
        return bool(run_plan(plan, store, Machine(store.artifacts, torch.device("cpu"))))

    monkeypatch.setattr(running, "carry_out", carry_out)
    out = tmp_path / "out"
    said = say("--out", out, *TYPED, *TOLD, "--checkpoints", *files, "--json", tmp_path / "a.json")
    assert "Pruned to 0.5: siblings are in Regime" in said
    answer = json.loads((tmp_path / "a.json").read_text())
    assert answer["checkpoints"] == [str(file) for file in files]
    assert answer["dense_seeds"] is None
    say(results.folder.path, "--json", tmp_path / "b.json")
    trained_here = json.loads((tmp_path / "b.json").read_text())
    for name in ("train_loss", "line_mc", "hessian_eigenvalue", "test_error"):
        assert answer["numbers"][name]["value"] == pytest.approx(trained_here["numbers"][name]["value"], rel=1e-4)
    assert said.splitlines()[1] in say(out)
    assert Store(out).rows("dense")[0]["epoch"] == 0


@pytest.mark.parametrize("few", [1, 2])
def test_checkpoints_of_other_models_or_the_same_one_are_told(few, files, tmp_path):
    words = ["--out", tmp_path / "out", *TYPED, *TOLD, "--checkpoints", *files[:few]]
    if few == 2:
        other = torch.load(files[1], weights_only=True)
        name = next(iter(other))
        torch.save(other | {name: other[name][:2]}, files[1])
    done = run_here("diagnose", *words)
    assert done.returncode == 2
    told = "give at least two files" if few == 1 else "2.pt is of another model: "
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    done = run_here(
        "diagnose", "--out", tmp_path / "out", *TYPED, *TOLD, "--checkpoints", files[0], files[0], "--dry-run"
    )
    assert (done.returncode, "it is the same as" in done.stderr) == (2, True)


def test_a_dry_run_with_checkpoints_writes_nothing(files, tmp_path):
    said = say("--out", tmp_path / "out", *TYPED, *TOLD, "--checkpoints", *files, "--dry-run")
    assert "points: 3 wanted, 0 stored, 3 to do" in said
    assert not (tmp_path / "out").exists()


def test_the_general_report_names_the_command(results):
    done = run_here("report", results.folder.path)
    assert done.returncode == 2
    assert f"diagnose.py {results.folder.path} says again" in done.stderr
    assert "3 of 3 points done" in run_here("status", results.folder.path).stdout


def made_up(monkeypatch, study=DIGITS, pruned=None, **values):
    """Answer of a diagnosis with these numbers in its table."""
    row = dict.fromkeys([*answers.NUMBERS, *(f"{n}_{e}" for n in answers.NUMBERS for e in ("low", "high"))], math.nan)
    row |= {"status": "ok", "other_phases": "", "n_models": 2, "n_diverged": 0, "n_pairs": 1, **values}
    monkeypatch.setattr(answers, "landscape_tables", lambda study, store: {"landscape": pd.DataFrame([row])})
    monkeypatch.setattr(answers, "_trace_error", lambda study, store: math.nan)
    if pruned is not None:
        monkeypatch.setattr(answers, "phase_table", lambda *given: pd.DataFrame([pruned]))
        store = type("Empty", (), {"with_added_siblings": lambda self, points: points})()
        return answers.diagnosis_answer(replace(study, density=0.1), store)
    return answers.diagnosis_answer(study, None)


def said_of(monkeypatch, **values):
    return "\n".join(diagnosis_words(made_up(monkeypatch, **values)))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"train_loss": 0.5, "mc": 0.1}, ["Phase II: ", "is too hot", "--batch-size 64; or --lr 0.0333; or --epochs"]),
        ({"train_loss": 0.001, "mc": -0.2}, ["Phase III: ", "is too cold", "--batch-size 16; or --lr 0.3"]),
        (
            {"train_loss": 0.5, "mc": -0.2},
            ["Phase I: ", "too small", "preresnet8, or fewer", "(-0.2000) says: train hotter: --batch-size 16; or"],
        ),
        ({"train_loss": 0.001, "mc": 0.0, "cka": 0.5}, ["Phase IV-A: ", "is fine", "wider model: --model preresnet8,"]),
        ({"train_loss": 0.001, "mc": 0.0, "cka": 0.9}, ["Phase IV-B: ", "is fine", "Change first: nothing"]),
        ({"train_loss": 0.001, "mc": 0.0}, ["Phase IV: ", "is not known"]),
        ({"train_loss": 0.001, "mc": 0.2, "cka": 0.9}, ["Phase IV-B: ", "is too hot", "clearly positive"]),
        ({"train_loss": math.nan, "mc": 0.0}, ["No phase: not all"]),
        ({"train_loss": math.nan, "n_diverged": 2}, ["No phase: 2 of 2 models diverged"]),
    ],
)
def test_words_of_every_phase(values, told, monkeypatch):
    said = said_of(monkeypatch, **values)
    assert not [each for each in told if each not in said], said


def test_a_curve_that_is_trained_for_longer_than_its_ends_is_told(monkeypatch):
    few = replace(DIGITS, batch_size=512)
    assert "But the curve took 1480 steps, and the models 60: " in said_of(
        monkeypatch, study=few, train_loss=0.5, mc=0.1
    )
    assert "But the curve" not in said_of(monkeypatch, study=few, train_loss=0.5, mc=0.01)
    short = replace(few, curve_epochs=1)
    assert "But the curve" not in said_of(monkeypatch, study=short, train_loss=0.5, mc=0.1)


def test_how_sure_it_is_is_said(monkeypatch):
    own = replace(DIGITS, loss_threshold=0.004)  # that of another preset
    said = said_of(monkeypatch, study=own, train_loss=0.5, mc=-0.0025, other_phases="I IV-A")
    assert "loss is 125 times its threshold, mode connectivity 0.0150 above its own; for one pair of models" in said
    assert "also allow phase I and IV-A" in said
    assert "0.004 nats, decides here, and was set for CIFAR10: how low" in said
    monkeypatch.setitem(answers.HITS, "colder", (7, 9, 10, 14))
    said = said_of(monkeypatch, train_loss=0.5, mc=0.0)
    assert "0.04 nats, decides here: how low" in said
    own = replace(DIGITS, loss_threshold=0.02)
    said = said_of(monkeypatch, study=own, train_loss=0.5, mc=0.0, mc_low=-0.1, mc_high=0.1, n_pairs=3)
    assert "0.02 nats, decides here: how low" in said
    assert "has no interval" not in said
    assert "of two neighbours in 7 of 9 cells; of all cells the colder neighbour is better in 10 of 14" in said


@pytest.mark.parametrize(
    ("regime", "change", "contradicts"), [("I", "hotter", True), ("II-A", "colder", False), ("II-B", "none", True)]
)
def test_advice_for_pruning_may_contradict_that_for_the_dense_model(regime, change, contradicts, monkeypatch):
    pruned = {"regime": regime, "status": "ok", "lmc": -0.2, "cka": 0.9, "test_error": 0.1, "dense_test_error": 0.05}
    answer = made_up(monkeypatch, pruned=pruned, train_loss=0.5, mc=0.1)
    said = "\n".join(diagnosis_words(answer))
    assert answer["pruned"]["change"] == change
    assert f"Pruned to 0.1: siblings are in Regime {regime}" in said
    assert ("These two differ: train colder for the model as it is" in said) == contradicts
    said = "\n".join(diagnosis_words(made_up(monkeypatch, pruned=pruned, train_loss=0.5, mc=-0.1)))  # Phase I
    assert ("These two differ: train hotter for the model as it is" in said) == (regime != "I")


def test_siblings_without_a_regime(monkeypatch):
    pruned = {"regime": None, "status": "diverged", "lmc": math.nan, "cka": 0.9} | dict.fromkeys(
        ("test_error", "dense_test_error"), math.nan
    )
    answer = made_up(monkeypatch, pruned=pruned, train_loss=0.5, mc=0.1)
    assert "no regime (diverged)" in "\n".join(diagnosis_words(answer))
    assert json.loads(json.dumps(answer, allow_nan=False))["pruned"]["lmc"] is None


def test_what_is_not_known_is_null_and_a_dash(monkeypatch):
    answer = made_up(monkeypatch, train_loss=0.5, mc=0.1)
    numbers = json.loads(json.dumps(answer, allow_nan=False))["numbers"]
    assert numbers["cka"] == {"value": None, "low": None, "high": None}
    means = list(numbers_table(answer).columns[1].cells)
    assert means[:4] == ["0.5", "0.1", "–", "–"]


@pytest.mark.parametrize(
    ("changed", "change", "options"),
    [
        ({}, "colder", ["--batch-size 64", "--lr 0.0333", "--epochs 40"]),
        ({"batch_size": 600}, "colder", ["--lr 0.0333", "--epochs 40"]),  # of 1,167 images
        ({"rho": 0.1}, "colder", ["--batch-size 64", "--lr 0.0333", "--epochs 40", "--rho 0.05"]),
        ({}, "hotter", ["--batch-size 16", "--lr 0.3"]),
        ({"batch_size": 7}, "hotter", ["--lr 0.3"]),
        ({}, "larger", ["--model preresnet8"]),
        ({"model": "linear"}, "larger", []),
        ({"model": "mymodels:net#1"}, "larger", []),
        ({}, "none", []),
    ],
)
def test_changes_that_apply_to_a_recipe(changed, change, options):
    assert changes(replace(DIGITS, **changed), change) == options


def place(better, loss, advice="none"):
    """A cell of a landscape whose neighbours differ by 0.1 in test error."""
    from diagnosis import Cell, Place

    low, high = {1: 0.1, 2: 0.11}, {1: 0.2, 2: 0.21}
    hotter, colder = (low, high) if better == "hotter" else (high, low)
    cell = Cell({"train_loss": loss}, {1: 0.15, 2: 0.15}, advice)
    return Place(cell, Cell({}, hotter, ""), Cell({}, colder, ""), None)


def test_the_benchmark_counts_advice_that_points_to_the_better_neighbour():
    from diagnosis import fitted, followed, share, wilson

    own = [place("colder", 1.0, "colder"), place("colder", 0.9, "hotter"), place("hotter", 0.1, "larger")]
    assert [each.better for each in own] == ["colder", "colder", "hotter"]
    assert all(each.is_clear for each in own)
    assert share(own, lambda place: place.cell.advice) == (1, 2)
    by_loss = fitted("train_loss", own)
    assert share(own, by_loss) == (3, 3)
    assert share([place("hotter", 2.0)], by_loss) == (0, 1)
    assert fitted("train_loss", []) is None
    assert followed(own, "colder").startswith("1 of 1")
    assert followed(own, "hotter").startswith("0 of 1")
    assert wilson(41, 50) == "41 of 50: 0.82 (0.69 to 0.90)"


def test_models_that_learned_nothing_are_told_before_anything_else(monkeypatch):
    said = list(diagnosis_words(made_up(monkeypatch, train_loss=math.log(10), mc=0.1)))
    assert said[0].startswith("The training loss is no better than guessing")
    said = list(diagnosis_words(made_up(monkeypatch, train_loss=0.9 * math.log(10), mc=0.1)))
    assert said[0].startswith("Phase II")


def test_a_verdict_that_a_threshold_or_an_interval_decides_is_not_firm(monkeypatch):
    assert "too hot." in said_of(monkeypatch, train_loss=0.5, mc=0.1)
    assert "too hot, as far as can be told." in said_of(monkeypatch, train_loss=0.5, mc=0.0)
    assert "as far as can be told" in said_of(monkeypatch, train_loss=0.5, mc=0.1, other_phases="I")
