import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from points import measurement, record

from sweeps.results.inventory import inventory_of
from sweeps.results.phase import phase_table
from sweeps.results.schema import table_schemas
from sweeps.results.store import Store
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from trainables.stages import DenseStage, Lost, PointStage

SPEC = PRESETS["digits-epochs"]
STAGE, OTHER = SPEC.points()[:2]


def test_rows_come_back_and_pandas_reads_the_folder_as_it_stands(store, made_up):
    record(store, STAGE, made_up(STAGE, lmc=-0.25))
    record(store, OTHER, made_up(OTHER))
    assert store.stored(PointStage) == {STAGE.point.key: {1, 2, 3}, OTHER.point.key: {1, 2, 3}}
    pairs = pd.read_parquet(f"{store.folder}/pairs")
    assert len(pairs) == 6
    ours = pairs[pairs["point"] == STAGE.point.key].iloc[0]
    assert (ours["lmc"], ours["temperature"], ours["load"]) == (-0.25, STAGE.label.temperature, STAGE.label.load)
    assert list(ours["path_errors"]) == pytest.approx([0.1, 0.35, 0.1])
    assert '"weight_decay": 0.005' in ours["configuration"]
    assert ours["host"]
    assert "torch 2" in ours["libraries"]
    assert "sentencepiece 0" in ours["libraries"]


def test_units_and_version_are_in_the_files(store, made_up):
    record(store, STAGE, made_up(STAGE))
    schema = pq.read_schema(f"{store.folder}/pairs/{measurement(STAGE).key}.parquet")
    assert schema.field("lmc").metadata[b"unit"] == b"error, in [-1, 1]"
    assert b"2" in schema.metadata.values()
    for table in table_schemas().values():
        assert all(b"description" in field.metadata for field in table)


def test_recording_again_replaces(store, made_up):
    record(store, STAGE, made_up(STAGE, error=0.5))
    record(store, STAGE, made_up(STAGE, error=0.25))
    assert [row["test_error"] for row in store.rows("runs")] == [0.25] * 3


def test_a_write_that_dies_between_file_and_rename_leaves_no_result(store, made_up, monkeypatch):
    real = os.replace

    def dies(source, target):
        if "/runs/" in str(target):
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        record(store, STAGE, made_up(STAGE))
    monkeypatch.undo()
    assert store.stored(PointStage) == {}
    record(store, STAGE, made_up(STAGE))
    assert len(store.rows("pairs")) == len(store.rows("runs")) == 3


def test_two_writers_of_one_point_leave_one_whole_result(store, made_up):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda error: record(store, STAGE, made_up(STAGE, error=error)), [0.1, 0.2] * 50))
    errors = {row["test_error"] for row in store.rows("runs")}
    assert len(store.rows("runs")) == 3
    assert errors in ({0.1}, {0.2})
    assert [name for name in os.listdir(f"{store.folder}/runs") if name.startswith(".")] == []


def test_a_failure_is_stored_and_replaced_by_a_result(store, made_up):
    store.record_failure(STAGE, "RuntimeError: no memory")
    assert store.stored(PointStage) == {}
    assert {(row["status"], row["message"]) for row in store.rows("runs")} == {("failed", "RuntimeError: no memory")}
    record(store, STAGE, made_up(STAGE))
    assert {row["status"] for row in store.rows("runs")} == {"ok"}


def test_a_failure_does_not_touch_siblings_that_are_stored(store, made_up):
    record(store, STAGE, made_up(STAGE, error=0.3))
    store.record_failure(replace(STAGE, seeds=(1, 2, 3, 4)), "OSError: disk full")
    assert {row["retrain_seed"]: row["status"] for row in store.rows("runs")} == {
        1: "ok",
        2: "ok",
        3: "ok",
        4: "failed",
    }
    assert store.stored(PointStage) == {STAGE.point.key: {1, 2, 3}}


def test_dense_models_need_their_row_and_their_file(store):
    run = STAGE.point.dense
    row = {"dense": run.key, "status": "ok", "message": "", "seconds": 1.0}
    store.record(DenseStage(run, (3, 6)), {"dense": [row | {"epoch": 3}, row | {"epoch": 6}]}, "cpu")
    there = inventory_of(store)
    assert there.missing_results(DenseStage(run, (3, 6))) == []
    assert there.missing_artifacts(DenseStage(run, (3, 6))) == [3, 6]
    store.artifacts.write(f"dense/{run.key}/epoch-00003.pt", b"")
    store.artifacts.write(f"dense/{run.key}/epoch-00009.pt", b"")
    assert inventory_of(store).missing_artifacts(DenseStage(run, (3, 6, 9))) == [6, 9]
    store.record_failure(DenseStage(run, (3, 9)), "died")
    assert {row["epoch"]: row["status"] for row in store.rows("dense")} == {3: "ok", 6: "ok", 9: "failed"}
    assert inventory_of(store).missing_results(DenseStage(run, (3, 6, 9))) == [9]


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="holds something else"):
        Store(tmp_path).check()
    with pytest.raises(UsageError, match="is a file"):
        Store(tmp_path / "thesis.tex").check()
    with pytest.raises(UsageError, match="is a file, or below one"):
        Store(tmp_path / "thesis.tex" / "below").check()
    with pytest.raises(UsageError, match="cannot be written"):
        Store(tmp_path / "thesis.tex" / "below").check_writable()
    with pytest.raises(UsageError, match="name another folder"):
        Store(tmp_path / ("long" * 100)).check()
    with pytest.raises(UsageError, match="holds no results"):
        Store(tmp_path).spec()
    with pytest.raises(UsageError, match="cannot be read"):
        Store(tmp_path / "thesis.tex").spec()
    with pytest.raises(UsageError, match="names no folder"):
        Store("s3://bucket")


def test_a_folder_in_which_the_first_write_was_killed_is_still_empty(tmp_path):
    (tmp_path / ".sweep.json.0123.tmp").write_bytes(b"{")
    Store(tmp_path).check()


def test_an_old_or_foreign_table_is_refused(store, made_up):
    record(store, STAGE, made_up(STAGE))
    file = f"{store.folder}/runs/{STAGE.point.key}.parquet"
    with open(file, "rb") as good:
        whole = good.read()
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({"three_regime_sweeps_schema": "0"}), file)
    with pytest.raises(UsageError, match=r"runs/.*schema version '0', but this version of the service reads '2'"):
        store.stored(PointStage)
    pq.write_table(pa.table({"a": [1]}), file)
    with pytest.raises(UsageError, match="not a table of this service"):
        store.stored(PointStage)
    for damage in (b"PAR1 no", b"", whole[:200] + bytes(200) + whole[400:]):
        with open(file, "wb") as broken:
            broken.write(damage)
        with pytest.raises(UsageError, match="damaged or not a Parquet file"):
            store.rows("runs")


def test_a_column_that_was_added_later_is_null_in_older_files(store, made_up):
    record(store, STAGE, made_up(STAGE))
    record(store, OTHER, made_up(OTHER))
    file = f"{store.folder}/runs/{STAGE.point.key}.parquet"
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["device"]), file)
    assert {row["point"]: row["device"] for row in store.rows("runs")} == {
        STAGE.point.key: None,
        OTHER.point.key: "cpu",
    }
    assert len(store.rows("runs", ["point", "device"])) == 6


def test_pairs_that_were_measured_before_there_were_losses_are_not_measured_again(store, made_up):
    record(store, STAGE, made_up(STAGE))
    file = f"{store.folder}/pairs/{measurement(STAGE).key}.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["path_losses"]), file)
    assert [row["path_losses"] for row in store.rows("pairs")] == [None] * 3
    assert inventory_of(store).missing_results(measurement(STAGE)) == []


def test_siblings_of_before_there_were_losses_that_are_trained_again_are_the_same(store, made_up):
    rows = made_up(STAGE)
    record(store, STAGE, rows)
    again = [row | {"train_loss": 0.5} for row in rows["runs"]]
    for losses, missing in ((again, 0), ([row | {"train_loss": 0.6} for row in again], 6)):
        file = f"{store.folder}/runs/{STAGE.point.key}.parquet"
        if not missing:
            pq.write_table(pq.read_table(file).drop_columns(["train_loss"]), file)
        store.record(STAGE, {"runs": losses}, "cpu")
        assert {row["train_loss"] for row in store.rows("runs")} == {losses[0]["train_loss"]}
        assert len(inventory_of(store).missing_results(measurement(STAGE))) == missing


@pytest.mark.parametrize(
    "content",
    [b'{"data": "digits", "sharpness": 3}', b"[1]", b"not json", SPEC.to_json().replace("epochs", "x").encode()],
)
def test_a_sweep_of_another_version_is_refused(store, content):
    store.folder.write("sweep.json", content)
    with pytest.raises(UsageError, match=r"sweep.json is damaged or of another version; running its sweep again"):
        store.spec()
    store.check()  # a sweep brings its own


def test_a_part_of_a_grid_does_not_hide_the_grid(store):
    grid = PRESETS["digits-epochs"]
    store.show(grid)
    store.show(replace(grid, densities=(0.1,), temperatures=(20,)))
    assert store.spec() == grid
    siblings = replace(grid, densities=(0.1,), retrain_seeds=(1, 2, 3, 4))
    store.show(siblings)
    assert store.spec() == siblings
    other = replace(grid, densities=(0.1, 0.15))
    store.show(other)
    assert store.spec() == other


def test_added_siblings_that_are_damaged_are_said(store):
    stage = PRESETS["digits-epochs"].points()[0]
    store.add_siblings([replace(stage, seeds=(1, 2, 3, 4))])
    store.add_siblings([replace(stage, seeds=(1, 2, 5))])  # a search that was content with fewer takes none away
    assert store.with_added_siblings([stage])[0].seeds == (1, 2, 3, 4, 5)
    for damage in (b"{", b"5", b'["a"]'):
        store.folder.write(f"added_siblings/{stage.point.key}.json", damage)
        with pytest.raises(UsageError, match="is damaged; delete it"):
            store.with_added_siblings([stage])


def test_points_that_cannot_run_are_in_one_file_until_their_dense_model_is_trained_on(store, made_up):
    points = [stage for stage in SPEC.points() if stage.run == STAGE.run]
    record(store, STAGE, made_up(STAGE))
    dense = DenseStage(STAGE.run, (2, 20))
    for some in (points[:3], points[3:]):
        lost = [stage for point in some for stage in (point, measurement(point))]
        store.record_lost([Lost(stage, dense, "dense training: no luck") for stage in lost])
    assert len(store.folder.files("pairs")) == 1
    assert len(store.folder.files("runs")) == 2
    states = [(row["point"], row["status"]) for row in store.rows("runs")]
    assert sorted(states) == sorted(
        (stage.point.key, "ok" if stage == STAGE else "failed") for stage in points for _ in stage.seeds
    )
    assert store.stored(PointStage) == {STAGE.point.key: {1, 2, 3}}
    table = phase_table(points, store, SPEC.thresholds, SPEC.measurement)
    assert sorted(set(table["status"])) == ["failed", "ok"]
    assert (table["status"] == "failed").sum() == len(points) - 1
    row = {"dense": STAGE.run.key, "epoch": 2, "status": "ok", "message": "", "seconds": 1.0}
    store.record(DenseStage(STAGE.run, (2, 20)), {"dense": [row]}, "cpu")
    assert len(store.folder.files("runs")) == 1
    assert sorted(set(phase_table(points, store, SPEC.thresholds, SPEC.measurement)["status"])) == ["missing", "ok"]
