from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest

from sweeps.spec.presets import PRESETS
from trainables.data import Augmentation
from trainables.stages import DenseRun, MeasurementSettings, Point
from trainables.stages.measurement import settings_key
from trainables.training.recipe import Recipe

DENSE = DenseRun("digits", 0.1, "preresnet20", Recipe(), 1)
POINT = Point(DENSE, 160, 0.05, "magnitude-uniform", Recipe())


def test_keys_are_frozen():
    """Results on people's disks are found by these; a new field must leave them as they are."""
    assert DENSE.key == "d0408d055f0046fbb4c4"
    assert POINT.key == "0478ba7704c86d7fb526"
    assert PRESETS["digits-epochs"].points()[0].point.key == "2b45342b78a65d9446e6"
    assert PRESETS["digits"].points()[0].point.key == "94e533cd913c72584f40"
    amounts = {"load": "data_amount", "data_amounts": (400,), "densities": (0.2,), "fixed": "epochs"}
    assert replace(PRESETS["digits"], **amounts).points()[0].point.key == "0a0837144fedf5d439c7"
    assert replace(DENSE, augmentation=Augmentation(4, False)).key == "abc71221ea0e64117d9d"
    assert replace(DENSE, augmentation=Augmentation(flip=True)).key == "87e1af743a95148f3970"


def test_the_key_of_a_measurement_is_frozen_too():
    assert settings_key(MeasurementSettings()) == "c86489ee806709f8f10c"
    assert settings_key(MeasurementSettings(path_points=21)) != settings_key(MeasurementSettings())


def test_a_file_is_known_by_its_content_not_its_place():
    pin = "10-0123456789abcdef0123"
    here, moved, other = (
        replace(DENSE, data=data) for data in (f"/a/b.npz#{pin}", f"/c/d.npz#{pin}", f"/a/b.npz#1{pin}")
    )
    assert here.key == moved.key != other.key


@pytest.mark.parametrize(
    "change",
    [
        {"dense": replace(DENSE, seed=2)},
        {"dense": replace(DENSE, model="preresnet14")},
        {"dense": replace(DENSE, validation_fraction=0.2)},
        {"dense": replace(DENSE, recipe=Recipe(lr=0.05))},
        {"dense": replace(DENSE, recipe=Recipe(rho=0.1))},
        {"dense": replace(DENSE, recipe=Recipe(iterations=62_400))},
        {"dense": replace(DENSE, recipe=Recipe(precision="bfloat16"))},
        {"dense": replace(DENSE, augmentation=Augmentation(crop_padding=4))},
        {"dense": replace(DENSE, augmentation=Augmentation(flip=False))},
        {"dense": replace(DENSE, augmentation=Augmentation(function="mine:f#0123456789ab"))},
        {"dense": replace(DENSE, loss="mine:f#0123456789ab")},
        {"dense": replace(DENSE, checkpoint="0123456789abcdef0123")},
        {"epoch": 10},
        {"density": 0.06},
        {"pruner": "magnitude-global"},
        {"retrain": Recipe(weight_decay=5e-4)},
        {"retrain": Recipe(optimizer="adamw")},
        {"retrain": Recipe(schedule="cosine")},
        {"retrain": Recipe(warmup=0.05)},
        {"retrain": Recipe(label_smoothing=0.1)},
        {"retrain": Recipe(gradient_clipping=1.0)},
        {"retrain": Recipe(betas=(0.9, 0.98))},
        {"dense": replace(DENSE, recipe=Recipe(optimizer="adamw"))},
    ],
)
def test_everything_that_decides_a_result_changes_the_key(change):
    assert replace(POINT, **change).key != POINT.key


@dataclass(frozen=True)
class LongerRecipe(Recipe):
    """As if fields were added, one of them in a way that names all results anew."""

    nesterov: bool = field(default=False, metadata={"added": True})


@dataclass(frozen=True)
class OtherRecipe(Recipe):
    nesterov: bool = False


def test_a_field_that_is_marked_as_added_enters_a_key_only_with_another_value():
    assert replace(POINT, retrain=LongerRecipe()).key == POINT.key
    assert replace(POINT, retrain=LongerRecipe(nesterov=True)).key != POINT.key
    assert replace(POINT, retrain=OtherRecipe()).key != POINT.key
    assert replace(POINT, retrain=Recipe(warmup=0, gradient_clipping=0)).key == POINT.key


def test_the_same_number_has_the_same_key():
    assert replace(POINT, density=1).key == replace(POINT, density=1.0).key


def test_thresholds_and_retrain_seeds_do_not_change_the_key():
    digits = PRESETS["digits-epochs"]
    other = replace(digits, lmc_threshold=-0.1, cka_threshold=0.5, cka_rule="relative", retrain_seeds=(7, 8))
    assert [stage.point.key for stage in other.points()] == [stage.point.key for stage in digits.points()]


def test_a_stage_is_not_copied_with_the_settings_of_a_trial():
    settings = {"stage": PRESETS["digits-epochs"].points()[0], "others": [1]}
    copied = deepcopy(settings)
    assert copied["stage"] is settings["stage"]
    assert copied["others"] is not settings["others"]
