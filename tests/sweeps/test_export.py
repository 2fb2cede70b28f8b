"""A model that leaves the results is the one whose numbers are stored, in every format."""

import errno
import hashlib
import json
import math
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from points import made_up_rows, record, run_plan
from support import run_here

from metrics.error import error
from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.search_answers import keep_answers
from sweeps.results.store import Store
from sweeps.spec.presets import PRESETS
from trainables import data
from trainables.data import outline
from trainables.models import build
from trainables.models.exported import FORMATS, Exported, plain_model
from trainables.stages import Lost
from trainables.stages.machine import Machine
from trainables.storage import artifacts

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = replace(
    PRESETS["smoke"],
    epochs=2,
    retrain_epochs=1,  # so that test and validation error are those of the end
    temperatures=(1, 2),
    densities=(0.2, 0.5),
    dense_seeds=(1,),
    retrain_seeds=(1, 2),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results of a tiny sweep that was really trained."""
    store = Store(tmp_path_factory.mktemp("trained") / "results")
    store.set_spec(SPEC)
    machine = Machine(store.artifacts, torch.device("cpu"))
    run_plan(GridPlan(SPEC.points(), SPEC.measurement, inventory_of(store)), store, machine)
    return store.folder.path


@pytest.fixture
def own(trained, tmp_path):
    """A copy of the results, to be changed."""
    return shutil.copytree(trained, tmp_path / "own")


NAMED = ("--temperature", 2, "--density", 0.2, "--dense-seed", 1, "--retrain-seed", 2)


def export(results, out, *arguments, code=0):
    done = run_here("export", results, "--out", out, *arguments)
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.startswith("export.py: ")
        assert done.stderr.endswith(".\n")
        assert done.stderr.count("\n") == 1
        assert not done.stdout
    return done.stderr if code else done.stdout


def row_of(results, about):
    rows = Store(results).rows("runs")
    (row,) = (r for r in rows if (r["point"], r["retrain_seed"]) == (about["point"], about["retrain_seed"]))
    return row


def about(out):
    return json.loads(out.with_suffix(".json").read_text())


def images(split, said):
    """Images of a split as a model takes them, by what the JSON says alone, and their labels."""
    loaded = getattr(data.load(said["data"], SPEC.validation_fraction), split)
    normalised = (loaded.pixels - np.array(said["mean"])) / np.array(said["std"])
    return torch.tensor(normalised, dtype=torch.float32).permute(0, 3, 1, 2), torch.tensor(loaded.labels)


def fresh(said):
    return build(said["model"], said["image"]["channels"], said["classes"])


def errors_of(model, said):
    with torch.no_grad():
        splits = {split: images(split, said) for split in ("train", "validation", "test")}
        return {f"{split}_error": error(model(x), y).item() for split, (x, y) in splits.items()}


def test_the_state_in_a_fresh_model_has_the_errors_and_the_density_that_are_stored(trained, tmp_path):
    out = tmp_path / "model.pt"
    said = export(trained, out, *NAMED)
    assert "epochs 2, density 0.2, dense seed 1, retrain seed 2" in said
    known = about(out)
    row = row_of(trained, known)
    assert (known["retrain_seed"], known["temperature"], known["load"]) == (2, 2, 0.2)
    state = torch.load(out, weights_only=True)
    model = fresh(known)
    model.load_state_dict(state)
    assert errors_of(model.eval(), known) == {
        name: row[name] for name in ("train_error", "validation_error", "test_error")
    }
    assert all(tensor.is_contiguous() for tensor in state.values())
    pruned = known["density_by_layer"]
    kept = {name: state[name].count_nonzero().item() for name in pruned}
    assert {name: kept[name] / state[name].numel() for name in pruned} == pruned == dict(row["density_by_layer"])
    assert sum(kept.values()) / sum(state[name].numel() for name in pruned) == known["density"] == row["density"]


def test_the_json_says_what_it_is(trained, tmp_path):
    out = tmp_path / "model.pt"
    export(trained, out, *NAMED)
    known = about(out)
    (stage,) = (s for s in SPEC.points() if (s.label.temperature, s.label.load) == (2, 0.2))
    (pair,) = (row for row in Store(trained).rows("pairs") if row["point"] == stage.key)
    assert next(iter(known)) == "made_by"
    expected = {
        "made_by": "three-regime-sweeps",
        "file": "model.pt",
        "format": "torch",
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "model": SPEC.model,
        "data": "digits",
        "image": {"height": 8, "width": 8, "channels": 1},
        "classes": 10,
        "lmc": pair["lmc"],
        "cka": pair["cka"],
        "n_pairs": 1,
        "temperature_axis": "epochs",
        "load_axis": "density",
        "pruner": SPEC.pruner,
        "dense_seed": 1,
        "dense": stage.run.key,
        "point": stage.key,
        "epoch": 2,
        "configuration": json.loads(row_of(trained, known)["configuration"]),
        "package_version": row_of(trained, known)["package_version"],
    }
    assert {name: known[name] for name in expected} == expected
    assert known["regime"] in ("I", "II-A", "II-B")
    assert known["mean"] == list(data.normalisation("digits").mean)


def test_safetensors_hold_the_same_tensors_and_what_they_are(trained, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    export(trained, tmp_path / "model.pt", *NAMED)
    export(trained, tmp_path / "same.safetensors", *NAMED)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    with safetensors.safe_open(tmp_path / "same.safetensors", "pt") as file:
        assert set(file.keys()) == set(state)
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in state.items())
        said = file.metadata()
    known = about(tmp_path / "same.safetensors")
    assert (said["model"], float(said["test_error"])) == (SPEC.model, known["test_error"])
    assert json.loads(said["mean"]) == known["mean"]


@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_logits_for_any_number_of_images(trained, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    export(trained, tmp_path / "model.pt", *NAMED)
    said = export(trained, tmp_path / "same.onnx", *NAMED)
    assert said.count("\n") == 2
    known = about(tmp_path / "same.onnx")
    model = fresh(known).eval()
    model.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    session = onnxruntime.InferenceSession(tmp_path / "same.onnx")
    assert session.get_modelmeta().custom_metadata_map["point"] == known["point"]
    x, _ = images("test", known)
    for number in (1, 7):
        (logits,) = session.run(["logits"], {"images": x[:number].numpy()})
        np.testing.assert_allclose(logits, model(x[:number]).detach().numpy(), atol=1e-4)


def test_the_end_of_the_name_says_the_format_or_the_option(trained, tmp_path):
    for name, options, written in (
        ("a.pth", (), "torch"),
        ("b.bin", (), "torch"),
        ("c", ("--format", "torch"), "torch"),
        ("d.SAFETENSORS", (), "safetensors"),
        ("e.weights", ("--format", "safetensors"), "safetensors"),
    ):
        if written == "safetensors":
            pytest.importorskip("safetensors")
        export(trained, tmp_path / name, *NAMED, *options)
        assert about(tmp_path / name)["format"] == written
    said = export(trained, tmp_path / "f.pt", "--format", "onnx", *NAMED, code=2)
    assert "f.pt: its end is that of torch, and --format is onnx" in said


def test_a_format_whose_packages_are_missing_says_how_to_have_them(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.models.exported.find_spec", lambda name: None)
    for name, packages in (("safetensors", "safetensors"), ("onnx", "onnx and onnxscript")):
        said = export(trained, tmp_path / f"model.{name}", *NAMED, code=2)
        assert f"--format {name} needs {packages}: .venv/bin/pip install --editable '.[export]' in the clone." in said
    export(trained, tmp_path / "model.pt", *NAMED)


def made_up(results, errors, spec=SPEC, endpoint=None, **options):
    """Results with these validation errors by temperature and retrain seed."""
    store = Store(results, endpoint)
    store.set_spec(spec)
    for stage in spec.points():
        rows = made_up_rows(stage, **options)
        for row in rows["runs"]:
            row["validation_error"] = errors.get((stage.label.temperature, row["retrain_seed"]), 0.9)
        record(store, stage, rows)
        keep(store, stage, stage.seeds)
    return store


def keep(store, stage, seeds):
    """Siblings with a weight that tells temperature and seed."""
    models = [{"w": torch.tensor([stage.label.temperature, seed])} for seed in seeds]
    siblings = [{"seed": seed, "model": model, "diverged": 0} for seed, model in zip(seeds, models, strict=True)]
    file = f"siblings/{stage.key}/{'-'.join(map(str, seeds))}.pt"
    artifacts.save(store.artifacts, file, {"masks": {}, "siblings": siblings})


def chosen(out):
    return torch.load(out, weights_only=True)["w"].tolist()


def test_best_has_the_lowest_validation_error_at_the_density_and_the_temperature_given(tmp_path):
    out = tmp_path / "model.pt"
    made_up(tmp_path / "R", {(1, 1): 0.3, (1, 2): 0.2, (2, 1): 0.1, (2, 2): math.nan})
    said = export(tmp_path / "R", out, "--best", "--density", 0.2)
    assert chosen(out) == [2, 1]
    assert "validation error 0.1000, test error 0.1000 (the lowest validation error of 4 siblings)\n" in said
    assert "a search chose" not in said
    said = export(tmp_path / "R", out, "--best", "--density", 0.2, "--temperature", 1)
    assert chosen(out) == [1, 2]
    assert "(the lowest validation error of 2 siblings)\n" in said
    assert "a search chose" not in said


def test_after_a_search_best_is_of_the_temperature_that_it_chose(tmp_path):
    store, out = (
        made_up(tmp_path / "R", {(1, 1): 0.3, (1, 2): 0.2, (2, 1): 0.1, (2, 2): math.nan}),
        tmp_path / "model.pt",
    )
    keep_answers(store.folder, {0.2: 1.0}, SPEC.points())
    said = export(tmp_path / "R", out, "--best", "--density", 0.2)
    assert chosen(out) == [1, 2]
    assert "(the lowest validation error of 2 siblings of epochs 1, which a search chose)\n" in said
    export(tmp_path / "R", out, "--best", "--density", 0.2, "--temperature", 2)
    assert chosen(out) == [2, 1]
    keep_answers(store.folder, {0.2: 2.0}, SPEC.points())  # the latest counts
    export(tmp_path / "R", out, "--best", "--density", 0.2)
    assert chosen(out) == [2, 1]
    keep_answers(store.folder, {0.2: None}, SPEC.points())
    assert "a search chose" not in export(tmp_path / "R", out, "--best", "--density", 0.2)
    for broken in (
        b"{",
        b"3",
        b'[1, {"among": 3}, {"among": [[]], "temperature": 2}, {"among": [], "temperature": []}]',
    ):
        store.folder.write("search_answers.json", broken)
        assert "a search chose" not in export(tmp_path / "R", out, "--best", "--density", 0.2)


def test_of_equal_ones_it_is_the_first_of_those_that_are_kept(tmp_path):
    store, out = made_up(tmp_path / "R", {(1, 2): 0.1, (2, 1): 0.1, (2, 2): 0.1}), tmp_path / "model.pt"
    said = export(tmp_path / "R", out, "--best", "--density", 0.2)
    assert chosen(out) == [1, 2]
    assert "the first of 3 with as low a one" in said
    stage = next(stage for stage in SPEC.points() if (stage.label.temperature, stage.label.load) == (1, 0.2))
    store.artifacts.delete(f"siblings/{stage.key}/1-2.pt")
    export(tmp_path / "R", out, "--best", "--density", 0.2)
    assert chosen(out) == [2, 1]


def test_of_a_sweep_over_widths_the_width_is_given(tmp_path):
    spec = replace(SPEC, load="width", widths=(0.5, 1), densities=(0.2,), model="preresnet8")
    made_up(tmp_path / "R", {}, spec)
    out = tmp_path / "model.pt"
    export(tmp_path / "R", out, "--best", "--density", 0.2, "--width", 0.5)
    assert about(out)["model"] == "preresnet8-w0.5"
    said = export(tmp_path / "R", out, "--best", "--width", 2, code=2)
    assert "--width 2: the latest sweep there has 0.5 1." in said
    said = export(tmp_path / "R", out, "--best", "--density", 0.2, code=2)
    assert "--width (nothing): the latest sweep there has 0.5 1; give one of them." in said
    assert "--density 0.5: the latest sweep there has 0.2." in export(tmp_path / "R", out, "--density", 0.5, code=2)


@pytest.mark.slow
def test_results_in_object_storage(s3, tmp_path):
    folder, endpoint = f"{s3[0]}/export", s3[1]
    made_up(folder, {(2, 1): 0.1}, endpoint=endpoint)
    export(folder, tmp_path / "model.pt", "--best", "--density", 0.2, "--storage-endpoint", endpoint)
    assert chosen(tmp_path / "model.pt") == [2, 1]


def test_siblings_that_a_search_added_count(tmp_path):
    store = made_up(tmp_path / "R", {})
    stage = replace(SPEC.points()[0], seeds=(1, 2, 3))
    rows = made_up_rows(stage)
    rows["runs"][2]["validation_error"] = 0.01
    record(store, stage, rows)
    store.add_siblings([stage])
    keep(store, stage, (3,))
    export(tmp_path / "R", tmp_path / "model.pt", "--best", "--density", 0.2)
    assert chosen(tmp_path / "model.pt") == [1, 3]


def test_the_latest_sweep_counts_alone(tmp_path):
    made_up(tmp_path / "R", {(1, 1): 0.01})
    made_up(tmp_path / "R", {(1, 1): 0.5}, replace(SPEC, lr=0.01, densities=(0.2,)))
    export(tmp_path / "R", tmp_path / "model.pt", "--best")
    assert about(tmp_path / "model.pt")["configuration"]["retrain"]["lr"] == 0.01
    said = export(tmp_path / "R", tmp_path / "model.pt", "--best", "--density", 0.5, code=2)
    assert "--density 0.5: the latest sweep there has 0.2." in said


def test_without_seeds_the_only_one_that_is_kept_is_meant(tmp_path):
    store = made_up(tmp_path / "R", {})
    where = "--temperature", 1, "--density", 0.2
    said = export(tmp_path / "R", tmp_path / "model.pt", *where, code=2)
    assert "there are dense seed 1 with retrain seeds 1 2; give --dense-seed and --retrain-seed" in said
    stage = SPEC.points()[0]
    store.artifacts.delete(f"siblings/{stage.key}/1-2.pt")
    keep(store, stage, (2,))
    export(tmp_path / "R", tmp_path / "model.pt", *where)
    assert chosen(tmp_path / "model.pt") == [1, 2]
    said = export(tmp_path / "R", tmp_path / "other.pt", *where, "--retrain-seed", 1, code=2)
    assert "retrain seed 1: its weights were not kept" in said
    assert "--keep siblings" in said


def test_no_validation_errors_no_best(tmp_path):
    store = made_up(tmp_path / "R", dict.fromkeys([(t, s) for t in (1, 2) for s in (1, 2)], math.nan))
    said = export(store.folder.path, tmp_path / "model.pt", "--best", "--density", 0.2, code=2)
    assert "--best: no validation errors are stored there" in said


def test_a_sibling_that_is_not_there_diverged_or_failed_is_told(tmp_path):
    out, first = tmp_path / "model.pt", ("--temperature", 1, "--density", 0.2, "--dense-seed", 1, "--retrain-seed", 1)
    store = Store(tmp_path / "R")
    store.set_spec(SPEC)
    for arguments in (first, ("--best", "--density", 0.2)):
        assert "is not there yet" in export(tmp_path / "R", out, *arguments, code=2)
    store.record_failure(SPEC.points()[0], "the disk broke.")
    assert "retrain seed 1 failed (the disk broke); run its sweep again." in export(tmp_path / "R", out, *first, code=2)
    record(store, SPEC.points()[0], made_up_rows(SPEC.points()[0], status="diverged"))
    assert "retrain seed 1 diverged" in export(tmp_path / "R", out, *first, code=2)
    lost = SPEC.points()[3]
    store.record_lost([Lost(lost, lost.needs[0], "no dense model")])
    said = export(tmp_path / "R", out, "--temperature", 2, "--density", 0.5, "--retrain-seed", 1, code=2)
    assert "density 0.5, dense seed 1, retrain seed 1 failed (no dense model)" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        (("--temperature", 3, "--density", 0.2), "--temperature 3: the latest sweep there has 1 2."),
        (("--temperature", "nan", "--density", 0.2), "--temperature nan"),
        (("--temperature", 2, "--density", 0.3), "--density 0.3: the latest sweep there has 0.2 0.5."),
        (("--density", 0.2), "--temperature (nothing): the latest sweep there has 1 2; give one of them."),
        (("--best",), "--density (nothing): the latest sweep there has 0.2 0.5; give one of them."),
        ((*NAMED, "--best"), "--dense-seed 1: --best chooses among the seeds"),
        ((*NAMED[:-1], 9), "--retrain-seed 9: the latest sweep there has 1 2."),
        ((*NAMED[:4], "--dense-seed", 7), "--dense-seed 7: the latest sweep there has 1."),
        ((*NAMED, "--width", 2), "--width 2: it is of a sweep with --load width"),
        ((*NAMED, "--format", "keras"), "--format keras: it is one of torch, safetensors, onnx."),
        ((*NAMED, "--storage-endpoint", "http://127.0.0.1:1"), "endpoint"),
    ],
)
def test_what_is_asked_for_wrongly_is_one_sentence(arguments, quoted, trained, tmp_path):
    assert quoted in export(trained, tmp_path / "model.pt", *arguments, code=2)
    assert not list(tmp_path.iterdir())


def test_results_that_are_none_are_told(trained, tmp_path):
    assert "--out (nothing)" in run_here("export", trained, *NAMED).stderr
    assert "absent" in export(tmp_path / "absent", tmp_path / "model.pt", code=2)
    (tmp_path / "table.csv").write_text("temperature,density,lmc,test_error\n1,0.1,-0.2,0.3\n")
    assert "is a file; name the folder of a sweep" in export(tmp_path / "table.csv", tmp_path / "model.pt", code=2)


def test_only_models_are_replaced(own, tmp_path):
    for name, quoted in (
        ("own", "is not a file on this machine"),
        ("model.json", "beside a model is what it is"),
        ("absent/..", "is not a file"),
        ("own/artifacts/model.pt", "artifacts is of them"),
        ("own/sweep.pt", "sweep.json is of them"),
        ("own/sweep.json/model.pt", "sweep.json"),
    ):
        assert quoted in export(own, tmp_path / name, *NAMED, code=2)
    (tmp_path / "mine.pt").write_bytes(b"mine")
    assert "no command like this one wrote it" in export(own, tmp_path / "mine.pt", *NAMED, code=2)
    (tmp_path / "other.json").write_text("{}")
    assert "other.json, which is something else" in export(own, tmp_path / "other.pt", *NAMED, code=2)
    for seed in (1, 2):
        export(own, tmp_path / "model.pt", *NAMED[:-1], seed)
        assert about(tmp_path / "model.pt")["retrain_seed"] == seed
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_told(trained, tmp_path, monkeypatch):
    def full(self, other):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.replace", full)
    said = export(trained, tmp_path / "model.pt", *NAMED, code=2)
    assert "cannot be written: the disk of" in said
    assert not list(tmp_path.iterdir())


def test_damaged_weights_are_told(own, tmp_path):
    (file,) = (file for file in (own / "artifacts/siblings").rglob("*.pt") if is_of(file, NAMED))
    file.write_bytes(b"no model")
    assert "is damaged" in export(own, tmp_path / "model.pt", *NAMED, code=2)


def is_of(file, named):
    (stage,) = (s for s in SPEC.points() if (s.label.temperature, s.label.load) == (named[1], named[3]))
    return file.parent.name == stage.key


def test_data_that_are_not_here_leave_out_the_normalisation_and_import_nothing(tmp_path):
    evil = "absent_module:data#20+10-8x8x1-10-" + "0" * 20
    spec = replace(SPEC, data=evil, validation_fraction=0.1, model="absent_module:model#0123456789ab", batch_size=4)
    made_up(tmp_path / "R", {(1, 1): 0.1}, spec)
    out = tmp_path / "model.pt"
    said = export(tmp_path / "R", out, "--best", "--density", 0.2, "--data-folder", tmp_path)
    assert "Left out: mean and standard deviation of the channels" in said
    assert (about(out)["mean"], about(out)["classes"]) == (None, 10)
    pytest.importorskip("onnxscript")
    said = export(tmp_path / "R", tmp_path / "model.onnx", "--best", "--density", 0.2, code=2)
    assert "module 'absent_module' of model absent_module:model cannot be imported" in said


def test_a_state_of_another_model_is_one_sentence():
    state = {"w": torch.zeros(3)}
    with pytest.raises(ValueError, match="the weights do not fit the model resnet8"):
        plain_model(Exported("resnet8", state, outline("digits"), {}))


class Undecided(torch.nn.Module):
    """Does what its images say: torch cannot follow it."""

    def forward(self, x):
        return x.flatten(1) + 1 if x.sum() > 0 else x.flatten(1)


def test_a_model_that_onnx_cannot_express_is_one_sentence(monkeypatch, capfd):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr("trainables.models.exported.build", lambda name, channels, classes, size: Undecided())
    with pytest.raises(ValueError, match=r"^the model own:model cannot be written as ONNX \([^\n]+\)$"):
        FORMATS["onnx"].encode(Exported("own:model", {}, outline("digits"), {}))
    assert capfd.readouterr() == ("", "")


def test_what_is_published_of_data_is_known_without_them(tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.data.torchvision_sets.load_images", None)
    mean, std = data.normalisation("CIFAR10", str(tmp_path))
    assert (mean[0], std[0]) == (255 * 0.4914, 255 * 0.2023)
