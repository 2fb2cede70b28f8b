from dataclasses import dataclass, replace

import pytest
from points import grid_plan, inventory, measurement

from sweeps.plans.plan import StagePlan
from sweeps.results.inventory import Inventory
from sweeps.spec.presets import PRESETS
from trainables.stages import DenseStage, MeasurementStage, PointStage, PruningStage, Stage

SPEC = replace(PRESETS["digits-epochs"], temperatures=(3, 10), densities=(0.1, 0.2), dense_seeds=(1, 2))
POINTS = SPEC.points()


def drain(plan):
    stages = []
    while (stage := plan.ask()) is not None:
        stages.append(stage)
    return stages


def of(kind, stages):
    return [stage for stage in stages if isinstance(stage, kind)]


def test_dense_models_come_before_their_points_and_these_before_what_is_measured():
    plan = grid_plan(POINTS)
    first = drain(plan)
    assert [(type(stage), stage.run.seed, stage.epochs) for stage in first] == [
        (DenseStage, 1, (3, 10)),
        (DenseStage, 2, (3, 10)),
    ]
    assert plan.tell(first[1], "ok") == []
    of_second = drain(plan)
    assert [type(stage) for stage in of_second] == [PointStage] * 4
    assert {stage.point.dense.seed for stage in of_second} == {2}
    plan.tell(of_second[2], "ok")
    assert drain(plan) == [measurement(of_second[2])]
    plan.tell(first[0], "diverged")  # its points are results, too: they tell so themselves
    assert len(drain(plan)) == 4


def test_a_plan_is_done_when_nothing_is_left():
    plan = grid_plan(POINTS)
    while not plan.is_done:
        assert plan.left
        plan.tell(plan.ask(), "ok")
    assert plan.left == []


def test_what_is_measured_goes_before_other_points():
    plan = grid_plan(POINTS)
    for stage in drain(plan):
        plan.tell(stage, "ok")
    point = plan.ask()
    plan.tell(point, "ok")
    assert plan.ask() == measurement(point)


def test_a_measurement_follows_its_point_and_can_be_taken_then():
    plan = grid_plan(POINTS)
    dense = drain(plan)
    assert [plan.follow_up(stage) for stage in dense] == [None, None]
    plan.tell(dense[0], "ok")
    point = plan.ask()
    follow_up = plan.follow_up(point)
    assert follow_up == measurement(point)
    assert not plan.take(follow_up)
    plan.tell(point, "ok")
    assert plan.take(follow_up)
    assert not plan.take(follow_up)
    assert follow_up in plan.left
    one = grid_plan(POINTS[:1])
    assert one.follow_up(one.ask()) is None  # points may begin while a dense training goes on


def test_a_plan_is_over_when_every_stage_was_told_of():
    plan = grid_plan(POINTS)
    told = []
    while plan.left:
        for stage in drain(plan):
            told.append(stage)
            assert plan.tell(stage, "failed" if isinstance(stage, MeasurementStage) else "ok") == []
    assert plan.ask() is None
    assert len(told) == len(set(told)) == 2 + 8 + 8


def test_wanted_minus_stored():
    assert grid_plan(POINTS, inventory(POINTS)).left == []
    plan = grid_plan(POINTS, inventory(POINTS[:5] + POINTS[6:]))
    assert plan.points == [POINTS[5]]
    assert plan.dense == [DenseStage(POINTS[5].point.dense, (POINTS[5].point.epoch,))]


def test_what_is_not_measured_yet_is_measured_without_training():
    trained = inventory(dense=[(stage.run.key, stage.point.epoch) for stage in POINTS])
    for stage in POINTS:
        trained.add(stage, stage.parts)
    plan = grid_plan(POINTS, trained)
    assert plan.points == plan.trained == POINTS
    assert plan.left == [measurement(stage) for stage in POINTS]


def test_siblings_that_are_not_kept_are_retrained_to_be_measured():
    stored = {PointStage.kind: {stage.key: set(stage.seeds) for stage in POINTS[:1]}}
    plan = grid_plan(POINTS[:1], Inventory(lambda kind: stored.get(kind, {}), lambda kind: {}))
    assert [type(stage) for stage in plan.left] == [MeasurementStage, PointStage, DenseStage]


def test_pairs_of_siblings_without_results_of_their_own_do_not_count():
    lost = POINTS[0]
    there = inventory(POINTS[1:])
    there.add(replace(lost, seeds=(1, 3)), (1, 3))
    there.add(measurement(lost), measurement(lost).parts)
    plan = grid_plan(POINTS, there)
    (measured,) = of(MeasurementStage, plan.left)
    assert {part[1:] for part in measured.parts} == {(1, 2), (2, 3)}
    assert [stage.seeds for stage in of(PointStage, plan.left)] == [(2,)]


def test_dense_models_that_are_kept_are_not_trained_again():
    plan = grid_plan(POINTS, inventory(dense={(stage.point.dense.key, 3) for stage in POINTS}))
    assert [stage.epochs for stage in plan.dense] == [(10,), (10,)]
    assert sum(isinstance(stage, PointStage) for stage in drain(plan)) == 4


def test_points_of_a_failed_dense_model_cannot_run():
    plan = grid_plan(POINTS)
    dense = drain(plan)
    lost = plan.tell(dense[0], "failed", "dense: no luck")
    assert {other.stage.run.seed for other in lost} == {1}
    assert [len(of(kind, [other.stage for other in lost])) for kind in (PointStage, MeasurementStage)] == [4, 4]
    assert {(other.cause, other.why) for other in lost} == {(dense[0], "dense: no luck")}
    assert len(plan.left) == 9
    (again,) = plan.want([measurement(POINTS[0])])  # it is known by now that this cannot be
    assert (again.stage, again.cause) == (POINTS[0], dense[0]) or again.stage == measurement(POINTS[0])


def test_what_cannot_be_measured_is_lost_with_its_point():
    plan = grid_plan(POINTS)
    for stage in drain(plan):
        plan.tell(stage, "ok")
    point = plan.ask()
    assert [(other.stage, other.cause) for other in plan.tell(point, "failed")] == [(measurement(point), point)]


def test_a_sibling_more_leaves_those_that_are_there():
    wanted = [replace(stage, seeds=(1, 9)) for stage in POINTS]
    there = inventory(POINTS, dense=[(stage.run.key, stage.point.epoch) for stage in POINTS])
    plan = grid_plan(wanted, there)
    assert {stage.seeds for stage in of(PointStage, plan.left)} == {(9,)}
    assert {part[1:] for stage in of(MeasurementStage, plan.left) for part in stage.parts} == {(1, 9)}
    assert grid_plan([replace(stage, seeds=(1, 3)) for stage in POINTS], inventory(POINTS)).points == []


def test_artifacts_that_are_used_up_are_made_again():
    """With ``--keep nothing``, when a search adds a sibling."""
    there = inventory(dense=[(stage.run.key, stage.point.epoch) for stage in POINTS])
    plan = StagePlan([measurement(POINTS[0])], there, used_up=("point",))
    for _ in range(2):
        plan.tell(plan.ask(), "ok")
    assert plan.left == []
    plan.want([measurement(replace(POINTS[0], seeds=(1, 2, 3, 9)))])
    retrained, measured = plan.ask(), plan.left[0]
    assert retrained.seeds == (1, 2, 3, 9)
    pairs = {part[1:] for part in measured.parts}
    assert pairs == {(1, 2), (1, 3), (2, 3), (1, 9), (2, 9), (3, 9)}  # the retrained ones may be others


@pytest.mark.parametrize("outcome", ["ok", "failed"])
def test_an_outcome_is_told_once(outcome):
    plan = grid_plan(POINTS)
    stage = plan.ask()
    plan.tell(stage, outcome)
    with pytest.raises(KeyError):
        plan.tell(stage, outcome)


def test_points_of_a_model_that_is_kept_do_not_wait_for_the_colder_ones():
    plan = grid_plan(POINTS)
    dense = drain(plan)[0]
    plan.tell_kept(dense, [3])
    ready = drain(plan)
    assert {(stage.run, stage.point.epoch) for stage in ready} == {(dense.run, 3)}
    assert len(ready) == 2
    plan.tell_kept(dense, [3])  # told again by an attempt that was started again
    assert drain(plan) == []
    lost = [other.stage for other in plan.tell(dense, "failed")]
    assert {(stage.run, stage.point.epoch) for stage in of(PointStage, lost)} == {(dense.run, 10)}
    assert len(lost) == 4
    for stage in ready:
        assert plan.tell(stage, "ok") == []


def test_more_of_a_work_that_is_being_done_waits_for_its_end():
    plan = StagePlan([DenseStage(POINTS[0].run, (3,))], inventory())
    first = plan.ask()
    assert plan.want([DenseStage(POINTS[0].run, (3, 10)), measurement(POINTS[2])]) == []  # epoch 10
    assert plan.ask() is None
    plan.tell(first, "ok")
    assert [(stage.kind, stage.parts) for stage in drain(plan)] == [("dense", (10,))]


def test_more_of_a_work_that_fails_is_lost_with_it():
    plan = StagePlan([DenseStage(POINTS[0].run, (3,))], inventory())
    first, more = plan.ask(), DenseStage(POINTS[0].run, (10,))
    assert plan.want([more]) == []
    assert [(other.stage, other.cause) for other in plan.tell(first, "failed")] == [(more, first)]
    assert plan.left == []


def test_a_training_keeps_what_it_comes_by_that_may_be_wanted_later():
    colder = [measurement(stage) for stage in POINTS]
    plan = StagePlan([measurement(POINTS[2])], inventory(), candidates=colder)  # of epoch 10
    assert drain(plan)[0].epochs == (3, 10)
    plan = StagePlan([measurement(POINTS[0])], inventory(), candidates=colder)  # of epoch 3
    assert drain(plan)[0].epochs == (3,)


@dataclass(frozen=True)
class Step(Stage):
    """A kind of which the plan knows nothing: a chain, or a tree, of needs."""

    name: str
    parts: tuple[int, ...]
    after: tuple["Step", ...] = ()

    kind = "step"
    key = property(lambda self: self.name)
    needs = property(lambda self: self.after)
    work = 1.0

    def with_parts(self, parts):
        return replace(self, parts=tuple(sorted(parts)))

    part_columns = common_columns = columns_read = parts_in_row = execute = seconds = tables = None


def test_a_plan_knows_no_kind_of_stage():
    root = Step("root", (1, 2))
    left, right = Step("left", (1,), (root.with_parts([1]),)), Step("right", (1,), (root.with_parts([2]),))
    top = Step("top", (1,), (left, right, Step("alone", (5,))))
    plan = StagePlan([top], inventory())
    order = []
    while plan.left:
        ready = drain(plan)
        order.append([stage.name for stage in ready])
        for stage in ready:
            plan.tell(stage, "ok")
    assert order == [["root", "alone"], ["left", "right"], ["top"]]
    plan = StagePlan([top], inventory())
    lost = plan.tell(plan.ask(), "failed")
    assert sorted(other.stage.name for other in lost) == ["left", "right", "top"]
    assert [stage.name for stage in plan.left] == ["alone"]


METHOD = replace(SPEC, pruner="lottery").points()


def test_a_method_comes_between_the_dense_model_and_its_points_and_lets_them_begin_early():
    plan = grid_plan(METHOD)
    dense = drain(plan)
    assert [stage.epochs for stage in dense] == [(0, 3, 10), (0, 3, 10)]
    plan.tell_kept(dense[0], [0, 3])  # what the hotter model's rounds need
    (run,) = drain(plan)
    assert isinstance(run, PruningStage)
    assert run.densities == (0.2, 0.1)  # from high to low
    plan.tell_kept(run, [0.2])
    (point,) = drain(plan)
    assert (point.point.pruning.key, point.point.density) == (run.key, 0.2)
    plan.tell(run, "ok")
    (other,) = drain(plan)
    assert other.point.density == 0.1


def test_a_method_that_stops_too_early_loses_the_points_of_lower_densities_alone():
    plan = grid_plan(METHOD)
    for stage in drain(plan):
        plan.tell(stage, "ok")
    run = of(PruningStage, drain(plan))[0]
    plan.tell_kept(run, [0.2])
    lost = plan.tell(run, "failed", "it stopped at density 0.15")
    assert {each.stage.point.density for each in lost if isinstance(each.stage, PointStage)} == {0.1}
    assert {each.why for each in lost} == {"it stopped at density 0.15"}


def test_what_a_later_sweep_adds_to_a_method_is_all_that_is_run():
    of_seed = [stage for stage in METHOD if stage.run.seed == 1 and stage.label.temperature == 3]
    (run,) = {stage.point.pruning for stage in of_seed}
    have = {"dense": {run.dense.key: {0, 3}}, "pruning": {run.key: {0.2}}}
    there = Inventory(lambda kind: have.get(kind, {}), lambda kind: have.get(kind, {}))
    (stage,) = drain(grid_plan([each for each in of_seed if each.point.density == 0.1], there))
    assert stage == PruningStage(run, (0.1,))
