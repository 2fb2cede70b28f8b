"""Files as they should not be: tables, data, results and checkpoints, beside some that are well."""

import io
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from points import made_up_rows, record
from support import TABLE
from toy_text import VOCABULARY, sentences, write

from sweeps.results.store import Store
from sweeps.spec.presets import PRESETS
from sweeps.spec.sparsity import Sparsity
from sweeps.spec.study_presets import DIGITS_PHASES, STUDY_PRESETS
from trainables.data import pin
from trainables.stages import DenseStage
from trainables.stages.dense import dense_name

SPEC = PRESETS["smoke"]
HEAD = "temperature,density,lmc,test_error"
ROW = "1,0.1,-0.2,0.3"
KEY = SPEC.points()[0].point.key
MODEL = f"artifacts/dense/{SPEC.points()[0].point.dense.key}/{dense_name(6)}.pt"

PHASES = "temperature,load,train_loss,mc"

TABLES = {
    "empty": "",
    "header": f"{HEAD}\n",
    "lacking": "temperature,density,lmc\n1,0.1,-0.2\n",
    "text": f"{HEAD}\n1,0.1,low,0.3\n",
    "gap": f"{HEAD}\n1,0.1,,0.3\n",
    "nan": f"{HEAD}\nnan,0.1,-0.2,0.3\n",
    "inf": f"{HEAD}\ninf,0.1,-0.2,0.3\n",
    "huge": f"{HEAD}\n1e999,0.1,-0.2,0.3\n",
    "digits": f"{HEAD}\n{'9' * 5000},0.1,-0.2,0.3\n",
    "nothing_kept": f"{HEAD}\n1,0,-0.2,0.3\n",
    "percent": f"{HEAD}\n1,10,-0.2,0.3\n",
    "negative_density": f"{HEAD}\n1,-0.1,-0.2,0.3\n",
    "percent_error": f"{HEAD}\n1,0.1,-0.2,30\n",
    "percent_lmc": f"{HEAD}\n1,0.1,-20,0.3\n",
    "other_sign": f"{HEAD}\n1,0.1,0.2,0.3\n",
    "cka": f"{HEAD},cka\n{ROW},1.5\n",
    "siblings": f"{HEAD},n_runs\n{ROW},-1\n",
    "diverged": f"{HEAD},n_diverged\n{ROW},1\n",
    "validation_se": f"{HEAD},validation_error_se\n{ROW},-0.1\n",
    "validation_se_text": f"{HEAD},validation_error_se\n{ROW},small\n",
    "no_images": f"{HEAD},validation_images\n{ROW},0\n",
    "images_text": f"{HEAD},validation_images\n{ROW},many\n",
    "yes": f"{HEAD}\n1,0.1,True,0.3\n",
    "twice": f"{HEAD},lmc\n{ROW},-0.3\n",
    "ragged": f"{HEAD}\n{ROW},7,8\n",
    "truncated": f"{HEAD}\n{ROW}\n2,0.1,-0",
    "semicolons": f"{HEAD}\n{ROW}\n".replace(",", ";"),
    "quote": f'{HEAD}\n1,0.1,"-0.2,0.3\n',
    "axis": f"{HEAD},temperature_axis\n{ROW},heat\n",
    "axes": f"{HEAD},temperature_axis\n{ROW},rho\n{ROW},epochs\n",
    "width": f"{HEAD},load_axis,load,status\n{ROW},width,1,ok\n",
    "mixed_loads": f"{HEAD},load_axis,load,status\n{ROW},width,1,ok\n{ROW},density,0.1,ok\n",
    "no_results": f"{HEAD},load_axis,load,status\n1,0.1,,,density,0.1,missing\n",
    "one": f"{HEAD}\n{ROW}\n",
    "hole": f"{HEAD}\n{ROW}\n2,0.2,-0.2,0.3\n",
    "many": "\n".join([HEAD, *(f"{n},{n / 1000},-0.2,0.3" for n in range(1, 401))]),
    "phases_lacking": "temperature,load,mc\n1,2,-0.2\n",
    "phases_published": "batch_size,width,train_loss,mc\n16,2,0.9,-0.06\n",
    "phases_text": f"{PHASES}\n1,2,low,-0.2\n",
    "phases_gap": f"{PHASES}\n1,2,0.5,\n",
    "phases_percent": f"{PHASES}\n1,2,0.5,-20\n",
    "phases_other_sign": f"{PHASES}\n1,2,0.001,0.3\n",
    "phases_negative_loss": f"{PHASES}\n1,2,-0.5,-0.2\n",
    "phases_negative_load": f"{PHASES}\n1,-2,0.5,-0.2\n",
    "phases_cka": f"{PHASES},cka\n1,2,0.5,-0.2,71\n",
    "phases_percent_error": f"{PHASES},test_error\n1,2,0.5,-0.2,30\n",
    "phases_trace": f"{PHASES},hessian_trace\n1,2,0.5,-0.2,inf\n",
    "phases_interval": f"{PHASES},mc_low\n1,2,0.5,-0.2,low\n",
    "phases_models": f"{PHASES},n_models\n1,2,0.5,-0.2,-1\n",
    "phases_loads": f"{PHASES},load_axis\n1,2,0.5,-0.2,width\n1,3,0.5,-0.2,depth\n",
    "phases_axis": f"{PHASES},temperature_axis\n1,2,0.5,-0.2,heat\n",
    "phases_header": f"{PHASES}\n",
    "phases_many": "\n".join([PHASES, *(f"{n},{n},0.5,-0.2" for n in range(1, 401))]),
    "blank": "\n\n\n",
    "html": "<html><body>Not found</body></html>\n",
}
"""Tables as CSV; ``one`` has too few temperatures for a search, ``truncated`` an LMC that is none of a barrier."""

NUMBERS = {"temperature": [1.0, 2.0], "density": [0.1, 0.1], "lmc": [-0.2, -0.1], "test_error": [0.3, 0.2]}
PARQUET = {
    "words": NUMBERS | {"lmc": ["low", "lower"]},
    "lists": NUMBERS | {"lmc": [[-0.2], [-0.1]]},
    "truths": NUMBERS | {"lmc": [True, False]},
    "nulls": NUMBERS | {"lmc": [None, None]},
    "dates": NUMBERS | {"lmc": [np.datetime64("2020-01-01", "s")] * 2},
    "bytes": NUMBERS | {"lmc": [b"\xff", b"\xfe"]},
    "structs": NUMBERS | {"lmc": [{"a": 1}, {"a": 2}]},
    "no_rows": {name: np.array([], dtype=float) for name in NUMBERS},
    "no_columns": {},
    "far": NUMBERS | {"temperature": [1.0, float("inf")]},
}

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
LABELS = np.arange(40) % 2
GOOD = {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS[:10], "y_test": LABELS[:10]}
ARRAYS = {
    "floats": GOOD | {"x_train": PIXELS / 255},
    "unsigned": GOOD | {"y_train": np.where(LABELS == 1, 2**64 - 1, 0).astype(np.uint64)},
    "unsigned_test": GOOD | {"y_test": np.full(10, 2**63, np.uint64)},
    "below": GOOD | {"y_train": LABELS - 1},
    "gaps": GOOD | {"y_train": LABELS * 2},
    "far_labels": GOOD | {"y_train": LABELS * 10**12},
    "one_class": GOOD | {"y_train": LABELS * 0, "y_test": LABELS[:10] * 0},
    "fewer": GOOD | {"y_train": LABELS[:-1]},
    "words": GOOD | {"y_train": np.array(["a", "b"] * 20)},
    "objects": GOOD | {"y_train": np.array([None] * 40, dtype=object)},
    "one_hot": GOOD | {"y_train": np.eye(2, dtype=int)[LABELS]},
    "flat": GOOD | {"x_train": PIXELS.reshape(40, 64)},
    "first": GOOD | {"x_train": np.zeros((40, 3, 8, 8), np.uint8)},
    "none": GOOD | {"x_train": PIXELS[:0], "y_train": LABELS[:0]},
    "no_test": GOOD | {"x_test": PIXELS[:0], "y_test": LABELS[:0]},
    "sizes": GOOD | {"x_test": PIXELS[:10, :7]},
    "unknown": GOOD | {"y_test": LABELS[:10] + 1},
    "black": GOOD | {"x_train": PIXELS * 0},
    "lacking": {"x_train": PIXELS, "y_train": LABELS},
    "scalar": GOOD | {"x_train": np.uint8(3)},
}

LINES = [" ".join(row) for row in sentences(60)]
TEXTS = {
    "good": {},
    "with_valid": {"valid.xx": "a b c", "valid.yy": "c b a"},
    "fewer": {"train.yy": "\n".join(LINES[:-1])},
    "empty_line": {"train.yy": "\n".join([*LINES[:6], "", *LINES[7:]])},
    "blank_line": {"test.xx": "a b\n \t\nc d"},
    "empty_file": {"train.xx": ""},
    "one_newline": {"test.yy": "\n"},
    "utf16": {"train.xx": "\n".join(LINES).encode("utf-16")},
    "latin": {"test.yy": "a b\nc d\ngr\xfc\xdfe".encode("latin-1")},
    "no_train": {"train.yy": None},
    "no_test": {"test.xx": None},
    "half_valid": {"valid.xx": "a b c"},
    "long": {"train.xx": "\n".join([*LINES[:-1], "a " * 1024])},
    "long_test": {"test.yy": "\n".join(["a b", "b " * 1024, "c d"])},
}
"""What the files of a text hold that differ from a good one's; None for a file that is not there."""

SWEEPS = {
    "empty": "",
    "text": "not a sweep",
    "half": SPEC.to_json()[:200],
    "list": "[1, 2]",
    "null": "null",
    "deep": "[" * 100_000,
    "lacking": json.dumps({"data": "digits"}),
    **{
        name: json.dumps(json.loads(SPEC.to_json()) | change)
        for name, change in {
            "null_number": {"lr": None},
            "null_list": {"temperatures": None},
            "null_in_list": {"densities": [0.1, None]},
            "null_threshold": {"lmc_threshold": None},
            "word_threshold": {"lmc_threshold": "low"},
            "text_number": {"epochs": "6"},
            "float_number": {"epochs": 6.5},
            "true_number": {"batch_size": True},
            "scalar_list": {"densities": 0.1},
            "nested": {"densities": [[0.1]]},
            "nan": {"lr": float("nan")},
            "axis": {"temperature": "heat"},
            "rule": {"cka_rule": "none"},
            "seed": {"dense_seeds": [-1]},
            "unknown_field": {"colour": "red"},
            "number_text": {"data": 7},
            "unknown_data": {"data": "CIFAR11"},
            "unknown_model": {"model": "resnet0"},
            "huge": {"temperatures": [10**400, 2]},
            "no_lists": {"dense_seeds": []},
        }.items()
    },
}
"""What ``sweep.json`` may hold that is no sweep."""


def parquet(columns):
    """A Parquet file."""
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def results(folder, spec=SPEC):
    """Complete results, made up."""
    store = Store(folder)
    store.set_spec(spec)
    store.set_progress({})
    for stage in spec.points():
        run, epoch = stage.point.dense, stage.point.epoch
        row = {"dense": run.key, "epoch": epoch, "status": "ok", "message": "", "seconds": 1.0, "train_error": 0.1}
        store.record(DenseStage(run, (epoch,)), {"dense": [row]}, "cpu")
        store.artifacts.write(f"dense/{run.key}/{dense_name(epoch)}.pt", b"no model")
        record(store, stage, made_up_rows(stage))


def make(folder):
    """Write all of it."""
    results(folder / "R")
    results(folder / "other")
    Store(folder / "study").set_spec(STUDY_PRESETS[Sparsity]["fashion-sparsity"])
    Store(folder / "landscape").set_spec(DIGITS_PHASES)
    results(folder / "rho", replace(SPEC, temperature="rho", temperatures=(0, 0.1)))
    save(folder / "good.csv", TABLE)
    save(folder / "phases.csv", f"{PHASES}\n1,2,0.5,-0.2\n2,2,0.001,0\n")
    save(folder / "three.csv", TABLE + "3,0.1,-0.1,0.2,0.9\n")
    save(folder / "without_cka.csv", f"{HEAD}\n{ROW}\n2,0.1,-0.01,0.2\n")
    for name, text in TABLES.items():
        save(folder / f"tables/{name}.csv", text)
    save(folder / "tables/binary.csv", bytes(range(256)) * 9)
    save(folder / "tables/utf16.csv", TABLE.encode("utf-16"))
    save(folder / "tables/table.txt", TABLE)
    save(folder / "tables/温度.csv", f"{HEAD}\n1,0.1,kalt,0.3\n")
    for name, columns in PARQUET.items():
        save(folder / f"tables/{name}.parquet", parquet(columns))
    save(folder / "tables/empty.parquet", b"")
    save(folder / "tables/text.parquet", "temperature")
    save(folder / "tables/truncated.parquet", parquet(NUMBERS)[:-20])
    save(folder / "tables/damaged.parquet", parquet(NUMBERS)[:4] + b"\xff" * 200 + parquet(NUMBERS)[204:])
    twice = pa.table([pa.array([0.1])] * 5, names=[*NUMBERS, "lmc"])
    pq.write_table(twice, folder / "tables/twice.parquet")
    for name in ("folder.csv", "folder.npz", "folder.pt", "folder.html", "folder.json", "nothing"):
        (folder / name).mkdir()
    for name, arrays in ARRAYS.items():
        content = io.BytesIO()
        np.savez(content, **arrays)
        save(folder / f"data/{name}.npz", content.getvalue())
    save(folder / "data/empty.npz", b"")
    save(folder / "data/text.npz", "images")
    save(folder / "data/truncated.npz", content.getvalue()[:300])
    save(folder / "data/array.npz", b"\x93NUMPY")
    for name, changed in TEXTS.items():
        write(folder / f"texts/{name}", train=sentences(60), test=sentences(3))
        for file, content in changed.items():
            (folder / f"texts/{name}/{file}").unlink() if content is None else save(
                folder / f"texts/{name}/{file}", content
            )
    for name in ("good", "with_valid"):
        pin(f"{folder}/texts/{name}:xx-yy-{VOCABULARY}", str(folder / "vocabularies_kept"))
    for name, text in SWEEPS.items():
        save(folder / f"sweeps/{name}/sweep.json", text)
    (folder / "sweeps/folder/sweep.json").mkdir(parents=True)
    for name, file, content in (
        ("foreign", "runs/mine.parquet", parquet(NUMBERS)),
        ("foreign_pairs", "pairs/mine.parquet", parquet(NUMBERS)),
        ("foreign_text", "runs/mine.parquet", b"text"),
        ("foreign_below", "runs/more/mine.parquet", parquet(NUMBERS)),
        ("damaged", f"runs/{KEY}.parquet", b"text"),
        ("empty_part", f"runs/{KEY}.parquet", b""),
        ("foreign_part", f"runs/{KEY}.parquet", parquet(NUMBERS)),
        ("siblings", f"added_siblings/{KEY}.json", b"[1"),
        ("siblings_of_text", f"added_siblings/{KEY}.json", b'["a"]'),
        ("siblings_of_null", f"added_siblings/{KEY}.json", b"[null]"),
        ("siblings_negative", f"added_siblings/{KEY}.json", b"[-1]"),
    ):
        shutil.copytree(folder / "R", folder / "results_of" / name)
        save(folder / "results_of" / name / file, content)
    shutil.copytree(folder / "R", folder / "results_of/table_is_file")
    shutil.rmtree(folder / "results_of/table_is_file/runs")
    save(folder / "results_of/table_is_file/runs", "text")
    save(folder / "weights/text.pt", "weights")
    save(folder / "weights/empty.pt", b"")
    save(folder / "weights/own.json", "weights")
    os.symlink("loop.csv", folder / "loop.csv")
    os.symlink("loop", folder / "loop")
    os.symlink("nowhere.csv", folder / "dangling.csv")
    os.symlink("R/runs", folder / "link_to_runs")
    os.symlink("R/sweep.json", folder / "link.json")
    os.symlink("R", folder / "link_to_results")
    os.symlink(f"R/{MODEL}", folder / "link.html")
