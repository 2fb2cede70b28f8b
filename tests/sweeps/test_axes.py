from dataclasses import replace

import pytest

from sweeps import grid
from sweeps.spec.axes import TEMPERATURES, TemperatureAxis
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.spec.spec import SweepSpec
from trainables.data import is_text
from trainables.training.recipe import Recipe
from trainables.training.schedules import SCHEDULES, learning_rate

PAPER = PRESETS["paper-epochs"]
DIGITS = PRESETS["digits-epochs"]


def dense(spec):
    """Recipe and epoch of each temperature."""
    return {stage.label.temperature: (stage.point.dense.recipe, stage.point.epoch) for stage in spec.points()}


def retrain(spec):
    (recipe,) = {stage.point.retrain for stage in spec.points()}
    return recipe


def test_which_side_is_hot():
    assert {name: axis.hot_is_low for name, axis in TEMPERATURES.items()} == {
        "epochs": True,
        "batch_size": True,
        "rho": False,
        "lr": False,
    }


def test_epochs_are_checkpoints_of_one_training():
    models = dense(PAPER)
    assert [epoch for _, epoch in models.values()] == list(range(10, 161, 10))
    assert {recipe for recipe, _ in models.values()} == {Recipe()} == {retrain(PAPER)}


def test_batch_sizes_share_the_papers_number_of_steps():
    """62,400 steps on 50,000 images (Zhou et al. 2023): 20 epochs of batch 16, 80 of 64, 644 of 512."""
    models = dense(PRESETS["paper-batch-size"])
    assert {recipe.iterations for recipe, _ in models.values()} == {62_400}
    assert {value: models[value][1] for value in (16, 64, 128, 512)} == {16: 20, 64: 80, 128: 160, 512: 644}
    for value, (recipe, epochs) in models.items():
        assert (recipe.batch_size, recipe.epochs, recipe.lr) == (value, epochs, 0.1)
        assert (epochs - 1) * (50_000 // value) < 62_400 <= epochs * (50_000 // value)
        assert [learning_rate(recipe, step) for step in (31_199, 31_200, 46_799, 46_800)] == pytest.approx(
            [0.1, 0.01, 0.01, 1e-3]
        )
    again = retrain(PRESETS["paper-batch-size"])
    assert (again.batch_size, again.iterations, again.epochs) == (128, 62_400, 160)


def test_the_default_preset_trains_720_steps_at_every_batch_size():
    digits = PRESETS["digits"]
    assert len(digits.points()) == 50
    assert {recipe.iterations for recipe, _ in dense(digits).values()} == {720}
    assert (retrain(digits).batch_size, retrain(digits).iterations) == (32, 720)
    assert digits.default_temperature == 32


def test_batch_sizes_may_share_a_number_of_epochs_instead():
    """As in Yang et al. 2021: whole batches alone, and a schedule over each one's own steps."""
    steps = replace(PRESETS["digits"], temperatures=(16, 32, 500, 1167))
    spec = replace(steps, fixed="epochs", milestones=(0.75,))
    spec.check()
    models = dense(spec)
    assert {recipe.epochs for recipe, _ in models.values()} == {epochs for _, epochs in models.values()} == {20}
    iterations = {value: recipe.iterations for value, (recipe, _) in models.items()}
    assert iterations == {16: 20 * 72, 32: 20 * 36, 500: 20 * 2, 1167: 20}
    for value, (recipe, _) in models.items():
        drop = round(0.75 * iterations[value])
        assert [learning_rate(recipe, step) for step in (drop - 1, drop)] == pytest.approx([0.1, 0.01])
    assert retrain(spec) == retrain(replace(steps, milestones=(0.75,)))
    assert {spec.axis.cost(value) for value in spec.temperatures} == {1}


def test_at_the_recipes_own_batch_size_epochs_and_steps_are_one_training():
    specs = [replace(PRESETS["digits"], temperatures=(32,), fixed=fixed) for fixed in (None, "steps", "epochs")]
    assert len({tuple(stage.key for stage in spec.points()) for spec in specs}) == 1


def test_rounds_of_as_many_epochs_for_each_batch_size():
    """Trained as the dense model, a round has the given epochs of its own whole batches."""
    fields = {"temperatures": (16, 500), "fixed": "epochs", "pruner": "lottery", "prune_epochs": 5}
    spec = replace(PRESETS["digits"], **fields)
    spec.check()
    rounds = {stage.label.temperature: stage.point.pruning for stage in spec.points()}
    assert {value: (run.recipe.iterations, run.epochs) for value, run in rounds.items()} == {
        16: (5 * 72, 5),
        500: (5 * 2, 5),
    }


def test_sam_is_for_dense_models_only():
    models = dense(PRESETS["paper-sam"])
    assert [recipe.rho for recipe, _ in models.values()] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert {epoch for _, epoch in models.values()} == {160}
    assert retrain(PRESETS["paper-sam"]) == Recipe()
    with_sam = replace(DIGITS, rho=0.05)
    assert {recipe.rho for recipe, _ in dense(with_sam).values()} == {0.05}
    assert retrain(with_sam).rho == 0


def test_learning_rates_are_of_dense_models_only():
    spec = replace(DIGITS, temperature="lr", temperatures=(0.01, 0.3))
    assert [recipe.lr for recipe, _ in dense(spec).values()] == [0.01, 0.3]
    assert retrain(spec).lr == DIGITS.lr


@pytest.mark.parametrize("axis", TEMPERATURES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_axis_goes_with_every_schedule(axis, schedule):
    """Warm-up ends after the same share of epochs or of steps for all values, at the highest learning rate."""
    values = {"epochs": (10, 160), "batch_size": (16, 512), "rho": (0.1, 0.8), "lr": (0.01, 0.3)}[axis]
    spec = replace(PAPER, temperature=axis, temperatures=values, schedule=schedule, warmup=0.25, optimizer="adamw")
    spec.check()
    for value, (recipe, _) in dense(spec).items():
        highest = value if axis == "lr" else 0.1
        quarter = recipe.length // 4
        assert learning_rate(recipe, 0) == 0
        assert learning_rate(recipe, quarter) == pytest.approx(highest)
        assert learning_rate(recipe, quarter / 2) == pytest.approx(highest / 2)
        if schedule != "constant":
            assert learning_rate(recipe, recipe.length - 1) < highest / 1.9


def test_axes_meet_where_they_mean_the_same():
    """The last of the epochs axis, rho 0 and the sweep's own learning rate are one dense model, trained once."""
    sweeps = [
        replace(DIGITS, temperatures=(20,)),
        replace(DIGITS, temperature="rho", temperatures=(0,)),
        replace(DIGITS, temperature="lr", temperatures=(0.1,)),
    ]
    assert len({tuple(stage.point.key for stage in spec.points()) for spec in sweeps}) == 1


def test_milestones_are_of_step_decay():
    spec = replace(DIGITS, temperatures=(20,), milestones=(0.25,), retrain_milestones=(0.1, 0.9))
    spec.check()
    ((own, _),) = dense(spec).values()
    assert [learning_rate(own, done) for done in (4.9, 5, 19)] == pytest.approx([0.1, 0.01, 0.01])
    assert [learning_rate(retrain(spec), done) for done in (1.9, 2, 18)] == pytest.approx([0.1, 0.01, 0.001])
    assert retrain(replace(spec, retrain_milestones=None)) == own


def test_milestones_change_no_key_where_they_are_not_used():
    constant = replace(DIGITS, schedule="constant")
    keys = [[stage.key for stage in spec.points()] for spec in (constant, replace(constant, milestones=(0.3,)))]
    assert keys[0] == keys[1]
    assert keys[0] != [stage.key for stage in replace(DIGITS, milestones=(0.3,)).points()]


def test_a_temperature_axis_is_one_entry(monkeypatch, capsys, tmp_path):
    spec = replace(DIGITS, temperature="momentum", temperatures=(0.0, 0.95))
    with pytest.raises(UsageError, match=r"--temperature momentum: it is one of epochs, batch_size, rho, lr\."):
        spec.check()
    axis = TemperatureAxis(
        hot_is_low=False,
        what="momentum of SGD",
        rule="on the momentum axis a temperature is in [0, 1)",
        allowed=lambda value, recipe, images: 0 <= value < 1,
        dense=lambda recipe, value, images: (replace(recipe, momentum=value), recipe.epochs),
    )
    monkeypatch.setitem(TEMPERATURES, "momentum", axis)
    spec.check()
    assert [recipe.momentum for recipe, _ in dense(spec).values()] == [0.0, 0.95]
    assert spec.default_temperature == 0.95
    asked = ["--preset", "smoke", "--out", str(tmp_path / "new"), "--temperature", "momentum", "--temperatures"]
    assert grid.main([*asked, "0", "0.5", "--dry-run"]) == 0
    assert "points: 4 wanted" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"--temperatures 1\.0: on the momentum axis a temperature is in"):
        grid.main([*asked, "1.0", "--dry-run"])


def test_width_as_the_load():
    spec = replace(DIGITS, model="preresnet20", load="width", widths=(0.25, 1, 1.5), densities=(0.2,))
    spec.check()
    points = spec.points()
    assert len(points) == 2 * 6 * 3
    names = {stage.label.load: (stage.point.dense.model, stage.point.density) for stage in points}
    assert names == {0.25: ("preresnet20-w0.25", 0.2), 1: ("preresnet20", 0.2), 1.5: ("preresnet20-w1.5", 0.2)}


@pytest.mark.parametrize(
    ("generator", "suffix"),
    [(None, "components"), ("principal-components", "components"), ("random-manifold", "manifold")],
)
def test_the_dimension_of_the_data_as_the_load(generator, suffix):
    fields = {"load": "data_dimension", "data_dimensions": (4, 16), "densities": (0.2,), "generator": generator}
    spec = replace(DIGITS, **fields)
    spec.check()
    names = {stage.label.load: (stage.run.data, stage.point.density) for stage in spec.points()}
    assert names == {4: (f"digits-{suffix}4", 0.2), 16: (f"digits-{suffix}16", 0.2)}
    assert {(stage.run.model, stage.label.load_axis) for stage in spec.points()} == {(DIGITS.model, "data_dimension")}
    assert (generator or "principal-components") in spec.title
    assert SweepSpec.from_json(spec.to_json()) == spec


def test_data_with_a_dimension_have_points_of_their_own():
    """And of a load the same as of the data that are named so."""
    load = replace(DIGITS, load="data_dimension", data_dimensions=(4,), densities=(0.2,))
    named = replace(DIGITS, data="digits-components4", densities=(0.2,))
    own = replace(DIGITS, densities=(0.2,))
    keys = [{stage.key for stage in spec.points()} for spec in (load, named, own)]
    assert keys[0] == keys[1]
    assert keys[0].isdisjoint(keys[2])


AMOUNTS = {"load": "data_amount", "data_amounts": (200, 500, 1297), "densities": (0.2,)}


def test_the_number_of_training_images_as_the_load():
    spec = replace(DIGITS, **AMOUNTS)
    spec.check()
    names = {stage.label.load: (stage.run.data, stage.point.density) for stage in spec.points()}
    assert names == {200: ("digits-first200", 0.2), 500: ("digits-first500", 0.2), 1297: ("digits", 0.2)}
    assert {stage.label.load_axis for stage in spec.points()} == {"data_amount"}
    assert SweepSpec.from_json(spec.to_json()) == spec
    fewer = replace(spec, data="FashionMNIST-14px-first6000", data_amounts=(3000, 6000))
    assert fewer.data_names == {"FashionMNIST-14px-first3000", "FashionMNIST-14px-first6000"}


def test_a_load_of_all_images_is_the_grid_on_the_data():
    load = replace(DIGITS, **AMOUNTS | {"data_amounts": (1297,)})
    own = replace(DIGITS, densities=(0.2,))
    assert {stage.key for stage in load.points()} == {stage.key for stage in own.points()}


@pytest.mark.parametrize("fixed", ["steps", "epochs"])
def test_every_amount_of_data_has_the_steps_of_its_own_images(fixed):
    """A tenth of the images is held out before; 20 epochs of whole batches of the other 180, 450 and 1,167."""
    spec = replace(DIGITS, **AMOUNTS, temperature="batch_size", temperatures=(16, 90), batch_size=32, fixed=fixed)
    spec.check()
    steps = {(stage.label.load, stage.label.temperature): stage.run.recipe.iterations for stage in spec.points()}
    images = {200: 180, 500: 450, 1297: 1167}
    assert steps == {
        (load, size): 20 * (number // (size if fixed == "epochs" else 32))
        for load, number in images.items()
        for size in (16, 90)
    }
    again = {stage.label.load: stage.point.retrain.iterations for stage in spec.points()}
    assert again == {load: 20 * (number // 32) for load, number in images.items()}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"temperatures": (16, 181)}, "--temperatures 181: .* from 1 to the 180 training images"),
        ({"batch_size": 181}, "--batch-size 181: .* there are 180 training images"),
        # 20 epochs in 32 are 720 steps of 1,167 images, and 100 of 180: in batches of 180 that is 120 epochs and 100
        ({"temperatures": (180,), "pruner": "lottery", "rewind_epoch": 110}, "to the 100 epochs of temperature 180"),
    ],
)
def test_what_a_temperature_needs_is_asked_of_every_amount(changed, said):
    spec = replace(DIGITS, **AMOUNTS, temperature="batch_size", temperatures=(16,), batch_size=32)
    replace(spec, **changed | {"data_amounts": (1297,)}).check()
    with pytest.raises(UsageError, match=said):
        replace(spec, **changed).check()


def test_the_papers_grids():
    densities = (0.05, 0.06, 0.07, 0.08, 0.1, 0.14, 0.2, 0.4, 0.8)
    sizes = {"paper-epochs": 16, "paper-batch-size": 13, "paper-sam": 8}
    for name, temperatures in sizes.items():
        spec = PRESETS[name]
        assert (spec.data, spec.model, spec.densities) == ("CIFAR10", "preresnet20", densities)
        assert spec.dense_seeds == spec.retrain_seeds == (1, 2, 3)
        assert len(spec.points()) == temperatures * len(densities) * 3


@pytest.mark.parametrize("name", PRESETS)
def test_values_survive_json(name):
    spec = PRESETS[name]
    if is_text(spec.data):  # which is the user's, and has no points until it is pinned
        spec = replace(spec, data=f"/{spec.data}#100+0+10-900-{'0' * 20}-{'1' * 20}")
    again = SweepSpec.from_json(spec.to_json())
    assert [stage.point.key for stage in again.points()] == [stage.point.key for stage in spec.points()]
