import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from points import record

from metrics.regimes import Thresholds
from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning
from sweeps.plans.replay import replay
from sweeps.results.phase import phase_table
from sweeps.results.phase_schema import P_REGIMES
from sweeps.results.recorded import check_recorded, open_recorded
from sweeps.results.user_files import table_content
from sweeps.results.user_table import phase_of, read_table
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS

THRESHOLDS = Thresholds(-0.05, 0.98)
GOOD = "temperature,density,lmc,test_error\n1,0.1,-0.2,0.3\n2,0.1,-0.01,0.2\n"


def table_of(spec, store):
    return phase_table(spec.points(), store, spec.thresholds, spec.measurement)


def test_cells_that_are_not_there_are_missing(written):
    table = phase_of(read_table(written(GOOD + "2,0.2,0,0.1\n")), "epochs", THRESHOLDS)
    assert list(zip(table["temperature"], table["load"], table["status"], strict=True)) == [
        (1, 0.1, "ok"),
        (1, 0.2, "missing"),
        (2, 0.1, "ok"),
        (2, 0.2, "ok"),
    ]
    tuning = TemperatureTuning([1, 2], [0.1, 0.2], 1, THRESHOLDS, Tuning())
    with pytest.raises(UsageError, match=r"the table has no results of epochs 1 at density 0\.2; record"):
        replay(tuning, table)


def test_a_phase_table_of_our_own_reads_as_the_folder_it_is_of(tmp_path, store, made_up):
    spec = PRESETS["smoke"]
    store.set_spec(spec)
    for stage in spec.points()[:-1]:
        record(store, stage, made_up(stage, lmc=-0.3 if stage.label.temperature == 6 else 0.0))
    table = phase_table(spec.points(), store, spec.thresholds, spec.measurement)
    (tmp_path / "phase.csv").write_bytes(table_content(table, "phase.csv"))
    file = open_recorded(str(tmp_path / "phase.csv"), "epochs")
    folder = open_recorded(str(store.folder), "epochs")
    assert (file.spec.temperatures, file.spec.densities, file.spec.epochs) == ((2, 6), (0.05, 0.4), 6)
    assert folder.spec == spec
    for column in ("temperature", "load", "status", "regime", "lmc", "lmc_se", "test_error", *P_REGIMES):
        pd.testing.assert_series_equal(
            file.table(spec.thresholds)[column], folder.table(spec.thresholds)[column], check_dtype=False
        )


def test_a_phase_table_of_our_own_knows_its_axes(tmp_path, store, made_up):
    spec = replace(PRESETS["smoke"], temperature="rho", temperatures=(0.1, 0.4))
    for stage in spec.points():
        record(store, stage, made_up(stage, status="diverged" if stage.label.temperature == 0.4 else "ok"))
    (tmp_path / "phase.csv").write_bytes(table_content(table_of(spec, store), "phase.csv"))
    file = open_recorded(str(tmp_path / "phase.csv"), None)
    assert (file.spec.temperature, file.spec.rho, file.spec.hot_to_cold) == ("rho", 0.1, [0.4, 0.1])
    assert list(file.table(THRESHOLDS)["status"]) == ["ok", "ok", "diverged", "diverged"]
    with pytest.raises(UsageError, match=r"--temperature epochs: .* is of rho; leave it out"):
        open_recorded(str(tmp_path / "phase.csv"), "epochs")
    wide = replace(spec, load="width", widths=(0.5, 1), model="preresnet8", densities=(0.2,))
    (tmp_path / "wide.csv").write_bytes(table_content(table_of(wide, store), "wide.csv"))
    with pytest.raises(UsageError, match="is over width, not density; give its results folder"):
        open_recorded(str(tmp_path / "wide.csv"), None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"temperature": "rho"}, "--temperature rho: what is replayed has epochs; leave it out."),
        ({"lr": -4.0}, "--lr -4.0: what is replayed has 0.1; leave it out."),
        ({"temperatures": (1, 1)}, "--temperatures 1: each value is given once."),
        ({"densities": (0.3,)}, "--densities 0.3: "),
    ],
)
def test_what_is_not_recorded_cannot_be_replayed(written, change, said):
    past = open_recorded(written(GOOD), None)
    check_recorded(past.spec, past, past.table(THRESHOLDS))
    with pytest.raises(UsageError) as error:
        check_recorded(replace(past.spec, **change), past, past.table(THRESHOLDS))
    assert str(error.value).startswith(said)


def test_numbers_are_matched_as_people_write_them(written):
    past = open_recorded(written(GOOD.replace("0.1,", "0.30000000000000004,")), None)
    assert past.spec.densities == (0.3,)


@pytest.mark.parametrize(("axis", "coldest"), [("epochs", 2), ("batch_size", 2), ("rho", 1.0), ("lr", 1.0)])
def test_in_a_file_the_default_recipe_is_the_coldest(written, axis, coldest):
    assert getattr(open_recorded(written(GOOD), axis).spec, axis) == coldest


@pytest.fixture
def folder(store, made_up):
    """Results of the smoke preset with three siblings instead of two, and a fourth added at one density."""
    spec = replace(PRESETS["smoke"], dense_seeds=(1, 2), retrain_seeds=(1, 2, 3))
    store.set_spec(spec)
    added = []
    for stage in spec.points():
        own = replace(stage, seeds=(1, 2, 3, 4)) if stage.label.load == 0.4 else stage
        rows = made_up(own)
        for row in rows["pairs"]:
            row["lmc"] = -0.01 * (row["first_seed"] + row["second_seed"])
        for row in rows["runs"]:
            row["validation_error"] = 0.1 * row["retrain_seed"]
        record(store, own, rows)
        added += [own] * (own is not stage)
    store.add_siblings(added)
    return open_recorded(str(store.folder), None)


def test_of_so_many_siblings_the_first_count_and_of_cells_that_have_them(folder):
    two, three, four, five = (folder.rows_with(count, THRESHOLDS) for count in (2, 3, 4, 5))
    cells = {(temperature, load) for temperature in (2, 6) for load in (0.05, 0.4)}
    assert set(two) == set(three) == cells
    assert set(four) == {(2, 0.4), (6, 0.4)}
    assert five == {}
    for rows, runs, lmc, error in ((two, 4, -0.03, 0.15), (three, 6, -0.04, 0.2), (four, 8, -0.05, 0.25)):
        for row in rows.values():
            assert (row["n_runs"], row["n_dense_seeds"], row["status"]) == (runs, 2, "ok")
            assert (row["lmc"], row["validation_error"]) == pytest.approx((lmc, error))
    assert math.isnan(two[2, 0.05]["lmc_se"])
    assert three[2, 0.05]["lmc_se"] > 0


def test_a_cell_of_which_one_dense_model_has_fewer_siblings_does_not_have_so_many(folder):
    """As where a search was killed while it noted the siblings that it had added."""
    (point,) = (
        stage
        for stage in folder.spec.points()
        if (stage.label.temperature, stage.label.load, stage.run.seed) == (2, 0.4, 2)
    )
    (Path(folder.path) / "added_siblings" / f"{point.point.key}.json").unlink()
    assert set(folder.rows_with(4, THRESHOLDS)) == {(6, 0.4)}
    assert folder.rows_with(3, THRESHOLDS)[2, 0.4]["n_runs"] == 6


def test_cells_that_lack_results_of_these_siblings_are_left_out_and_those_that_diverged_are_not(folder, made_up):
    lacking, diverged = (
        next(stage for stage in folder.spec.points() if (stage.label.temperature, stage.label.load) == cell)
        for cell in ((2, 0.05), (6, 0.05))
    )
    (Path(folder.path) / "runs" / f"{lacking.point.key}.parquet").unlink()
    for table in ("runs", "pairs"):
        for file in (Path(folder.path) / table).glob(f"{diverged.point.key}*.parquet"):
            file.unlink()
    record(folder.store, diverged, made_up(diverged, status="diverged"))
    found = folder.rows_with(2, THRESHOLDS)
    assert set(found) == {(2, 0.4), (6, 0.05), (6, 0.4)}
    assert (found[6, 0.05]["status"], found[6, 0.05]["n_diverged"], found[6, 0.05]["n_runs"]) == ("diverged", 2, 2)
