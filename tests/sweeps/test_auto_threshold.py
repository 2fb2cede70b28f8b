"""``--lmc-threshold auto``: a table decides which LMC parts the regimes, and all that shows it says which."""

import json
import math
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from points import record
from support import ROOT, run_here

from metrics.regimes import Thresholds
from sweeps.results.phase import phase_table, resolved, threshold_note, with_regimes
from sweeps.results.recorded import check_recorded, open_recorded
from sweeps.results.store import Store
from sweeps.results.user_table import phase_of
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.spec.spec import SweepSpec
from sweeps.views.phase_report import Look, diagram_of
from trainables.stages import DenseStage
from trainables.stages.dense import dense_name
from trainables.storage.local_folder import LocalFolder

RECORDED = ROOT / "tests" / "sweeps" / "recorded"
AUTO = Thresholds("auto", 0.98)
SPEC = replace(PRESETS["smoke"], lmc_threshold="auto")


def number(lmc, **columns):
    return resolved(AUTO, pd.DataFrame({"lmc": lmc} | columns)).lmc


@pytest.fixture
def swept(tmp_path, made_up):
    """Complete results of the smoke preset: barriers of 0.16 and 0.24 at its smaller density alone."""
    store = Store(tmp_path / "swept")
    store.set_spec(SPEC)
    for stage in SPEC.points():
        run, epoch = stage.point.dense, stage.point.epoch
        row = {"dense": run.key, "epoch": epoch, "status": "ok", "message": "", "seconds": 1.0, "test_error": 0.1}
        store.record(DenseStage(run, (epoch,)), {"dense": [row | {"losses": [1.0] * epoch}]}, "cpu")
        LocalFolder(tmp_path / "swept").write(f"artifacts/dense/{run.key}/{dense_name(epoch)}.pt", b"no model")
        barrier = 0.16 if stage.label.temperature == min(SPEC.temperatures) else 0.24
        record(store, stage, made_up(stage, lmc=-barrier if stage.label.load == min(SPEC.loads) else -0.01))
    return tmp_path


SAID = "LMC threshold: -0.0625 (auto: between 2 cells with barriers of 0.01 and 2 of 0.2, on average)\n"


def test_the_table_decides_and_says_which_number_it_was():
    table = pd.DataFrame({"lmc": [-0.01, -0.01, -0.16, -0.24], "test_error": [0.3] * 4})
    thresholds = resolved(AUTO, table)
    assert thresholds == Thresholds(pytest.approx(-0.0625), 0.98)
    assert threshold_note(thresholds) == SAID.strip()
    assert resolved(thresholds, table[:1]) is thresholds


def test_a_number_that_was_given_stays():
    given = Thresholds(-0.05, 0.98)
    assert resolved(given, pd.DataFrame()) is given
    assert threshold_note(given) == ""


def test_validation_errors_count_where_they_are_known_of_all_cells():
    assert number([-0.2] * 3, validation_error=[0.4] * 3, test_error=[0.8] * 3) == pytest.approx(-0.1)
    assert number([-0.2] * 3, validation_error=[0.4, 0.4, math.nan], test_error=[0.8] * 3) == pytest.approx(-0.2)
    unknown = {"validation_error": [0.4, 0.4, math.nan], "test_error": [0.8, 0.8, math.nan]}
    assert number([-0.2, -0.2, math.nan], **unknown) == pytest.approx(-0.1)


def test_what_is_not_in_a_table_is_not_known():
    assert number([-0.2] * 3) == -0.05
    assert number([-0.2, -0.01, -0.01], n_diverged=[5, 0, 0]) < -0.05
    assert resolved(AUTO, pd.DataFrame()).lmc == resolved(AUTO, pd.DataFrame({"test_error": []})).lmc == -0.05


def test_cells_of_which_too_many_siblings_diverged_do_not_count():
    cells = {"test_error": [0.2, 0.2, 0.2, 0.9], "n_runs": [6, 5, 6, 4], "n_diverged": [0, 1, 0, 2]}
    assert number([-0.01, -0.01, -0.01, -0.5], **cells) == pytest.approx(-0.05)
    cells["n_diverged"] = [0, 0, 0, 1]
    assert number([-0.01, -0.01, -0.01, -0.5], **cells) < -0.1


def test_regimes_are_those_of_the_number_that_is_told():
    past = open_recorded(str(RECORDED / "fashion-sam.csv"), None)
    auto = past.table(AUTO)
    (lmc,) = set(auto["lmc_threshold"])
    pd.testing.assert_frame_equal(auto, past.table(Thresholds(lmc, 0.98)))
    assert ((auto["regime"] == "I") == (auto["lmc"] < lmc)).all()
    assert set(past.table(Thresholds(-0.05, 0.98))["lmc_threshold"]) == {-0.05}


@pytest.mark.parametrize("name", ["digits", "digits-epochs", "fashion-batch-size", "fashion-epochs", "fashion-sam"])
def test_errors_that_are_all_smaller_leave_the_regimes_as_they_are(name):
    rows = open_recorded(str(RECORDED / f"{name}.csv"), None).rows
    errors = [column for column in rows if str(column).startswith("lmc") or str(column).endswith("_error")]
    whole = phase_of(rows, "epochs", AUTO)
    small = phase_of(rows.assign(**{column: rows[column] * 0.01 for column in errors}), "epochs", AUTO)
    assert list(small["lmc_threshold"]) == pytest.approx(list(whole["lmc_threshold"] * 0.01))
    assert list(small["regime"]) == list(whole["regime"])
    assert {"I", "II-A", "II-B"} == set(whole["regime"])


def test_without_cka_connected_is_what_the_table_decides():
    rows = {"temperature": [1.0, 2.0, 3.0, 4.0], "density": [0.1] * 4}
    rows |= {"lmc": [-0.01, -0.02, -0.16, -0.24], "test_error": [0.1] * 4}
    assert list(phase_of(pd.DataFrame(rows), "epochs", AUTO)["regime"]) == ["II", "II", "I", "I"]


def test_a_report_of_a_table_says_the_number_and_writes_it(tmp_path):
    words = "--lmc-threshold", "auto", "--table", "x.parquet"
    done = run_here("report", RECORDED / "fashion-sam.csv", *words, "--out", "auto.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = pd.read_parquet(tmp_path / "x.parquet")
    (lmc,) = set(told["lmc_threshold"])
    assert f"\nLMC threshold: {lmc:.3g} (auto: between " in done.stdout
    given = "--lmc-threshold", repr(lmc), "--table", "y.parquet"
    done = run_here("report", RECORDED / "fashion-sam.csv", *given, "--out", "given.html", cwd=tmp_path)
    assert "LMC threshold" not in done.stdout
    pd.testing.assert_frame_equal(told, pd.read_parquet(tmp_path / "y.parquet"))
    again = run_here("report", "x.parquet", "--lmc-threshold", "-0.2", "--table", "z.parquet", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert set(pd.read_parquet(tmp_path / "z.parquet")["lmc_threshold"]) == {-0.2}  # not that of the other thresholds


def test_fitted_borders_are_where_the_table_has_them():
    rows = {"temperature": [1.0] * 3 + [2.0] * 3, "density": [0.1, 0.2, 0.4] * 2, "test_error": [0.2] * 6}
    table = phase_of(pd.DataFrame(rows | {"lmc": [-0.36, -0.04, 0, -0.49, -0.25, -0.01]}), "epochs", AUTO)
    spec = replace(SPEC, temperatures=(1, 2), densities=(0.1, 0.2, 0.4))
    (lmc,) = set(table["lmc_threshold"])
    given = replace(spec, lmc_threshold=lmc)
    drawn, same = (diagram_of(table, each, Look(smooth=True)) for each in (spec, given))
    assert lmc == pytest.approx(-(0.35**2))  # between the roots 0.2 and 0.5
    pd.testing.assert_frame_equal(drawn.data, same.data)
    assert drawn.data["border_i_ii"].notna().any()
    (layer,) = next(panel for panel in drawn.panels if panel.name == "lmc").layers
    assert layer.threshold == lmc


def test_a_sweep_that_was_asked_for_it_ends_with_it(swept):
    for name, *words in ("report", "swept"), ("grid", "--preset", "smoke", "--lmc-threshold", "auto", "--out", "swept"):
        done = run_here(name, *words, cwd=swept)
        assert done.returncode == 0, done.stderr
        assert SAID in done.stdout
        table = pd.read_parquet(swept / "swept" / "phase.parquet")
        assert list(table["lmc_threshold"]) == pytest.approx([-0.0625] * 4)
        assert list(table["regime"] == "I") == [True, False, True, False]
    assert " (found in these cells)." in (swept / "swept" / "phase_diagram.html").read_text()


def test_a_page_that_fills_in_has_the_number_of_what_is_there(swept):
    with patch("sweeps.report.serve") as serve:
        assert run_here("report", "swept", "--serve", cwd=swept).returncode == 0
    assert (
        "LMC below −0.0625 (found in these cells)." in json.loads(serve.call_args[0][0].answer())["figure"]["caption"]
    )


def test_models_are_selected_by_the_number_of_the_whole_table(tmp_path):
    answers = []
    (lmc,) = set(open_recorded(str(RECORDED / "digits.csv"), None).table(AUTO)["lmc_threshold"])
    for threshold in ("auto", repr(float(lmc))):
        words = "--replay", RECORDED / "digits.csv", "--density", "0.05", "--json", "a.json"
        done = run_here("select_model", *words, "--lmc-threshold", threshold, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (f"\nLMC threshold: {lmc:.3g} (auto: " in done.stdout) == (threshold == "auto")
        answers.append((tmp_path / "a.json").read_text())
    assert answers[0] == answers[1]
    assert " not in Regime I" in answers[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", "--lmc-threshold x: it is a negative number, or auto."),
        ("AUTO", "--lmc-threshold AUTO: it is a negative number, or auto."),
        ("0", "--lmc-threshold 0.0: it is a negative number near 0, in units of error, or auto."),
        ("-1.5", "--lmc-threshold -1.5: it is a negative number near 0, in units of error, or auto."),
        ("", "--lmc-threshold (nothing): give a value, or leave --lmc-threshold out."),
        ("None", "--lmc-threshold None: it is a negative number, or auto."),
    ],
)
def test_anything_else_is_one_sentence(value, said, tmp_path):
    for name, *words in ("grid", "--preset", "smoke"), ("report", RECORDED / "fashion-sam.csv", "--out", "x.html"):
        if (name, value) == ("report", "None"):  # there it is the sweep's own
            continue
        done = run_here(name, *words, "--lmc-threshold", value, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, f"{name}.py: {said}\n")


def test_a_small_number_is_still_one(tmp_path):
    words = "--out", "x.html", "--lmc-threshold", "-1e-9", "--table", "x.parquet"
    done = run_here("report", RECORDED / "fashion-sam.csv", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(pd.read_parquet(tmp_path / "x.parquet")["lmc_threshold"]) == {-1e-9}


def test_a_sweep_keeps_the_word_and_decides_no_result_by_it():
    assert SweepSpec.from_json(SPEC.to_json()) == SPEC
    assert SweepSpec.from_json(PRESETS["smoke"].to_json()) == PRESETS["smoke"]
    SPEC.check()
    assert [stage.key for stage in SPEC.points()] == [stage.key for stage in PRESETS["smoke"].points()]
    fields = json.loads(SPEC.to_json())
    assert fields["lmc_threshold"] == "auto"
    for bad in ("Auto", "-0.05", None, True, [-0.05]):
        with pytest.raises(TypeError, match=r"lmc_threshold is .*; it is a negative number, or auto"):
            SweepSpec.from_json(json.dumps(fields | {"lmc_threshold": bad}))
    with pytest.raises(UsageError, match=r"--lmc-threshold 0.5: it is a negative number"):
        replace(SPEC, lmc_threshold=0.5).check()


def test_recorded_results_may_be_read_with_it():
    past = open_recorded(str(RECORDED / "fashion-sam.csv"), None)
    spec = replace(past.spec, lmc_threshold="auto")
    check_recorded(spec, past, past.table(spec.thresholds))


def test_of_an_unresolved_threshold_nothing_is_told():
    """It fails at once, where NaN would make every cell a connected one."""
    with pytest.raises(TypeError):
        np.array([-0.1]) < AUTO.lmc  # noqa: B015


def test_a_grid_without_results_has_a_number_all_the_same(store):
    table = phase_table(SPEC.points(), store, SPEC.thresholds, SPEC.measurement)
    assert set(table["lmc_threshold"]) == {-0.05}
    assert with_regimes(table, AUTO)["regime"].isna().all()
