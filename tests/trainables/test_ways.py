"""Which way of computing is chosen, without compiling anything: the ways here are made up."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from trainables.execution import chooser as choosing
from trainables.execution import compiled, trial, ways
from trainables.execution.chooser import Chooser, case_of
from trainables.execution.compiled import Compiled, draws_random_numbers
from trainables.execution.timings import COLUMNS, FILE, SHIPPED, Timing, Timings
from trainables.execution.trial import Trial, worth
from trainables.stacks.stack import plainly
from trainables.tasks import lookalike_task
from trainables.training.recipe import Recipe
from trainables.training.training import Training

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=8)
MODEL, DATA = "preresnet8-w0.25", "digits"


class Counted:
    """Computes plainly, and counts."""

    problem = None
    calls = 0

    def __call__(self, module, *inputs):
        Counted.calls += 1
        return plainly(module, *inputs)


def broken(module, *inputs):
    raise RuntimeError("no compiler.\nat length")


@pytest.fixture
def training():
    task = lookalike_task(DATA, CPU, 20)
    return Training(task.stack(MODEL, 2), RECIPE, task, [("retrain", 1), ("retrain", 2)])


@pytest.fixture
def timings(tmp_path):
    return Timings(str(tmp_path))


@pytest.fixture
def counted(monkeypatch):
    Counted.calls = 0
    monkeypatch.setitem(ways.WAYS, "compiled", ways.Way(lambda stack, masks: Counted(), is_compiled=True))


def timed(monkeypatch, **milliseconds):
    """Have these times come out of trials."""
    found = {name: Timing(step, 10.0 * (name != ways.PLAIN)) for name, step in milliseconds.items()}
    monkeypatch.setattr(Trial, "timings", lambda self, names, turns=0: {name: found[name] for name in names})


@pytest.mark.parametrize(
    ("plain", "compiled_", "begin", "steps", "chosen"),
    [
        (100, 50, 10, 1000, "compiled"),  # 150 s saved in three stages, for 10
        (100, 50, 100, 1000, "plain"),  # that is not clearly more than 100
        (100, 50, 10, 100, "plain"),
        (100, 96, 0, 10**6, "plain"),  # a tie
        (100, 120, 0, 1000, "plain"),
    ],
)
def test_compiled_code_is_chosen_where_it_clearly_pays(plain, compiled_, begin, steps, chosen):
    found = {"plain": Timing(plain, 0.0), "compiled": Timing(compiled_, begin)}
    assert worth(found, steps) == chosen


def test_off_changes_nothing(training, timings):
    chooser = Chooser("off", timings)
    assert chooser.settle(training, MODEL, DATA) == "float32, plain"
    assert training.stack.compute is plainly
    assert not chooser.notes


def test_short_trainings_are_computed_plainly_and_nothing_is_said_or_kept(training, timings, tmp_path, counted):
    chooser = Chooser("auto", timings)
    assert chooser.settle(training, MODEL, DATA) == "float32, plain"
    assert Counted.calls == 0
    assert not chooser.notes
    assert not list(tmp_path.iterdir())


def test_long_trainings_take_what_is_faster_which_is_known_from_then_on(training, timings, monkeypatch, counted):
    timed(monkeypatch, plain=10**6, compiled=10**5)
    first = Chooser("auto", timings)
    assert first.settle(training, MODEL, DATA) == "float32, compiled"
    assert isinstance(training.stack.compute, Counted)
    (said,) = first.notes
    assert said.startswith(f"{MODEL}, batch 8 of each of 2 models, float32, ")
    assert said.endswith("compiled (10 times as fast); measured now.")
    monkeypatch.setattr(Trial, "timings", None)
    again = Chooser("auto", timings)
    assert again.settle(training, MODEL, DATA) == "float32, compiled"
    assert again.notes[0].endswith("known from before.")


def test_it_is_tried_once_for_stages_alike(training, timings, counted):
    chooser = Chooser("on", timings)
    chooser.settle(training, MODEL, DATA)
    calls = Counted.calls
    assert calls > 0
    chooser.settle(training, MODEL, DATA)
    assert Counted.calls == calls


@pytest.mark.parametrize("compiling", ["on", "auto"])
def test_what_does_not_work_is_told_in_a_sentence_and_computed_plainly(training, timings, monkeypatch, compiling):
    monkeypatch.setattr(choosing, "SHORT", 0.0)
    monkeypatch.setitem(ways.WAYS, "compiled", ways.Way(lambda stack, masks: broken, is_compiled=True))
    chooser = Chooser(compiling, timings)
    assert chooser.settle(training, MODEL, DATA) == "float32, plain"
    assert training.stack.compute is plainly
    assert chooser.notes[0].endswith("is trained as torch computes it, not compiled: RuntimeError: no compiler.")
    training.run_epoch()


def test_a_trial_changes_neither_the_training_nor_random_numbers(training):
    before, numbers = training.stack.states(), torch.get_rng_state()
    found = Trial(training, MODEL, {}).timings(["plain"])
    assert found["plain"].step_ms > 0
    assert torch.equal(torch.get_rng_state(), numbers)
    assert training.epoch == 0
    for mine, own in zip(before, training.stack.states(), strict=True):
        assert all(torch.equal(mine[name], own[name]) for name in mine)


def test_models_that_draw_random_numbers_are_not_compiled(training, monkeypatch):
    monkeypatch.setattr(
        training.task, "model", lambda name: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
    )
    task = training.task
    drawing = Training(task.stack("own", 1), training.recipe, task, [("test", 1)])
    tried = Trial(drawing, "own", {})
    assert not tried.works("compiled")
    assert isinstance(tried.problems["compiled"], trial.DrawsError)
    assert draws_random_numbers(lambda: torch.rand(1), CPU)
    assert not draws_random_numbers(lambda: torch.ones(1), CPU)


def test_only_usual_batches_in_training_are_computed_by_compiled_code(monkeypatch):
    seen = []
    monkeypatch.setattr(compiled, "_compiled_call", lambda mode: lambda module, x: (seen.append(len(x)), module(x))[1])
    compute, module = Compiled(), nn.Linear(3, 2)
    for batch in (8, 8, 5, 8):
        assert compute(module, torch.ones(batch, 3)).shape == (batch, 2)
    module.eval()
    compute(module, torch.ones(8, 3))
    assert seen == [8, 8, 8]


def test_after_a_problem_of_compiling_it_goes_on_plainly(monkeypatch):
    import torch._dynamo

    def fails(mode):
        raise torch._dynamo.exc.InternalTorchDynamoError("what")

    monkeypatch.setattr(compiled, "_compiled_call", fails)
    compute, module = Compiled(), nn.Linear(3, 2)
    assert torch.equal(compute(module, torch.ones(8, 3)), module(torch.ones(8, 3)))
    assert str(compute.problem) == "what"


def test_timings_are_kept_by_case_and_way(timings, tmp_path):
    case = case_of(MODEL, DATA, RECIPE, 2, CPU)
    assert case.image == "8x8x1"
    other = replace(case, threads=case.threads + 1)
    timings.add(case, {"plain": Timing(12.5, 0.0)})
    timings.add(case, {"compiled": Timing(10.0, 20.0)})
    timings.add(other, {"plain": Timing(7.0, 0.0)})
    assert timings.known(case) == {"plain": Timing(12.5, 0.0), "compiled": Timing(10.0, 20.0)}
    assert timings.known(other) == {"plain": Timing(7.0, 0.0)}
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"a,b\n1,2\n", (",".join(COLUMNS) + "\nshort\n").encode()])
def test_a_damaged_table_is_none(timings, tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    case = case_of(MODEL, DATA, RECIPE, 2, CPU)
    assert timings.known(case) == {}
    timings.add(case, {"plain": Timing(12.5, 0.0)})
    assert timings.known(case) == {"plain": Timing(12.5, 0.0)}


def test_a_table_that_cannot_be_written_does_no_harm(tmp_path):
    (tmp_path / "file").write_text("")
    timings = Timings(str(tmp_path / "file"))
    timings.add(case_of(MODEL, DATA, RECIPE, 2, CPU), {"plain": Timing(12.5, 0.0)})


def test_the_shipped_table_can_be_read():
    heading, *rows = SHIPPED.read_text().splitlines()
    assert heading == ",".join(COLUMNS)
    assert len(list(timings_read())) == len(rows)


def timings_read():
    from trainables.execution.timings import _read

    return _read(SHIPPED)
