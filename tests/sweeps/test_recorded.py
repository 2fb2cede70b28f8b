from dataclasses import replace

import pandas as pd
import pytest
from points import record

from metrics.regimes import Thresholds
from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning
from sweeps.plans.replay import replay
from sweeps.results.phase import phase_table
from sweeps.results.recorded import check_recorded, open_recorded
from sweeps.results.schema import P_REGIMES
from sweeps.results.user_table import phase_of, read_table, table_content
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
