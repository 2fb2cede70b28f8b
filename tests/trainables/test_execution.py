import math
import shutil
from dataclasses import replace

import pytest
import torch
from points import carry_out, measurement

from trainables.data import load
from trainables.models import build
from trainables.stacks import factory
from trainables.stacks.stack import SerialStack
from trainables.stages import DenseRun, DenseStage, Label, Point, PointStage, finish
from trainables.stages import machine as machines
from trainables.stages.dense import dense_file
from trainables.stages.machine import Machine
from trainables.stages.siblings import kept_siblings
from trainables.storage import artifacts
from trainables.storage.local_folder import LocalFolder
from trainables.tasks.image_classification import task as classification
from trainables.tasks.image_classification.task import ImageClassification
from trainables.training import resumable, training
from trainables.training.recipe import Recipe

RECIPE = Recipe(epochs=6, batch_size=64, lr=0.05)
DENSE = DenseRun("digits", 0.7, "preresnet8-w0.5", RECIPE, 1)
POINT = Point(DENSE, 4, 0.2, "magnitude-uniform", RECIPE)
STAGE = PointStage(POINT, (1, 2, 3), Label("epochs", 4, "density", 0.2))
TIMES = ("seconds",)


def step(execution):
    """Next epoch; what is kept of a dense model in between is passed over."""
    while (progress := next(execution)).rows:
        pass
    return progress


def values(rows):
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


@pytest.fixture(autouse=True)
def every_epoch_is_saved(monkeypatch):
    """Of so short epochs that would be more than a twentieth of the time."""
    monkeypatch.setattr(resumable, "SAVING_SHARE", math.inf)


@pytest.fixture
def machine(tmp_path):
    return Machine(LocalFolder(tmp_path), torch.device("cpu"), checkpoint_seconds=0.0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A dense run and a point that were never disturbed."""
    machine = Machine(LocalFolder(tmp_path_factory.mktemp("done")), torch.device("cpu"))
    dense = finish(DenseStage(DENSE, (2, 4, 6)).execute(machine))["dense"]
    return machine, dense, carry_out(STAGE, machine)


def test_one_dense_training_gives_every_temperature(finished):
    machine, dense, _ = finished
    assert [(row["epoch"], row["status"]) for row in dense] == [(2, "ok"), (4, "ok"), (6, "ok")]
    assert machine.folder.names(f"dense/{DENSE.key}", ".pt") == ["epoch-00002", "epoch-00004", "epoch-00006"]
    assert machine.folder.names("training", ".pt") == []
    assert all(0 <= row[f"{split}_error"] <= 1 for row in dense for split in ("train", "validation"))


def test_the_checkpoint_at_an_epoch_is_the_model_of_a_training_stopped_there(finished, machine):
    finish(DenseStage(DENSE, (4,)).execute(machine))
    ours, theirs = (artifacts.load(m.folder, dense_file(DENSE, 4))["model"] for m in (machine, finished[0]))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_rows_of_a_point(finished):
    rows = finished[2]
    assert [row["retrain_seed"] for row in rows["runs"]] == [1, 2, 3]
    assert [(row["first_seed"], row["second_seed"]) for row in rows["pairs"]] == [(1, 2), (1, 3), (2, 3)]
    for row in rows["runs"]:
        assert row["status"] == "ok"
        assert row["density"] == pytest.approx(0.2, abs=1e-3)
        assert row["density_by_layer"]["conv.weight"] == 14 / 72
        assert len(row["density_by_layer"]) == 9
    for row in rows["pairs"]:
        assert len(row["path_errors"]) == len(row["path_losses"]) == 11
        assert -1 <= row["lmc"] <= 1
        assert 0 < row["cka"] < 1


def test_what_was_kept_before_there_were_losses_has_none(finished, machine):
    done, _, before = finished
    for file in (dense_file(DENSE, 4), f"siblings/{POINT.key}/1-2-3.pt"):
        kept = artifacts.load(done.folder, file)
        for each in kept.get("siblings", [kept]):
            del each["train_loss"]
        artifacts.save(machine.folder, file, kept)
    (dense,) = finish(DenseStage(DENSE, (4,)).execute(machine))["dense"]
    runs = finish(STAGE.execute(machine))["runs"]
    assert [row["train_loss"] for row in (dense, *runs)] == [None] * 4
    assert [row["train_error"] for row in runs] == [row["train_error"] for row in before["runs"]]


def test_siblings_start_from_the_pruned_weights_not_the_initial_ones(finished, machine):
    """With a learning rate of nothing to speak of, the siblings are the pruned dense model."""
    finish(DenseStage(DENSE, (4,)).execute(machine))
    frozen = replace(STAGE, point=replace(POINT, retrain=replace(RECIPE, epochs=1, lr=1e-30)))
    carry_out(frozen, machine)
    dense = artifacts.load(machine.folder, dense_file(DENSE, 4))["model"]
    for sibling in kept_siblings(machine.folder, frozen.point.key).values():
        for name, mask in sibling["masks"].items():
            assert torch.equal(sibling["model"][name], dense[name] * mask)


def test_validation_and_test_error_are_means_over_the_last_five_epochs_and_test_images_only_looked_at_to_report(
    machine, monkeypatch
):
    measured = []

    def counted(task, stack, split, evaluation=ImageClassification.evaluation):
        values = evaluation(task, stack, split)
        measured.append((len(task.split(split)), values.errors))
        return values

    monkeypatch.setattr(ImageClassification, "evaluation", counted)
    finish(DenseStage(DENSE, (4,)).execute(machine))
    assert [images for images, _ in measured] == [389, 908, 500]  # once, of the dense model that is kept
    measured.clear()
    rows = carry_out(STAGE, machine)["runs"]
    for name, size in (("validation_error", 908), ("test_error", 500)):
        values = [values for images, values in measured if images == size]
        assert len(values) == 5  # of six epochs
        for sibling, row in enumerate(rows):
            assert row[name] == pytest.approx(sum(errors[sibling] for errors in values) / 5)


def test_what_is_measured_does_not_depend_on_how_a_file_is_sorted():
    """Batches of one class alone would give other batch-norm statistics, and the first images other similarities."""
    data = load("digits", 0.0)
    by_label = replace(data, train=data.train[data.train.labels.argsort(kind="stable")])
    split = ImageClassification(by_label, torch.device("cpu")).split("train")
    assert sorted(split.labels.tolist()) == by_label.train.labels.tolist()
    batches = split.labels.split(64)
    assert min(len(batch.unique()) for batch in batches[:-1]) >= 9
    shown = torch.cat(list(split.batches(64)))
    first = split._pixels[split._order[0]]
    place = next(i for i in range(len(split)) if torch.equal(first, torch.tensor(by_label.train.pixels[i])))
    assert split.labels[0] == by_label.train.labels[place]
    again = torch.cat(list(ImageClassification(by_label, torch.device("cpu")).split("train").batches(64)))
    assert torch.equal(shown, again)


def test_models_are_trained_on_the_training_images_alone(machine, monkeypatch):
    used = []

    class Recorded(classification.TrainingBatches):
        def __init__(self, data, device, *augmentation):
            super().__init__(data, device, *augmentation)
            used.append(self._pixels[self._order])

    monkeypatch.setattr(classification, "TrainingBatches", Recorded)
    monkeypatch.setattr(machines, "_task", machines._task.__wrapped__)  # not those of other tests
    finish(DenseStage(DENSE, (1,)).execute(machine))
    carry_out(replace(STAGE, point=replace(POINT, epoch=1, retrain=replace(RECIPE, epochs=1))), machine)
    data = load("digits", DENSE.validation_fraction)
    for images in used:
        assert torch.equal(images, torch.tensor(data.train.pixels))
    assert len(used) == 2


def test_a_half_done_retraining_goes_on_in_another_kind_of_stack(finished, machine, monkeypatch):
    """Stopped on a GPU, where siblings may be grouped, and continued on a CPU, where large ones are not."""
    monkeypatch.setattr(machines, "_task", machines._task.__wrapped__)
    finish(DenseStage(DENSE, (4,)).execute(machine))
    half = STAGE.execute(machine)
    for _ in range(3):
        next(half)
    half.close()
    assert machine.folder.names("training", ".pt")
    monkeypatch.setattr(factory, "stack_kind", lambda *arguments: SerialStack)
    again = STAGE.execute(machine)
    assert next(again).epochs == 4
    rows = finish(again)
    assert [row["status"] for row in rows["runs"]] == ["ok"] * 3
    assert machine.folder.names("training", ".pt") == []
    for ours, theirs in zip(rows["runs"], finished[2]["runs"], strict=True):
        assert ours["losses"][:3] == theirs["losses"][:3]
        assert ours["losses"][3] == pytest.approx(theirs["losses"][3], rel=0.02)  # rounding apart
        assert ours["test_error"] == pytest.approx(theirs["test_error"], abs=0.1)


def test_points_need_not_wait_for_colder_temperatures(machine):
    """What is kept of a dense model is told while its training goes on."""
    told = [(progress.epochs, progress.rows) for progress in DenseStage(DENSE, (2, 4, 6)).execute(machine)]
    kept = [(epochs, rows["dense"][0]) for epochs, rows in told if rows]
    assert [(epochs, row["epoch"], row["status"]) for epochs, row in kept] == [(2, 2, "ok"), (4, 4, "ok")]
    assert [epochs for epochs, rows in told if not rows] == [1, 2, 3, 4, 5, 6]


def test_files_hold_what_is_needed_and_no_more(finished):
    """A sibling at density 0.2: a fifth of the pruned weights; a dense model that is done: no momentum."""
    machine = finished[0]
    files = {name: size for name, (size, _) in machine.folder.files("").items()}
    model = build("preresnet8-w0.5", 1, 10)
    whole = sum(tensor.numel() for tensor in model.state_dict().values())
    masks = kept_siblings(machine.folder, POINT.key)[1]["masks"].values()
    pruned = sum(mask.numel() - int(mask.sum()) for mask in masks)
    content = artifacts.load(machine.folder, f"siblings/{POINT.key}/1-2-3.pt")
    assert numbers(content["siblings"]) == 3 * (whole - pruned)
    assert pruned > 0.75 * whole
    dense = {epoch: artifacts.load(machine.folder, dense_file(DENSE, epoch)) for epoch in (4, 6)}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert numbers(dense[6]) == whole
    assert numbers(dense[4]) == whole + parameters
    assert files[dense_file(DENSE, 6)] < files[dense_file(DENSE, 4)] - 3 * parameters


def numbers(content, seen=None):
    """How many numbers the tensors of a file hold, each memory counted once."""
    seen = set() if seen is None else seen
    if isinstance(content, torch.Tensor):
        new = content.untyped_storage().data_ptr() not in seen
        seen.add(content.untyped_storage().data_ptr())
        return content.numel() * new
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return sum(numbers(part, seen) for part in parts)


@pytest.mark.parametrize(("keep", "left"), [("siblings", [1, 2, 3]), ("best", None), ("nothing", [])])
def test_which_siblings_are_kept_once_they_are_measured(keep, left, finished, machine):
    machine = replace(machine, keep=keep)
    shutil.copytree(finished[0].folder.path, machine.folder.path, dirs_exist_ok=True)
    before, rows = kept_siblings(machine.folder, POINT.key), finished[2]
    measurement(STAGE).discard(machine)
    after = kept_siblings(machine.folder, POINT.key)
    best = min(rows["runs"], key=lambda row: row["validation_error"])["retrain_seed"]
    assert list(after) == ([best] if left is None else left)
    for seed, sibling in after.items():
        assert all(torch.equal(before[seed]["model"][name], tensor) for name, tensor in sibling["model"].items())
    more = carry_out(replace(STAGE, seeds=(1, 2, 3, 7)), machine)  # retrains what is not there
    assert [row["retrain_seed"] for row in more["runs"]] == [1, 2, 3, 7]


def test_without_validation_images_the_best_is_that_of_the_lowest_training_error(machine):
    siblings = [
        {"seed": seed, "diverged": diverged, "validation_error": math.nan, "train_error": error}
        for seed, diverged, error in [(1, 1, 0.0), (2, 0, 0.3), (3, 0, 0.4)]
    ]
    artifacts.save(machine.folder, f"siblings/{POINT.key}/1-2.pt", {"masks": {}, "siblings": siblings[:2]})
    artifacts.save(machine.folder, f"siblings/{POINT.key}/3.pt", {"masks": {}, "siblings": siblings[2:]})
    measurement(STAGE).discard(replace(machine, keep="best"))
    assert machine.folder.names(f"siblings/{POINT.key}", ".pt") == ["2"]


def test_checkpoints_take_a_twentieth_of_the_time_at_most(machine, monkeypatch):
    """With --checkpoint-seconds 0 each epoch would be saved; saving is made to take as long as three epochs."""
    monkeypatch.setattr(resumable, "SAVING_SHARE", 1 / 20)
    clock, saved = [0.0], []
    monkeypatch.setattr(resumable.time, "perf_counter", lambda: clock[0])

    class Slow(training.Training):
        def run_epoch(self):
            clock[0] += 1.0
            super().run_epoch()

    def save(folder, name, content):
        if name.startswith("training/"):
            clock[0] += 3.0
            saved.append(content["training"]["epoch"])

    monkeypatch.setattr(training, "Training", Slow)
    monkeypatch.setattr(resumable.artifacts, "save", save)
    run = replace(DENSE, validation_fraction=0.99, recipe=replace(RECIPE, epochs=200))
    stopped = DenseStage(run, (200,)).execute(machine)
    for _ in range(150):
        next(stopped)
    assert saved == [1, 62, 123]


def test_the_dense_seed_decides_the_initial_weights_and_the_batches(machine):
    frozen = replace(RECIPE, lr=1e-30)
    states = {}
    for seed in (1, 2):
        for recipe in (frozen, RECIPE):
            run = replace(DENSE, seed=seed, recipe=recipe)
            finish(DenseStage(run, (1,)).execute(machine))
            state = artifacts.load(machine.folder, dense_file(run, 1))["model"]
            states[seed, recipe is frozen] = state["conv.weight"]
    assert not torch.allclose(states[1, True], states[2, True])
    torch.manual_seed(2)
    assert torch.allclose(states[2, True], build("preresnet8-w0.5", 1, 10).conv.weight, atol=1e-6)
    assert not torch.allclose(states[1, False], states[2, False])


def test_the_pruner_of_the_point_is_used(machine):
    finish(DenseStage(DENSE, (4,)).execute(machine))
    everywhere = replace(POINT, pruner="magnitude-global", retrain=replace(RECIPE, epochs=1))
    rows = carry_out(replace(STAGE, point=everywhere), machine)["runs"]
    dense = artifacts.load(machine.folder, dense_file(DENSE, 4))["model"]
    names = rows[0]["density_by_layer"]
    size = torch.cat([dense[name].abs().flatten() for name in names])
    threshold = size.sort().values[round(0.8 * len(size)) - 1]
    assert rows[0]["density"] == pytest.approx(0.2, abs=1e-3)
    for name, density in names.items():
        assert density == pytest.approx(float((dense[name].abs() > threshold).double().mean()))
    assert len(set(names.values())) > 5


@pytest.mark.parametrize("epochs", [1, 3, 5])
@pytest.mark.parametrize("how", ["killed", "closed"])
def test_a_stage_that_was_stopped_goes_on_and_ends_with_the_same_rows(finished, tmp_path, epochs, how):
    """Killed: only what checkpoints kept is left. Closed: what was running is saved, checkpoint or not."""
    seconds = 0.0 if how == "killed" else 1e9
    before = Machine(LocalFolder(tmp_path / "before"), torch.device("cpu"), seconds)
    after = Machine(LocalFolder(tmp_path / "after"), torch.device("cpu"), seconds)
    alive = []  # a generator that is collected is closed
    for stage in (DenseStage(DENSE, (2, 4, 6)), STAGE):
        stopped = stage.execute(before)
        alive.append(stopped)
        for _ in range(epochs):
            step(stopped)
        if how == "closed":
            stopped.close()
        shutil.copytree(before.folder.path, after.folder.path, dirs_exist_ok=True)
        again = stage.execute(after)
        assert step(again).epochs == epochs + 1
        rows = finish(again)
        for table in rows:
            assert values(rows[table]) == values(finished[1] if table == "dense" else finished[2][table])
        finish(stage.execute(before))
    assert after.folder.names("training", ".pt") == []


@pytest.mark.parametrize("recipe", [replace(RECIPE, rho=0.2), replace(RECIPE, iterations=20, epochs=4)])
def test_dense_models_of_all_axes_go_on_exactly(recipe, machine, tmp_path):
    """SAM, whose momentum an often copied implementation loses, and a schedule of steps whose last epoch is a part."""
    stage = DenseStage(replace(DENSE, recipe=recipe), (recipe.epochs,))
    straight = Machine(LocalFolder(tmp_path / "straight"), torch.device("cpu"))
    expected = finish(stage.execute(straight))["dense"]
    stopped = stage.execute(machine)
    next(stopped)
    next(stopped)
    stopped.close()
    again = stage.execute(machine)
    assert next(again).epochs == 3
    assert values(finish(again)["dense"]) == values(expected)
    ours, theirs = (artifacts.load(m.folder, dense_file(stage.run, recipe.epochs)) for m in (machine, straight))
    assert all(torch.equal(ours["model"][name], t) for name, t in theirs["model"].items())


ADAMW = replace(
    RECIPE,
    optimizer="adamw",
    lr=3e-3,
    schedule="cosine",
    warmup=0.05,
    label_smoothing=0.1,
    gradient_clipping=1.0,
)


def test_with_adamw_and_a_cosine_what_was_killed_after_every_epoch_ends_the_same(tmp_path):
    """Dense training, in which later temperatures begin with a kept model, and three siblings in a stack."""
    run = replace(DENSE, recipe=ADAMW)
    point = replace(STAGE, point=replace(POINT, dense=run, retrain=ADAMW))
    disturbed, straight = (
        Machine(LocalFolder(tmp_path / name), torch.device("cpu"), checkpoint_seconds=0.0) for name in ("a", "b")
    )
    alive = []  # a generator that is collected is closed, and would be no kill
    for stage in (DenseStage(run, (2, 4, 6)), point):
        expected = finish(stage.execute(straight))
        assert {row["status"] for rows in expected.values() for row in rows} == {"ok"}
        for epochs in range(1, 7):
            alive.append(stage.execute(disturbed))
            assert step(alive[-1]).epochs == epochs
        rows = finish(stage.execute(disturbed))
        for table in expected:
            assert values(rows[table]) == values(expected[table])
    assert disturbed.folder.names("training", ".pt") == []
    for epoch in (2, 4, 6):
        ours, theirs = (artifacts.load(m.folder, dense_file(run, epoch))["model"] for m in (disturbed, straight))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    ours, theirs = (kept_siblings(m.folder, point.point.key) for m in (disturbed, straight))
    for seed in point.seeds:
        assert all(torch.equal(ours[seed]["model"][name], tensor) for name, tensor in theirs[seed]["model"].items())


def test_a_colder_temperature_goes_on_from_the_coldest_that_is_kept(finished, machine):
    finish(DenseStage(DENSE, (2, 4)).execute(machine))
    colder = DenseStage(DENSE, (6,)).execute(machine)
    assert next(colder).epochs == 5
    assert values(finish(colder)["dense"])[-1] == values(finished[1])[-1]


@pytest.mark.parametrize(
    ("saved", "here"),
    [(torch.channels_last, torch.contiguous_format), (torch.contiguous_format, torch.channels_last)],
    ids=["to plain", "to channels last"],
)
def test_a_sweep_is_extended_from_a_kept_model_in_another_layout(saved, here, machine, monkeypatch):
    """As with one core and then two. The model has strided 1x1 convolutions, for which threads decide the layout."""
    monkeypatch.setattr(machines, "_task", machines._task.__wrapped__)
    losses = []
    for layouts in ((saved, saved), (saved, here)):
        folder = replace(machine, folder=machine.folder.subfolder(str(len(losses))))
        for layout, epochs in zip(layouts, [(1, 2), (3,)], strict=True):
            monkeypatch.setattr(factory, "layout_of", lambda *arguments, layout=layout: layout)
            rows = finish(DenseStage(DENSE, epochs).execute(folder))["dense"]
        losses.append(rows[-1]["losses"])
    assert losses[1][:2] == losses[0][:2]
    assert losses[1] == pytest.approx(losses[0], rel=2e-4)


def test_more_siblings_are_added_without_training_the_others_again(finished):
    machine, _, before = finished
    rows = carry_out(replace(STAGE, seeds=(1, 2, 3, 7)), machine)
    assert values(rows["runs"][:3]) == values(before["runs"])
    assert [row["retrain_seed"] for row in rows["runs"]] == [1, 2, 3, 7]
    assert len(rows["pairs"]) == 6
    files = machine.folder.names(f"siblings/{POINT.key}", ".pt")
    assert files == ["1-2-3", "7"]


def test_a_dense_training_that_diverges_is_a_result_and_so_are_its_points(machine):
    run = replace(DENSE, recipe=replace(RECIPE, lr=1e30))
    rows = finish(DenseStage(run, (2, 4)).execute(machine))["dense"]
    assert [row["status"] for row in rows] == ["diverged", "diverged"]
    assert "epoch 1 of dense training" in rows[0]["message"]
    assert all(math.isnan(row[name]) for row in rows for name in ("train_error", "train_loss"))
    point = carry_out(replace(STAGE, point=replace(POINT, dense=run)), machine)
    assert {row["status"] for table in point.values() for row in table} == {"diverged"}
    assert len(point["runs"]) == len(point["pairs"]) == 3
    assert all(math.isnan(row["train_loss"]) for row in point["runs"])


def test_a_retraining_that_diverges_is_a_result(machine):
    finish(DenseStage(DENSE, (4,)).execute(machine))
    rows = carry_out(replace(STAGE, point=replace(POINT, retrain=replace(RECIPE, lr=1e30))), machine)
    assert {row["status"] for table in rows.values() for row in table} == {"diverged"}
    assert all(math.isnan(row[name]) for row in rows["runs"] for name in ("test_error", "train_loss"))
    assert all(math.isnan(row["lmc"]) for row in rows["pairs"])
    assert all(row["path_errors"] == row["path_losses"] == [] for row in rows["pairs"])


def test_a_point_without_its_dense_model_says_so(machine):
    with pytest.raises(artifacts.ArtifactError, match="dense model of seed 1 after epoch 4"):
        carry_out(STAGE, machine)
