"""What --precision auto is, and that it decides keys as if it had been typed."""

from dataclasses import replace

import pytest

from sweeps.results.store import Store
from sweeps.running.options import RunOptions
from sweeps.running.precision import resolved_precision
from sweeps.running.progress import SweepProgress
from sweeps.spec.presets import PRESETS
from sweeps.spec.study_presets import SPARSITY
from trainables.execution import precision
from trainables.execution.precision import faster_precision
from trainables.execution.timings import Timing, Timings
from trainables.execution.trial import Trial

SPEC = replace(PRESETS["smoke"], precision="auto")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture
def measured(monkeypatch):
    def faster(*what):
        return "bfloat16", "--precision auto: measured."

    monkeypatch.setattr(precision, "faster_precision", faster)


@pytest.mark.parametrize("spec", [SPEC, replace(SPARSITY, precision="auto")], ids=["grid", "study without points"])
def test_a_new_sweep_takes_what_is_faster_here(spec, store, measured, capsys):
    assert resolved_precision(spec, store, RunOptions()) == "bfloat16"
    assert capsys.readouterr().out == "--precision auto: measured.\n"


def test_the_same_command_goes_on_with_what_it_began(store, measured, capsys):
    store.set_spec(replace(SPEC, precision="float32", densities=(0.1,)))
    assert resolved_precision(SPEC, store, RunOptions()) == "float32"
    assert "as in the latest sweep" in capsys.readouterr().out
    assert resolved_precision(replace(SPEC, lr=0.2), store, RunOptions()) == "bfloat16"


def test_what_cannot_be_measured_is_float32(store, measured, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolved_precision(SPEC, store, RunOptions(address="auto")) == "float32"
    assert resolved_precision(SPEC, store, RunOptions(gpus_per_trial=0.5)) == "float32"
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(("bfloat16", "chosen"), [(89.0, "bfloat16"), (91.0, "float32"), (150.0, "float32")])
def test_bfloat16_is_taken_if_it_is_a_tenth_faster(tmp_path, monkeypatch, bfloat16, chosen):
    import torch

    times = {"float32": 100.0, "bfloat16": bfloat16}

    def timings(self, names):
        return {name: Timing(times[self._like.recipe.precision], 0.0) for name in names}

    monkeypatch.setattr(Trial, "timings", timings)
    point = replace(SPEC, precision="float32").points()[0].point
    what = point.dense.model, point.dense.data, point.retrain, 2, 0.1, torch.device("cpu"), Timings(str(tmp_path))
    found, said = faster_precision(*what)
    assert found == chosen
    assert "measured now" in said
    assert "known from before" in faster_precision(*what)[1]


def test_a_note_is_printed_once(capsys):
    progress = SweepProgress(1, 0, [])
    progress.note("one")
    progress.note("one")
    assert capsys.readouterr().out == "one\n"
