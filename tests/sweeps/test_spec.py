import json
import math
from dataclasses import replace

import pytest

from sweeps.running.options import RunOptions, SweepOptions, read_options
from sweeps.spec.command_line import parse
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.spec.spec import SweepSpec
from trainables.data import Augmentation, is_text
from trainables.pruning import RULES
from trainables.training.recipe import Recipe

DIGITS = PRESETS["digits-epochs"]
OWN = f"/a/b.npz#1000-{'0' * 20}"
"""Data of a user's own, pinned."""


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_run_and_come_back_from_json(preset):
    spec = PRESETS[preset]
    if is_text(spec.data):  # which is the user's
        spec = replace(spec, data=f"{spec.data}#160000+3000+3000-5000000-{'0' * 20}-{'0' * 20}")
    spec.check()
    assert SweepSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"densities": (0.1, 1.5)}, "--densities 1.5"),
        ({"densities": (0.0,)}, "--densities 0.0"),
        ({"densities": (math.nan,)}, "--densities nan"),
        ({"densities": ()}, "--densities (nothing): give at least one"),
        ({"densities": (0.1, 0.2, 0.1)}, "--densities 0.1: each value is given once"),
        ({"temperatures": (10, 10)}, "--temperatures 10: each value"),
        ({"temperatures": (10, 31)}, "--temperatures 31"),
        ({"temperatures": (0,)}, "--temperatures 0"),
        ({"dense_seeds": (1, 1)}, "--dense-seeds 1"),
        ({"dense_seeds": (-1,)}, "--dense-seeds -1"),
        ({"retrain_seeds": (4,)}, "--retrain-seeds 4: siblings are compared in pairs"),
        ({"epochs": 0, "temperatures": (1,)}, "--epochs 0"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"retrain_epochs": 0}, "--retrain-epochs 0"),
        ({"retrain_batch_size": -3}, "--retrain-batch-size -3"),
        ({"lr": 0.0}, "--lr 0.0"),
        ({"lr": math.inf}, "--lr inf"),
        ({"retrain_lr": math.nan}, "--retrain-lr nan"),
        ({"momentum": 1.0}, "--momentum 1.0"),
        ({"betas": (0.9, 1.0)}, "--betas 0.9 1.0: they are two, both in [0, 1)."),
        ({"betas": (0.9,)}, "--betas 0.9: they are two"),
        ({"retrain_betas": (math.nan, 0.9)}, "--retrain-betas nan 0.9"),
        ({"retrain_betas": ()}, "--retrain-betas (nothing)"),
        ({"weight_decay": -0.1}, "--weight-decay -0.1"),
        ({"retrain_weight_decay": -0.1}, "--retrain-weight-decay -0.1"),
        ({"optimizer": "adam"}, "--optimizer adam: it is one of sgd, adamw."),
        ({"retrain_optimizer": "adam"}, "--retrain-optimizer adam: it is one of sgd, adamw."),
        (
            {"schedule": "moon"},
            "--schedule moon: it is one of step, constant, constant-linear, cosine, inverse-square-root.",
        ),
        ({"retrain_schedule": ""}, "--retrain-schedule : it is one of step, constant"),
        ({"warmup": 1.0}, "--warmup 1.0: it is in [0, 1)."),
        ({"warmup": math.nan}, "--warmup nan"),
        ({"retrain_warmup": -0.1}, "--retrain-warmup -0.1"),
        ({"schedule": "inverse-square-root"}, "--warmup 0.0: the inverse-square-root schedule falls"),
        ({"retrain_schedule": "inverse-square-root"}, "--retrain-warmup 0.0: the inverse-square-root schedule falls"),
        ({"label_smoothing": 1.0}, "--label-smoothing 1.0: it is in [0, 1)."),
        ({"retrain_label_smoothing": 1.5}, "--retrain-label-smoothing 1.5"),
        ({"gradient_clipping": -1.0}, "--gradient-clipping -1.0: it is 0 or more."),
        ({"retrain_gradient_clipping": math.inf}, "--retrain-gradient-clipping inf"),
        ({"validation_fraction": 1.0}, "--validation-fraction 1.0"),
        ({"validation_fraction": 0.9999}, "leaves none of 1297 images to train on"),
        ({"cka_margin": -0.1}, "--cka-margin -0.1"),
        ({"temperature": "sharpness"}, "--temperature sharpness: it is one of epochs, batch_size, rho, lr."),
        ({"fixed": "epochs"}, "--fixed epochs: it is of --temperature batch_size; leave it out."),
        ({"fixed": "steps", "temperature": "lr", "temperatures": (0.1,)}, "--fixed steps: it is of"),
        ({"fixed": "time"}, "--fixed time: it is one of steps, epochs."),
        ({"load": "depth"}, "--load depth: it is one of density, width, data_dimension, data_amount."),
        (
            {"pruner": "smallest"},
            f"--pruner smallest: it is one of {', '.join(RULES)}, or package.module:function for your own.",
        ),
        ({"cka_rule": "loose"}, "--cka-rule loose"),
        ({"model": "preresnet99999999998"}, "depth 99999999998"),
        ({"lmc_threshold": 0.0}, "--lmc-threshold 0.0"),
        ({"cka_threshold": 1.1}, "--cka-threshold 1.1"),
        ({"model": "resnet"}, "unknown model 'resnet'"),
        ({"model": "vgg12"}, "depth 12 of model 'vgg12' is not 11, 13, 16 or 19"),
        ({"data": "mnist"}, "unknown data set 'mnist'"),
        ({"data": "MNIST-13px"}, "side 13 of 'MNIST-13px'"),
        ({"data": "MNIST-first0"}, "asks for the first 0 of 60000"),
        ({"temperatures": (1.5,)}, "--temperatures 1.5: on the epochs axis"),
        ({"temperature": "batch_size", "temperatures": (0,)}, "--temperatures 0: on the batch_size axis"),
        ({"temperature": "batch_size", "temperatures": (16, 1168)}, "--temperatures 1168: on the batch_size axis"),
        ({"temperature": "batch_size", "temperatures": (16,), "batch_size": 5000}, "--batch-size 5000: on the batch"),
        ({"temperature": "rho", "temperatures": (-0.1,)}, "--temperatures -0.1: on the rho axis"),
        ({"temperature": "rho", "temperatures": (math.nan,)}, "--temperatures nan"),
        ({"temperature": "lr", "temperatures": (0,)}, "--temperatures 0: on the lr axis"),
        ({"rho": -1.0}, "--rho -1.0"),
        ({"precision": "float16"}, "--precision float16: it is one of float32, bfloat16"),
        ({"crop_padding": -1}, "--crop-padding -1"),
        (
            {"augmentation": "flip"},
            "--augmentation flip: it is one of published, none, crop-flip, or package.module",
        ),
        ({"augmentation": ""}, "--augmentation : it is one of published, none"),
        ({"augmentation": "none", "flip": True}, "--flip True: --augmentation none has no shift and no mirroring."),
        ({"augmentation": "none", "crop_padding": 2}, "--crop-padding 2: --augmentation none has no shift"),
        ({"augmentation": "crop-flip", "flip": False}, "--flip False: --augmentation crop-flip mirrors"),
        ({"augmentation": "crop-flip", "crop_padding": 0}, "--crop-padding 0: --augmentation crop-flip shifts"),
        ({"augmentation": "crop-flip", "data": OWN}, "--augmentation crop-flip: for these data no shift is published"),
        ({"loss": "focal"}, "--loss focal: it is package.module:function; leave it out for cross entropy."),
        ({"loss": "a:b", "label_smoothing": 0.1}, "--label-smoothing 0.1: it is of cross entropy alone; give 0"),
        ({"loss": "a:b", "retrain_label_smoothing": 0.1}, "--retrain-label-smoothing 0.1: it is of cross entropy"),
        ({"widths": (0.5,)}, "--widths 0.5: they are the load only with --load width"),
        ({"load": "width", "densities": (0.2,)}, "--widths (nothing)"),
        ({"load": "width", "widths": (1.0,)}, "with --load width all models are pruned to the same density"),
        ({"load": "width", "densities": (0.2,), "widths": (-1.0,)}, "--widths -1.0"),
        ({"load": "width", "densities": (0.2,), "widths": (1.5, 0.3)}, "width 2.4 of model 'preresnet8-w0.15'"),
        ({"milestones": ()}, "--milestones (nothing): they are shares of the schedule between 0 and 1"),
        ({"milestones": (0.75, 0.5)}, "--milestones 0.75 0.5: they are shares"),
        ({"milestones": (0.5, 0.5)}, "--milestones 0.5 0.5"),
        ({"milestones": (0.0, 0.5)}, "--milestones 0.0 0.5"),
        ({"milestones": (0.5, 1.0)}, "--milestones 0.5 1.0"),
        ({"retrain_milestones": (math.nan,)}, "--retrain-milestones nan"),
        ({"load": "width", "densities": (0.2,), "widths": (0.3,), "model": "vgg16"}, "is not a whole number"),
        ({"data_dimensions": (4,)}, "--data-dimensions 4: they are the load only with --load data_dimension"),
        ({"load": "data_dimension", "densities": (0.2,)}, "--data-dimensions (nothing)"),
        ({"load": "data_dimension", "data_dimensions": (4,)}, "with --load data_dimension all models are pruned"),
        ({"load": "data_dimension", "densities": (0.2,), "data_dimensions": (0,)}, "--data-dimensions 0"),
        ({"load": "data_dimension", "densities": (0.2,), "data_dimensions": (4, 2, 4)}, "--data-dimensions 4: each"),
        ({"data_amounts": (400,)}, "--data-amounts 400: they are the load only with --load data_amount"),
        ({"load": "data_amount", "densities": (0.2,)}, "--data-amounts (nothing)"),
        ({"load": "data_amount", "data_amounts": (400,)}, "with --load data_amount all models are pruned"),
        (
            {"load": "data_amount", "densities": (0.2,), "data_amounts": (0,)},
            "--data-amounts 0: an amount is a whole number of training images, from 1 on.",
        ),
        (
            {"load": "data_amount", "densities": (0.2,), "data_amounts": (400, 1298)},
            "amount 1298 of 'digits': it is from 1 to its 1297 training images.",
        ),
        (
            {"load": "data_amount", "densities": (0.2,), "data_amounts": (1000, 4), "validation_fraction": 0.9},
            "a validation fraction of 0.9 leaves none of 4 images to train on",
        ),
        ({"generator": "random-manifold"}, "--generator random-manifold: it is of --load data_dimension"),
        ({"generator": "pca"}, "--generator pca: it is one of principal-components, random-manifold"),
    ],
)
def test_bad_values_are_quoted(change, said):
    with pytest.raises(UsageError) as error:
        replace(DIGITS, **change).check()
    assert said in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cpus_per_trial": 0}, "--cpus-per-trial 0"),
        ({"cpus_per_trial": 1e-9}, "--cpus-per-trial 1e-09"),
        ({"gpus_per_trial": 1e-9}, "--gpus-per-trial 1e-09"),
        ({"cpus_per_trial": math.nan}, "--cpus-per-trial nan"),
        ({"checkpoint_seconds": math.nan}, "--checkpoint-seconds nan"),
        ({"cpus_per_trial": 4096}, "--cpus-per-trial 4096: this machine has"),
        ({"gpus_per_trial": -1}, "--gpus-per-trial -1"),
        ({"max_failures": -1}, "--max-failures -1"),
        ({"checkpoint_seconds": 0}, "--checkpoint-seconds 0"),
    ],
)
def test_bad_run_options_are_quoted(change, said):
    with pytest.raises(UsageError, match=said):
        RunOptions(**change).check()


@pytest.mark.parametrize(
    ("change", "augmentation"),
    [
        ({}, Augmentation()),
        ({"crop_padding": 2}, Augmentation(crop_padding=2)),
        ({"augmentation": "none", "crop_padding": 0, "flip": False}, Augmentation(0, False)),
        ({"augmentation": "crop-flip"}, Augmentation(flip=True)),
        ({"augmentation": "crop-flip", "data": OWN, "crop_padding": 4}, Augmentation(4, True)),
        ({"augmentation": "a:b#1", "flip": True}, Augmentation(0, True, "a:b#1")),
    ],
)
def test_dense_models_and_their_siblings_have_the_augmentation_and_the_loss_that_are_asked_for(change, augmentation):
    spec = replace(DIGITS, **change, loss="a:c#2")
    spec.check()
    assert {(stage.run.augmentation, stage.run.loss) for stage in spec.points()} == {(augmentation, "a:c#2")}


def test_points_are_the_whole_grid_and_share_one_dense_training_for_each_seed():
    points = DIGITS.points()
    assert len(points) == len({stage.point.key for stage in points}) == 2 * 6 * 6
    assert len({stage.point.dense for stage in points}) == 2


def test_retraining_takes_what_is_not_given_from_the_dense_recipe():
    retrain = replace(DIGITS, retrain_lr=0.01, batch_size=32).points()[0].point.retrain
    assert (retrain.lr, retrain.batch_size, retrain.epochs) == (0.01, 32, DIGITS.epochs)


RECIPE_OPTIONS = {
    "optimizer": "adamw",
    "schedule": "cosine",
    "warmup": 0.05,
    "label_smoothing": 0.1,
    "gradient_clipping": 1.0,
    "weight_decay": 0.01,
}


def recipes(spec):
    (stage, *_) = spec.points()
    return stage.point.dense.recipe, stage.point.retrain


@pytest.mark.parametrize(("name", "value"), RECIPE_OPTIONS.items())
def test_a_recipes_options_are_for_both_trainings_and_can_be_for_retraining_alone(name, value):
    both = recipes(replace(DIGITS, **{name: value}))
    assert [getattr(recipe, name) for recipe in both] == [value, value]
    own = getattr(DIGITS, name)
    dense, retrain = recipes(replace(DIGITS, **{f"retrain_{name}": value}))
    assert (getattr(dense, name), getattr(retrain, name)) == (own, value)
    dense, retrain = recipes(replace(DIGITS, **{name: value, f"retrain_{name}": own}))  # 0 is a value, too
    assert (getattr(dense, name), getattr(retrain, name)) == (value, own)


def test_as_one_types_it():
    line = "--optimizer adamw --lr 1e-3 --schedule cosine --warmup 0.05 --retrain-schedule constant --retrain-warmup 0"
    spec = parse(SweepSpec, line.split(), DIGITS)
    spec.check()
    dense, retrain = recipes(spec)
    adamw = Recipe(20, 64, 1e-3, 0.0, 5e-3, optimizer="adamw")
    assert (dense, retrain) == (replace(adamw, schedule="cosine", warmup=0.05), replace(adamw, schedule="constant"))


def test_momentum_is_of_sgd_alone_and_so_enters_only_its_keys():
    adamw = replace(DIGITS, optimizer="adamw")
    assert recipes(adamw) == recipes(replace(adamw, momentum=0.5))
    dense, retrain = recipes(replace(adamw, retrain_optimizer="sgd", momentum=0.5))
    assert (dense.momentum, retrain.momentum) == (0.0, 0.5)


def test_betas_are_of_adamw_alone_and_so_enter_only_its_keys():
    preset = replace(DIGITS, optimizer="adamw", betas=(0.9, 0.98))
    assert [recipe.betas for recipe in recipes(preset)] == [(0.9, 0.98)] * 2
    assert [recipe.betas for recipe in recipes(replace(preset, retrain_betas=(0.8, 0.9)))] == [(0.9, 0.98), (0.8, 0.9)]
    assert recipes(replace(preset, optimizer="sgd")) == recipes(DIGITS)
    dense, retrain = recipes(replace(preset, retrain_optimizer="sgd"))
    assert (dense.betas, retrain.betas) == ((0.9, 0.98), Recipe.betas)
    adamw = replace(DIGITS, optimizer="adamw")
    keys = [spec.points()[0].point.key for spec in (adamw, replace(adamw, betas=(0.9, 0.999)), preset)]
    assert keys[0] == keys[1] != keys[2]
    assert SweepSpec.from_json(preset.to_json()) == preset


@pytest.mark.parametrize(
    ("line", "betas"),
    [
        ("--optimizer adamw --betas 0.9 0.98", [(0.9, 0.98)] * 2),
        ("--optimizer adamw --retrain-betas 0 0.98", [(0.9, 0.999), (0, 0.98)]),
        ("--retrain-optimizer adamw --betas 0.9 0.98", [(0.9, 0.999), (0.9, 0.98)]),
        ("--retrain-optimizer adamw --retrain-betas 0.9 0.98", [(0.9, 0.999), (0.9, 0.98)]),
    ],
)
def test_betas_as_one_types_them(line, betas):
    spec = read_options(SweepOptions, line.split()).spec
    spec.check()
    assert [recipe.betas for recipe in recipes(spec)] == betas


def test_a_sweep_of_before_these_options_reads_as_the_same():
    fields = json.loads(DIGITS.to_json())
    added = [name for name in fields if name.removeprefix("retrain_") in {*RECIPE_OPTIONS, "betas"} - {"weight_decay"}]
    assert len(added) == 12
    older = json.dumps({name: value for name, value in fields.items() if name not in added})
    assert SweepSpec.from_json(older) == DIGITS


def test_the_default_temperature_is_the_recipes_own_or_the_nearest():
    epochs = PRESETS["digits-epochs"]
    assert (epochs.hot_to_cold[0], epochs.default_temperature) == (2, 20)
    rho = PRESETS["fashion-sam"]
    assert (rho.hot_to_cold[0], rho.default_temperature) == (0.8, 0.05)
    assert PRESETS["fashion-batch-size"].default_temperature == 64
