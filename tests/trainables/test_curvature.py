"""Curvature as a stage: against closed forms and an exact Hessian, of models that have none, stored and failed."""

import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from points import run_plan
from torch.func import functional_call, hessian

from sweeps.plans.plan import StagePlan
from sweeps.results.inventory import inventory_of
from sweeps.results.store import Store
from trainables.models import pin
from trainables.stages import CurvatureSettings, CurvatureStage, DenseRun, DenseStage, finish
from trainables.stages.cost import StageCosts
from trainables.stages.dense import dense_file, dense_model
from trainables.stages.machine import Machine, task_of
from trainables.storage import artifacts
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

PIXELS, CLASSES = 64, 10
WEIGHTS = CLASSES * (PIXELS + 1)
RUN = DenseRun("digits", 0.7, "linear", Recipe(epochs=2, batch_size=64, lr=0.05), 1)
EXACT = CurvatureSettings(images=60, products=3 * WEIGHTS)
"""With as many products as this the trace of a linear model has no error."""

QUICK = CurvatureSettings(images=60, products=6)
NUMBERS = ("hessian_eigenvalue", "hessian_trace", "hessian_trace_se")
SOURCE = """
import torch
from torch import nn
from torch.autograd.function import once_differentiable

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient

class Distances(nn.Module):
    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(7, 64))

    def forward(self, x):
        return torch.cdist(x, self.centres, p=1.5)

class Squares(nn.Module):
    def forward(self, x):
        return Square.apply(x)

def distances(classes):
    return nn.Sequential(nn.Flatten(), Distances(), nn.Linear(7, classes))

def squares(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7), Squares(), nn.Linear(7, classes))
"""


@pytest.fixture
def machine(tmp_path):
    return machine_at(tmp_path / "artifacts")


def machine_at(folder):
    return Machine(LocalFolder(folder), torch.device("cpu"))


def execute(stage, machine):
    """Rows by epoch, once the dense models are trained."""
    for need in stage.needs:
        finish(need.execute(machine))
    return {row["epoch"]: row for row in finish(stage.execute(machine))["curvature"]}


def numbers(row):
    return [row[name] for name in ("train_loss", "train_error", *NUMBERS)]


def exact(machine):
    """Hessian of the mean cross entropy of the sample, at the linear model after two epochs; and its images."""
    state = {name: tensor.double() for name, tensor in dense_model(RUN, 2, machine.folder)["model"].items()}
    task = task_of(RUN, machine)
    sample = task.split("train").balanced(EXACT.images)
    images = torch.cat(list(sample.batches(1000))).double()
    model = task.model(RUN.model).double()
    sizes = {name: tensor.numel() for name, tensor in state.items()}

    def loss(flat):
        parts = dict(zip(sizes, flat.split(list(sizes.values())), strict=True))
        own = {name: part.view_as(state[name]) for name, part in parts.items()}
        return torch.nn.functional.cross_entropy(functional_call(model, own, images), sample.labels)

    shares = functional_call(model, state, images).softmax(1)
    return hessian(loss)(torch.cat([tensor.flatten() for tensor in state.values()])), images.flatten(1), shares


def test_of_a_linear_model_it_is_the_closed_form_of_softmax_regression(machine):
    row = execute(CurvatureStage(RUN, (2,), EXACT), machine)[2]
    whole, images, shares = exact(machine)
    closed = ((shares * (1 - shares)).sum(1) * (images.square().sum(1) + 1)).mean()  # 1 is of the bias
    assert row["hessian_trace"] == pytest.approx(float(closed), rel=1e-5)
    assert row["hessian_trace"] == pytest.approx(float(whole.trace()), rel=1e-5)
    assert row["hessian_eigenvalue"] == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-3)
    assert row["hessian_trace_se"] == 0
    assert (row["status"], row["message"]) == ("ok", "")


def test_with_few_products_the_trace_is_within_its_error(machine):
    row = execute(CurvatureStage(RUN, (2,), replace(EXACT, products=30)), machine)[2]
    whole, _, _ = exact(machine)
    assert 0 < row["hessian_trace_se"] < 0.2 * float(whole.trace())
    assert abs(row["hessian_trace"] - float(whole.trace())) < 5 * row["hessian_trace_se"]
    assert row["hessian_eigenvalue"] == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-3)


def test_loss_and_error_are_of_all_training_images_as_of_the_table_of_dense_models(machine):
    (dense,) = finish(DenseStage(RUN, (2,)).execute(machine))["dense"]
    (row,) = finish(CurvatureStage(RUN, (2,), QUICK).execute(machine))["curvature"]
    assert [row[name] for name in ("train_loss", "train_error")] == [
        dense[name] for name in ("train_loss", "train_error")
    ]


def test_weight_decay_and_label_smoothing_are_not_in_it(machine):
    """The same weights, as if these were trained with both."""
    plain = execute(CurvatureStage(RUN, (2,), QUICK), machine)[2]
    other = replace(RUN, recipe=replace(RUN.recipe, weight_decay=0.1, label_smoothing=0.2))
    artifacts.save(machine.folder, dense_file(other, 2), dense_model(RUN, 2, machine.folder))
    (row,) = finish(CurvatureStage(other, (2,), QUICK).execute(machine))["curvature"]
    assert numbers(row) == numbers(plain)
    assert row["dense"] != plain["dense"]


def test_a_model_with_batch_norm_is_measured_in_evaluation_mode_and_stays_as_it_is(machine):
    run = replace(RUN, model="preresnet8-w0.25")
    first = execute(CurvatureStage(run, (2,), QUICK), machine)[2]
    before = dense_model(run, 2, machine.folder)["model"]
    (again,) = finish(CurvatureStage(run, (2,), QUICK).execute(machine))["curvature"]
    after = dense_model(run, 2, machine.folder)["model"]
    assert numbers(again) == numbers(first)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(math.isfinite(value) for value in numbers(first))


def test_epoch_by_epoch(machine):
    stage = CurvatureStage(RUN, (1, 2), QUICK)
    for need in stage.needs:
        finish(need.execute(machine))
    told = list(stage.execute(machine))
    assert [[row["epoch"] for row in progress.rows["curvature"]] for progress in told] == [[1], [2]]
    assert [(progress.epochs, progress.of) for progress in told] == [(1, 2), (2, 2)]
    both = execute(stage, machine)
    assert both[1]["train_loss"] > both[2]["train_loss"]
    assert numbers(both[2]) == numbers(execute(stage.with_parts([2]), machine)[2])


def test_a_model_that_diverged_has_no_numbers(machine):
    run = replace(RUN, recipe=replace(RUN.recipe, lr=1e38))
    row = execute(CurvatureStage(run, (2,), QUICK), machine)[2]
    assert row["status"] == "diverged"
    assert "dense training" in row["message"]
    assert all(map(math.isnan, numbers(row)))


@pytest.mark.parametrize("model", ["distances", "squares"])
@pytest.mark.usefixtures("mine")
def test_without_a_second_derivative_there_is_the_loss_alone(model, machine):
    run = replace(RUN, model=pin(f"mine:{model}"))
    row = execute(CurvatureStage(run, (2,), QUICK), machine)[2]
    assert row["status"] == "ok"
    assert row["message"].startswith("no second derivative: ")
    assert "\n" not in row["message"]
    assert all(math.isnan(row[name]) for name in NUMBERS)
    assert row["train_loss"] > 0
    assert 0 < row["train_error"] <= 1


def test_another_fault_of_a_model_is_not_taken_for_a_missing_derivative(machine, monkeypatch):
    stage = CurvatureStage(RUN, (2,), QUICK)
    for need in stage.needs:
        finish(need.execute(machine))

    def fails(*arguments):
        raise RuntimeError("CUDA error: an illegal memory access")

    monkeypatch.setattr("trainables.measuring.curvature.curvature", fails)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        finish(stage.execute(machine))


def test_what_decides_it_is_in_its_key():
    stage = CurvatureStage(RUN, (2,), CurvatureSettings())
    others = [replace(stage, settings=CurvatureSettings(**own)) for own in ({"images": 100}, {"products": 60})]
    assert len({stage.key, *(other.key for other in others)}) == 3
    assert stage.with_parts([3, 1]).epochs == (1, 3)
    assert stage.with_parts([1]).key == stage.key
    assert stage.needs == (DenseStage(RUN, (2,)),)


def test_keys_are_frozen():
    """Results on people's disks are found by these."""
    stage = CurvatureStage(RUN, (2,), CurvatureSettings())
    assert stage.part_columns(2) == {"dense": "4b96ba8e793cb409c629", "epoch": 2, "measurement": "8fe5b56f389bd5821923"}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def plan(stages, store):
    return StagePlan(stages, inventory_of(store))


def test_what_is_stored_is_read_back_and_not_wanted_again(store):
    stage = CurvatureStage(RUN, (1, 2), QUICK)
    machine = Machine(store.artifacts, torch.device("cpu"))
    run_plan(plan([stage], store), store, machine)
    rows = store.rows("curvature")
    assert [numbers(row) for row in rows] == [numbers(row) for row in execute(stage, machine).values()]
    assert [(row["hessian_images"], row["hessian_products"]) for row in rows] == [(60, 6)] * 2
    assert {(row["data"], row["model"], row["dense_seed"], row["device"]) for row in rows} == {
        ("digits", "linear", 1, "cpu")
    }
    assert json.loads(rows[0]["configuration"])["measurement"] == asdict(QUICK)
    assert plan([stage], Store(store.folder.path)).left == []

    more = replace(stage, epochs=(1, 2), settings=replace(QUICK, products=9))
    done = run_plan(plan([stage, more], store), store, machine)
    assert done == [more]  # no training
    assert sorted((row["epoch"], row["hessian_products"]) for row in store.rows("curvature")) == [
        *((1, 6), (1, 9)),
        *((2, 6), (2, 9)),
    ]


def test_only_the_epochs_that_are_missing_are_measured(store):
    machine = Machine(store.artifacts, torch.device("cpu"))
    run_plan(plan([CurvatureStage(RUN, (1,), QUICK)], store), store, machine)
    done = run_plan(plan([CurvatureStage(RUN, (1, 2), QUICK)], store), store, machine)
    assert [stage for stage in done if stage.kind == "curvature"] == [CurvatureStage(RUN, (2,), QUICK)]


def test_a_failure_is_noted_and_tried_again(store):
    stage = CurvatureStage(RUN, (1, 2), QUICK)
    store.record_failure(stage, "no luck")
    rows = store.rows("curvature")
    assert [(row["epoch"], row["status"], row["message"]) for row in rows] == [
        (1, "failed", "no luck"),
        (2, "failed", "no luck"),
    ]
    assert all(math.isnan(value) for row in rows for value in numbers(row))
    assert store.failures(CurvatureStage) == {stage.key: "no luck"}
    assert [left.kind for left in plan([stage], store).left] == ["curvature", "dense"]
    run_plan(plan([stage], store), store, Machine(store.artifacts, torch.device("cpu")))
    assert {row["status"] for row in store.rows("curvature")} == {"ok"}


def test_that_it_cannot_be_measured_without_its_model_is_noted_until_there_is_one(store):
    stage = CurvatureStage(RUN, (2,), QUICK)
    to_do = plan([stage], store)
    dense = to_do.ask()
    store.record_lost(to_do.tell(dense, "failed", "no memory"))
    (row,) = store.rows("curvature")
    assert (row["status"], row["message"], row["dense"]) == ("failed", "no memory", RUN.key)
    machine = Machine(store.artifacts, torch.device("cpu"))
    store.record(dense, finish(dense.execute(machine)), "cpu")
    assert store.rows("curvature") == []
    run_plan(plan([stage], store), store, machine)
    assert [row["status"] for row in store.rows("curvature")] == ["ok"]


def test_what_it_costs_is_known_before():
    costs = StageCosts(torch.device("cpu"))
    one, two = (CurvatureStage(RUN, epochs, QUICK) for epochs in ((1,), (1, 2)))
    assert 0 < one.seconds(costs) < 60
    assert two.seconds(costs) == pytest.approx(2 * one.seconds(costs))
    assert two.work == 2 * one.work > 0
    assert one.seconds(costs) < replace(one, settings=replace(QUICK, products=300)).seconds(costs)
    assert two.kept_bytes("siblings") == 0
