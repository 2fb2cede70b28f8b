"""The comparison of two versions' tables notices what it should."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import same_tables

DENSE = {"data": "digits", "model": "m", "dense": "key", "dense_seed": 1, "epoch": 2, "losses": [1.0, math.nan]}
POINT = DENSE | {"temperature_axis": "epochs", "temperature": 2.0, "load_axis": "density", "load": 0.1, "pruner": "p"}
RESULTS = {
    "dense": [DENSE, DENSE | {"epoch": 4}],
    "runs": [POINT | {"retrain_seed": seed, "test_error": math.nan, "seconds": 1.0} for seed in (1, 2)],
    "pairs": [POINT | {"first_seed": 1, "second_seed": 2, "lmc": -0.1, "path_errors": [0.1, 0.2]}],
    "phase.parquet": [
        {"temperature_axis": "epochs", "temperature": 2.0, "load_axis": "density", "load": 0.1, "lmc": 0.0}
    ],
}


@pytest.fixture
def written(tmp_path):
    def write(name, **changed):
        folder = tmp_path / name
        for table, rows in (RESULTS | changed).items():
            file = folder / table if table.endswith(".parquet") else folder / table / "key.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows), file)
        return folder

    return write


def changed(table, **values):
    return {table: [row | values if row is RESULTS[table][0] else row for row in RESULTS[table]]}


def test_keys_times_order_and_new_columns_are_no_values(written, capsys):
    renamed = {name: [row | {"dense": "other"} for row in RESULTS[name]][::-1] for name in ("dense", "runs", "pairs")}
    renamed["runs"] = [row | {"seconds": 2.0} for row in renamed["runs"]]
    renamed["pairs"] = [row | {"new": 1.0, "measurement": "key"} for row in renamed["pairs"]]
    assert same_tables.same(written("old"), written("new", **renamed))
    assert "pairs: not compared, only in NEW: measurement, new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (changed("pairs", lmc=math.nextafter(-0.1, 0)), "lmc was -0.1, is -0.09999999999999999"),
        (changed("pairs", path_errors=[0.1, math.nextafter(0.2, 1)]), "path_errors was [0.1, 0.2], is [0.1, 0.20"),
        (changed("phase.parquet", lmc=-0.0), "lmc was 0.0, is -0.0"),
        (changed("runs", test_error=0.5), "retrain_seed 1: test_error was nan, is 0.5"),
        (changed("dense", losses=[1.0]), "epoch 2 temperature_axis epochs temperature 2.0: losses was [1.0, nan]"),
        ({"dense": RESULTS["dense"][:1]}, "epoch 4 "),
        ({"pairs": RESULTS["pairs"] * 2}, "1 rows and 2"),
    ],
)
def test_every_other_difference_is_told(written, changes, said, capsys):
    assert same_tables.same(written("old"), written("new", **changes)) is False
    assert said in capsys.readouterr().out


def test_nothing_to_compare_is_not_the_same(written, capsys):
    other = [row | {"retrain_seed": row["retrain_seed"] + 2} for row in RESULTS["runs"]]
    assert not same_tables.same(written("old"), written("new", runs=other))
    assert "runs: 0 rows" in capsys.readouterr().out
