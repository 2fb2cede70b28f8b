from dataclasses import replace

import pytest

from sweeps.plans.plan import GridPlan
from sweeps.spec.presets import PRESETS
from trainables.stages import DenseStage, PointStage

SPEC = replace(PRESETS["digits"], temperatures=(3, 10), densities=(0.1, 0.2), dense_seeds=(1, 2))
POINTS = SPEC.points()
EVERYTHING = {stage.point.key: {1, 2, 3} for stage in POINTS}


def drain(plan):
    stages = []
    while (stage := plan.ask()) is not None:
        stages.append(stage)
    return stages


def test_dense_models_come_before_their_points():
    plan = GridPlan(POINTS, {}, set())
    first = drain(plan)
    assert [(type(stage), stage.run.seed, stage.epochs) for stage in first] == [
        (DenseStage, 1, (3, 10)),
        (DenseStage, 2, (3, 10)),
    ]
    assert plan.tell(first[1], "ok") == []
    of_second = drain(plan)
    assert {stage.point.dense.seed for stage in of_second} == {2}
    assert len(of_second) == 4
    plan.tell(first[0], "diverged")  # its points are results, too: they tell so themselves
    assert len(drain(plan)) == 4


def test_a_plan_is_over_when_every_stage_was_told_of():
    plan = GridPlan(POINTS, {}, set())
    while plan.left:
        for stage in drain(plan):
            assert plan.tell(stage, "failed" if isinstance(stage, PointStage) else "ok") == []
    assert plan.ask() is None


def test_wanted_minus_stored():
    assert GridPlan(POINTS, EVERYTHING, set()).left == []
    one_missing = {key: seeds for key, seeds in EVERYTHING.items() if key != POINTS[5].point.key}
    plan = GridPlan(POINTS, one_missing, set())
    assert plan.points == [POINTS[5]]
    assert plan.dense == [DenseStage(POINTS[5].point.dense, (POINTS[5].point.epoch,))]


def test_dense_models_that_are_kept_are_not_trained_again():
    plan = GridPlan(POINTS, {}, {(stage.point.dense.key, 3) for stage in POINTS})
    assert [stage.epochs for stage in plan.dense] == [(10,), (10,)]
    ready = drain(plan)
    assert sum(isinstance(stage, PointStage) for stage in ready) == 4


def test_points_of_a_failed_dense_model_cannot_run():
    plan = GridPlan(POINTS, {}, set())
    dense = drain(plan)
    lost = plan.tell(dense[0], "failed")
    assert {stage.point.dense.seed for stage in lost} == {1}
    assert len(lost) == 4
    assert len(plan.left) == 5


def test_a_sibling_more_keeps_those_that_are_stored():
    wanted = [replace(stage, seeds=(1, 9)) for stage in POINTS]
    plan = GridPlan(wanted, EVERYTHING, set())
    assert {stage.seeds for stage in plan.points} == {(1, 2, 3, 9)}
    assert GridPlan([replace(stage, seeds=(1, 3)) for stage in POINTS], EVERYTHING, set()).points == []


@pytest.mark.parametrize("outcome", ["ok", "failed"])
def test_an_outcome_is_told_once(outcome):
    plan = GridPlan(POINTS, {}, set())
    stage = plan.ask()
    plan.tell(stage, outcome)
    with pytest.raises(KeyError):
        plan.tell(stage, outcome)


def test_points_of_a_model_that_is_kept_do_not_wait_for_the_colder_ones():
    plan = GridPlan(POINTS, {}, set())
    dense = drain(plan)[0]
    plan.passed(dense, 3)
    ready = drain(plan)
    assert {(stage.run, stage.point.epoch) for stage in ready} == {(dense.run, 3)}
    assert len(ready) == 2
    plan.passed(dense, 3)  # told again by an attempt that was started again
    assert drain(plan) == []
    lost = plan.tell(dense, "failed")
    assert {(stage.run, stage.point.epoch) for stage in lost} == {(dense.run, 10)}
    for stage in ready:
        assert plan.tell(stage, "ok") == []
