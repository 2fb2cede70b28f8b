"""Options of pruning methods: which rule takes which, what they make of a point, and what is wrong with others."""

from dataclasses import replace

import pytest

from sweeps import grid
from sweeps.results.store import Store
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.spec.spec import SweepSpec
from trainables.data import training_samples
from trainables.pruning import RULES, Method
from trainables.stages import DenseStage, PruningStage

SMOKE = PRESETS["smoke"]
LONG = replace(SMOKE, temperatures=(4, 6))


@pytest.mark.parametrize("name", RULES)
def test_a_method_is_a_stage_before_its_points(name):
    spec = replace(SMOKE, pruner=name)
    spec.check()
    stage = spec.points()[0]
    (need,) = stage.needs
    if not isinstance(RULES[name], Method):
        assert isinstance(need, DenseStage)
        assert stage.point.pruning is None
        return
    assert isinstance(need, PruningStage)
    assert need.densities == (stage.point.density,)
    (dense,) = need.needs
    assert stage.point.epoch in dense.epochs
    assert stage.key != SMOKE.points()[0].key


def test_one_run_is_for_all_densities_of_a_dense_model():
    runs = {stage.point.pruning for stage in replace(SMOKE, pruner="lottery").points()}
    assert len(runs) == len(SMOKE.temperatures)
    runs = {stage.point.pruning for stage in replace(SMOKE, pruner="gradual").points()}
    assert {run.end for run in runs} == {min(SMOKE.densities)}


def pruning(**changes):
    return replace(SMOKE, **changes).points()[0].point.pruning


def test_rounds_train_as_the_dense_model_or_as_retraining():
    lottery = pruning(pruner="lottery", retrain_epochs=9)
    assert (lottery.recipe, lottery.epochs) == (SMOKE.dense_recipe, SMOKE.temperatures[0])
    iterative = pruning(pruner="iterative", retrain_epochs=9)
    assert (iterative.recipe.epochs, iterative.epochs) == (9, 9)
    short = pruning(pruner="iterative", prune_epochs=3)
    assert (short.recipe.epochs, short.epochs) == (3, 3)
    early = pruning(pruner="filter-magnitude", prune_rounds=25)
    assert (early.recipe.epochs, early.epochs, early.settings.rounds) == (SMOKE.epochs, 1, 25)
    assert pruning(pruner="filter-magnitude").recipe is None


@pytest.mark.parametrize("epochs", [1, 5, 20, 47])
def test_steps_of_a_schedule_become_more_or_less_as_epochs_do(epochs):
    """Of all batch sizes as many, and the last epoch has at least one of them."""
    spec = replace(PRESETS["digits"], pruner="lottery", prune_epochs=epochs)
    images = training_samples(spec.data, spec.validation_fraction)
    runs = {stage.point.pruning for stage in spec.points()}
    assert len(runs) == len(spec.temperatures) * len(spec.dense_seeds)
    (steps,) = {run.recipe.iterations for run in runs}
    assert steps == runs.pop().dense.recipe.iterations * epochs // spec.epochs
    for run in runs:
        of_each = images // run.recipe.batch_size
        assert (run.epochs - 1) * of_each < steps <= run.epochs * of_each


def test_what_a_rule_does_not_take_changes_no_key():
    runs = [
        pruning(pruner="lottery"),
        pruning(pruner="lottery", prune_share=0.2),
        pruning(pruner="lottery", rewind_epoch=0),
    ]
    assert len({run.key for run in runs}) == 1
    others = [pruning(pruner="lottery", prune_share=0.3), pruning(pruner="lottery", prune_scope="global")]
    assert len({run.key for run in [*runs, *others]}) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"pruner": "magnitude-uniform", "prune_epochs": 3},
            "--prune-epochs 3: --pruner magnitude-uniform does not take it",
        ),
        ({"pruner": "lottery", "sap_eta": 0.1}, "--sap-eta 0.1: --pruner lottery does not take it"),
        ({"pruner": "lottery", "prune_to": 0.01}, "--prune-to 0.01: --pruner lottery does not take it"),
        ({"pruner": "filter-loss", "prune_to": 0.01}, "--prune-to 0.01: it is of filters that go in rounds"),
        ({"pruner": "sap", "sap_p": 1.0}, "--sap-p 1.0: it is above 0 and below --sap-q, which is 1"),
        ({"pruner": "sap", "sap_q": 0.4}, "--sap-p 0.5: it is above 0 and below --sap-q, which is 0.4"),
        ({"pruner": "sap", "sap_eta": -0.1}, "--sap-eta -0.1: it is 0 or more"),
        ({"pruner": "sap", "sap_gamma": 0.0}, "--sap-gamma 0.0: it is a positive number"),
        ({"pruner": "sap", "sap_beta": 1.0}, "--sap-beta 1.0: it is from 0.01 to below 1"),
        ({"pruner": "lottery", "prune_share": 0.0}, "--prune-share 0.0: it is from 0.01 to below 1"),
        ({"pruner": "lottery", "prune_scope": "neuron"}, "--prune-scope neuron: it is of --pruner sap alone"),
        (
            {"pruner": "lottery", "rewind_epoch": "none"},
            "--rewind-epoch none: lottery rewinds; --pruner iterative does not",
        ),
        ({"pruner": "lottery", "rewind_epoch": -1}, "--rewind-epoch -1: it is 0 or more"),
        (
            {"pruner": "lottery", "rewind_epoch": 5},
            "--rewind-epoch 5: rounds go on from there to the 4 epochs of temperature 4; give less",
        ),
        (
            {"pruner": "lottery", "rewind_epoch": 1, "prune_epochs": 2},
            "--rewind-epoch 1: with --prune-epochs rounds have a schedule of their own",
        ),
        (
            {"pruner": "filter-bn", "prune_rounds": 2, "prune_epochs": 7},
            "--prune-epochs 7: a round is at the beginning of retraining, which has 6",
        ),
        ({"pruner": "gradual", "prune_to": 0.1}, "--prune-to 0.1: it is above 0 and at most the lowest of --densities"),
        ({"pruner": "gradual", "mask_steps": 0}, "--mask-steps 0: it is from 1 to"),
        ({"pruner": "sap", "sap_q": float("inf")}, "--sap-q inf: it is a finite number above --sap-p"),
        ({"pruner": "filter-bn", "prune_rounds": 10_000}, "--prune-rounds 10000: it is from 1 to 1000"),
        ({"pruner": "sap", "prune_rounds": 0}, "--prune-rounds 0: it is from 1 to"),
        ({"pruner": "sap", "prune_epochs": 0}, "--prune-epochs 0: it is from 1 to"),
    ],
)
def test_bad_values_are_quoted(changes, said):
    with pytest.raises(UsageError) as error:
        replace(LONG, **changes).check()
    assert str(error.value).startswith(said)
    assert str(error.value).endswith(".")


def test_the_command_line_and_the_stored_sweep_have_them():
    spec = replace(SMOKE, pruner="sap", rewind_epoch="none", prune_scope="neuron", sap_p=1.0, sap_q=2.0)
    assert SweepSpec.from_json(spec.to_json()) == spec
    assert replace(spec, rewind_epoch=None).points()[0].point.pruning.settings.rewind_epoch == 0
    assert spec.points()[0].point.pruning.settings.rewind_epoch is None


def test_sweeps_that_were_stored_before_can_still_be_read():
    import json

    fields = {
        name: value for name, value in json.loads(SMOKE.to_json()).items() if "prune_" not in name and "sap" not in name
    }
    fields.pop("rewind_epoch")
    assert SweepSpec.from_json(json.dumps(fields)) == SMOKE


@pytest.mark.parametrize(
    ("densities", "said"), [(["0.3"], "; --prune-to 0.05 goes on from those."), (["0.02", "0.3"], ".")]
)
def test_that_another_lowest_density_makes_other_points_is_told(densities, said, tmp_path, capsys):
    store = Store(tmp_path)
    store.set_spec(replace(SMOKE, pruner="gradual"))
    grid.main(
        ["--preset", "smoke", "--pruner", "gradual", "--out", str(tmp_path), "--dry-run", "--densities", *densities]
    )
    of = f"gradual ends with density {densities[0]}, and in the latest sweep with 0.05"
    assert f"Note: {of}, so these are other points{said}\n" in capsys.readouterr().out
    grid.main(["--preset", "smoke", "--pruner", "gradual", "--out", str(tmp_path), "--dry-run"])
    assert "Note" not in capsys.readouterr().out
