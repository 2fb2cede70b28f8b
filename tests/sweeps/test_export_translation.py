"""A translation model that leaves the results translates outside as it did in its sweep."""

import hashlib
import json
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from points import run_plan
from support import run_here
from toy_text import MODEL, toy

from metrics.bleu import bleu
from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from sweeps.running import carry_out
from sweeps.running.options import RunOptions
from sweeps.running.progress import SweepProgress
from sweeps.spec.presets import PRESETS
from trainables.data import vocabulary_file
from trainables.data.text import parallel
from trainables.data.text.vocabulary import BEGIN, END, PADDING
from trainables.models import build_translator
from trainables.stages.machine import Machine

pytest.importorskip("sentencepiece")
pytestmark = pytest.mark.usefixtures("one_thread")

DOCS = Path(__file__).parent.parent.parent / "docs" / "export.md"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results of a tiny sweep that was really trained."""
    folder = tmp_path_factory.mktemp("trained")
    spec = replace(
        PRESETS["smoke"],
        data=toy(folder / "text", train=200, valid=20, test=30, cache=folder / "data"),
        validation_fraction=0,
        model=MODEL,
        optimizer="adamw",
        lr=0.01,
        batch_size=128,
        epochs=10,
        retrain_epochs=1,
        temperatures=(10,),
        densities=(0.9,),
        dense_seeds=(1,),
        retrain_seeds=(1, 2),
    )
    store = Store(folder / "results")
    store.set_spec(spec)
    machine = Machine(store.artifacts, torch.device("cpu"), data_folder=str(folder / "data"))
    run_plan(GridPlan(spec.points(), spec.measurement, inventory_of(store)), store, machine)
    return store.folder.path


NAMED = ("--dense-seed", 1, "--retrain-seed", 2)


def export(results, out, *arguments, code=0):
    done = run_here("export", results, "--out", out, *NAMED, *arguments)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def about(out):
    return json.loads(out.with_suffix(".json").read_text())


def row_of(results):
    (row,) = (row for row in Store(results).rows("runs") if row["retrain_seed"] == NAMED[-1])
    return row


def test_as_the_docs_say_it_translates_as_well_as_in_its_sweep(trained, tmp_path, monkeypatch, capsys):
    out = tmp_path / "model.pt"
    said = export(trained, out)
    assert f"Model: {out} (what it is: {tmp_path}/model.json; vocabulary: {tmp_path}/model.vocabulary)\n" in said
    (code,) = re.findall(r"## Translating a sentence.*?```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert capsys.readouterr().out.strip()
    source, target = (
        (Path(trained).parent / "text" / f"test.{language}").read_text().splitlines() for language in ("xx", "yy")
    )
    row = row_of(trained)
    assert bleu([names["translation"](sentence) for sentence in source], target).score == row["bleu"] > 5
    assert (about(out)["bleu"], about(out)["test_error"]) == (row["bleu"], row["test_error"])


def test_the_json_says_languages_and_vocabulary_and_nothing_of_images(trained, tmp_path):
    export(trained, tmp_path / "model.pt")
    known = about(tmp_path / "model.pt")
    content = (tmp_path / "model.vocabulary").read_bytes()
    assert known["languages"] == {"source": "xx", "target": "yy"}
    assert known["vocabulary"] == {
        "file": "model.vocabulary",
        "kind": "bpe",
        "size": 29,
        "padding": 0,
        "unknown": 1,
        "begin": 2,
        "end": 3,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert not {"image", "classes", "mean", "std"} & set(known)


def test_it_needs_neither_the_text_nor_this_machines_copy_of_the_vocabulary(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "results")
    moved = Path(trained).parent / "text"
    moved.rename(tmp_path / "text")
    try:
        export(tmp_path / "results", tmp_path / "model.pt", "--data-folder", tmp_path / "nothing")
    finally:
        (tmp_path / "text").rename(moved)
    (vocabulary,) = (tmp_path / "results" / "artifacts" / "vocabularies").iterdir()
    assert vocabulary.read_bytes() == (tmp_path / "model.vocabulary").read_bytes()
    vocabulary.unlink()
    said = export(tmp_path / "results", tmp_path / "other.pt", code=2)
    assert "retrain seed 2: its vocabulary is not there any more; run its sweep again." in said
    assert not list(tmp_path.glob("other*"))


def test_safetensors_hold_the_same_tensors(trained, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    export(trained, tmp_path / "model.pt")
    export(trained, tmp_path / "same.safetensors")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    with safetensors.safe_open(tmp_path / "same.safetensors", "pt") as file:
        assert all(torch.equal(file.get_tensor(name), state.pop(name)) for name in file.keys())  # noqa: SIM118
        assert json.loads(file.metadata()["vocabulary"]) == about(tmp_path / "same.safetensors")["vocabulary"]
    assert not state


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_onnx_takes_source_and_target_of_any_number_and_length(trained, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    export(trained, tmp_path / "model.pt")
    export(trained, tmp_path / "same.onnx")
    model = build_translator(about(tmp_path / "same.onnx")["model"], 29).eval()
    model.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    session = onnxruntime.InferenceSession(tmp_path / "same.onnx")
    for number, lengths in ((1, (2, 1)), (3, (9, 30)), (2, (7, 5))):
        source, target = (torch.randint(4, 29, (number, length)) for length in lengths)
        source[:, -1], target[:, 0] = END, BEGIN
        source[0, 3:] = PADDING
        (logits,) = session.run(["logits"], {"source": source.numpy(), "target": target.numpy()})
        np.testing.assert_allclose(logits, model(source, target).detach().numpy(), atol=1e-4)


def test_only_vocabularies_of_its_own_are_replaced(trained, tmp_path):
    (tmp_path / "model.vocabulary").write_bytes(b"mine")
    said = export(trained, tmp_path / "model.pt", code=2)
    assert f"its vocabulary goes to {tmp_path / 'model.vocabulary'}, which is something else; name another." in said
    assert "beside a model is" in export(trained, tmp_path / "model.vocabulary", code=2)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("model.vocabulary", b"mine")]
    (tmp_path / "model.vocabulary").unlink()
    export(trained, tmp_path / "model.pt")
    (tmp_path / "model.vocabulary").write_bytes(b"an older one")
    export(trained, tmp_path / "model.pt")
    assert (tmp_path / "model.vocabulary").read_bytes() != b"an older one"


def test_a_model_of_images_has_no_vocabulary_to_replace(trained, tmp_path):
    """A JSON of its own that names none does not make a vocabulary its own."""
    export(trained, tmp_path / "model.pt")
    known = about(tmp_path / "model.pt")
    del known["vocabulary"]
    (tmp_path / "model.json").write_text(json.dumps(known, indent=2))
    assert "which is something else" in export(trained, tmp_path / "model.pt", code=2)


def test_a_sweep_has_its_vocabulary_before_its_first_trial_begins(tmp_path, monkeypatch):
    """Which may be on a machine with another sentencepiece."""
    from sweeps.running import cluster, tune_run

    data = toy(tmp_path / "text", train=60, valid=0, test=3, cache=tmp_path / "data")
    spec = replace(PRESETS["smoke"], data=data, validation_fraction=0, model=MODEL)
    store, there = Store(tmp_path / "results"), []
    plan = GridPlan(spec.points(), spec.measurement, inventory_of(store))
    monkeypatch.setattr(parallel, "_SHARED", set())
    monkeypatch.setattr(cluster, "ray_cluster", lambda *what: nullcontext())
    monkeypatch.setattr(cluster, "own_processes", dict)
    monkeypatch.setattr(carry_out, "watched", lambda *what: nullcontext())
    monkeypatch.setattr(tune_run, "run", lambda *what: there.append(store.artifacts.read(vocabulary_file(data))))
    options, progress = RunOptions(data_folder=str(tmp_path / "data")), SweepProgress(1, 0, plan.left)
    assert carry_out.carry_out(plan, store, lambda: None, options, progress)
    assert there == [(tmp_path / "data" / vocabulary_file(data)).read_bytes()]
