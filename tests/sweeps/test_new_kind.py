"""A kind of stage is one class, a line in a registry and the schema of its table; nothing else knows it."""

import json
from dataclasses import dataclass, replace
from itertools import pairwise

import pyarrow as pa
import pytest

from sweeps.plans.plan import StagePlan
from sweeps.results.columns import column
from sweeps.results.inventory import inventory_of
from sweeps.results.schema import TABLES
from sweeps.running.progress import SweepProgress
from sweeps.running.stage_queue import StageQueue
from trainables.stages import KINDS, DenseRun, DenseStage, Stage
from trainables.stages.dense import dense_model
from trainables.trainable import StageTrainable, WorkerOptions
from trainables.training.progress import Progress
from trainables.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("one_thread")

DENSE = DenseRun("digits", 0.9, "preresnet8-w0.5", Recipe(epochs=2, batch_size=64), 1)


@dataclass(frozen=True)
class CutsStage(Stage):
    """Prune a dense model in rounds, each of which begins where the one before ended and is kept: by density."""

    run: DenseRun
    densities: tuple[float, ...]

    kind = "cuts"
    artifact_folder = "cuts"
    label = None
    work = 1.0

    def __str__(self):
        return f"cuts of dense seed {self.run.seed}"

    @property
    def key(self):
        return f"cuts-{self.run.key}"

    @property
    def parts(self):
        return self.densities

    def with_parts(self, parts):
        return replace(self, densities=tuple(sorted(parts, reverse=True)))

    @property
    def needs(self):
        return (DenseStage(self.run, (2,)),)

    def passes_through(self, part):
        return part > self.densities[-1]

    @classmethod
    def tables(cls):
        return ("cuts",)

    def part_columns(self, part):
        return {"cuts": self.key, "density": part}

    def common_columns(self):
        return {"dense": self.run.key}

    @classmethod
    def columns_read(cls, table):
        return ["cuts", "density"]

    @classmethod
    def parts_in_row(cls, table, row):
        return row["cuts"], [row["density"]]

    @classmethod
    def parts_in_artifact(cls, file):
        key, _, name = file.removesuffix(".json").partition("/")
        return key, [float(name)]

    def seconds(self, costs):
        return 0.0

    def execute(self, machine):
        weight = dense_model(self.run, 2, machine.folder)["model"]["conv.weight"]
        rows = []
        for earlier, density in pairwise((1.0, *self.densities)):
            file = f"cuts/{self.key}/{density}.json"
            if machine.folder.read(file) is None:
                before = json.loads(machine.folder.read(f"cuts/{self.key}/{earlier}.json") or b"[]")
                machine.folder.write(file, json.dumps([*before, density]).encode())
            history = json.loads(machine.folder.read(file))
            common = {"status": "ok", "message": "", "seconds": 1.0, "norm": float(weight.norm())}
            rows.append(self.part_columns(density) | common | {"history": history})
            yield Progress(len(history), len(self.densities), rows={"cuts": rows[-1:]})
        return {"cuts": rows}


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The two lines."""
    monkeypatch.setitem(KINDS, "cuts", CutsStage)
    monkeypatch.setitem(KINDS, "measured", Measured)
    common = [field for field in TABLES["dense"] if field.name not in ("dense", "epoch")]
    own = [
        column("cuts", pa.string(), "", "key", True),
        column("density", pa.float64(), "", "density", True),
        column("dense", pa.string(), "", "training"),
        column("norm", pa.float64(), "", "of the first weights"),
        column("history", pa.list_(pa.float64()), "", "densities of all rounds up to this"),
    ]
    monkeypatch.setitem(TABLES, "cuts", pa.schema([*own, *common], TABLES["dense"].metadata))


@pytest.fixture
def trial(store):
    """A worker without Ray."""

    class Trial(StageTrainable):
        def setup(self, config):
            super().setup(config, store, WorkerOptions("cpu", 1, 1.0, 60.0, "", "siblings"), {})

    with store.shared():
        yield lambda stage: Trial({"stage": stage, "follow_up": None, "report_seconds": 0.0, "left_out": ()})


def work(trial, queue, stage, steps=100):
    """Have a trial carry out a stage, or some steps of it, and tell the plan."""
    for _ in range(steps):
        result = trial.train()
        if result.get("kept"):
            queue.plan.tell_kept(stage, result["kept"])
        if result["done"]:
            return queue.plan.tell(stage, result["outcome"])
    trial.stop()
    return None


def test_a_kind_goes_through_plan_trial_store_and_resume(store, trial):
    wanted = CutsStage(DENSE, (0.8, 0.5, 0.2))
    plan = StagePlan([wanted], inventory_of(store))
    queue = StageQueue(plan, 2, lambda: {"node"})
    progress = SweepProgress(None, 0, plan.left)
    dense = queue.ask()
    assert dense == DenseStage(DENSE, (2,))
    assert work(trial(dense), queue, dense) == []
    progress.ended(dense, "ok")
    stage = queue.ask()
    assert stage == wanted
    work(trial(stage), queue, stage, steps=3)  # it begins, and is stopped after two rounds

    again = StagePlan([wanted], inventory_of(store))
    (rest,) = again.left
    assert rest == CutsStage(DENSE, (0.2,))
    assert work(trial(rest), StageQueue(again, 2, lambda: {"node"}), again.ask()) == []
    assert again.left == StagePlan([wanted], inventory_of(store)).left == []
    rows = sorted(store.rows("cuts"), key=lambda row: -row["density"])
    assert [row["density"] for row in rows] == [0.8, 0.5, 0.2]
    assert rows[1]["history"] == [0.8, 0.5]
    assert {(row["dense"], row["status"], row["device"]) for row in rows} == {(DENSE.key, "ok", "cpu, 1 threads")}


def test_its_failure_and_that_of_what_it_needs_are_stored_and_tried_again(store):
    wanted = CutsStage(DENSE, (0.8, 0.5))
    plan = StagePlan([wanted], inventory_of(store))
    store.record_failure(wanted, "no luck")
    assert [(row["density"], row["status"], row["message"]) for row in store.rows("cuts")] == [
        (0.5, "failed", "no luck"),
        (0.8, "failed", "no luck"),
    ]
    assert [other.stage for other in plan.tell(plan.ask(), "failed")] == [wanted]
    assert len(StagePlan([wanted], inventory_of(store)).left) == 2


def test_it_keeps_what_it_comes_by_that_may_be_wanted_later(store):
    candidates = [Measured(CutsStage(DENSE, (density,))) for density in (0.8, 0.5, 0.2)]
    plan = StagePlan(candidates[1:2], inventory_of(store), candidates)
    plan.tell(plan.ask(), "ok")
    assert plan.ask() == CutsStage(DENSE, (0.8, 0.5))


class Measured(CutsStage):
    """Something that needs cuts."""

    def __init__(self, of):
        super().__init__(of.run, of.densities)

    kind = "measured"
    needs = property(lambda self: (CutsStage(self.run, self.densities),))
    tables = classmethod(lambda cls: ())

    def with_parts(self, parts):
        return Measured(CutsStage(self.run, tuple(sorted(parts, reverse=True))))
