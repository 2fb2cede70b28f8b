"""What is tried again, where, and what is left out; with made-up nodes, and without Ray."""

from dataclasses import replace

import pytest
from points import grid_plan

from sweeps.running.nodes import FAULTS_IN_A_ROW
from sweeps.running.stage_queue import StageQueue
from sweeps.spec.presets import PRESETS
from trainables.stages import DenseStage

POINTS = replace(PRESETS["digits-epochs"], temperatures=(3, 10), densities=(0.1,), dense_seeds=tuple(range(1, 9))).points()


@pytest.fixture
def queue():
    def make(*nodes, max_failures=2):
        return StageQueue(grid_plan(POINTS), max_failures, lambda: nodes)

    return make


def test_a_stage_is_given_again_as_often_as_it_may_fail(queue):
    one = queue("a")
    stage = one.ask()
    for _ in range(2):
        assert one.failed(stage, "a", "no data")
        assert one.ask() == stage
    assert not one.failed(stage, "a", "no data")
    assert one.ask() != stage
    assert not one.nodes.left_out  # one stage that fails says nothing of the only node


def test_failures_do_not_count_where_a_stage_got_further(queue):
    """Machines that are taken away now and then do not use up the tries of a long training."""
    one = queue("a", "b")
    stage = one.ask()
    for epochs in range(10, 100, 10):
        one.reached(stage, epochs)
        assert one.failed(stage, "", "its node died")
        assert one.ask() == stage
    one.reached(stage, 85)  # less far than before
    assert one.failed(stage, "", "its node died")
    assert not one.failed(one.ask(), "", "its node died")


def test_a_node_on_which_stage_after_stage_fails_is_left_out_and_they_are_not(queue):
    many = queue("bad", "good", "better")
    for _ in range(FAULTS_IN_A_ROW):
        assert "bad" not in many.nodes.left_out
        assert many.failed(many.ask(), "bad", "no internet")
    assert many.nodes.left_out == {"bad": "no internet"}
    assert not many.no_node_is_left()


def test_one_bad_node_alone_never_uses_up_the_tries_of_a_stage(queue):
    """All others are busy for hours, and it gets the same stage again and again."""
    many = queue("bad", "good")
    stage = many.ask()
    for _ in range(FAULTS_IN_A_ROW):
        assert many.failed(stage, "bad", "no internet")
        assert many.ask() == stage
    assert "bad" in many.nodes.left_out
    assert many.failed(stage, "bad", "no internet")  # it was on its way there


def test_a_stage_that_fails_on_several_nodes_or_where_others_work_is_given_up(queue):
    several = queue("a", "b")
    stage = several.ask()
    assert several.failed(stage, "a", "bug")
    assert several.failed(several.ask(), "b", "bug")
    assert not several.failed(several.ask(), "a", "bug")
    between = queue("a", "b")
    stage, other = between.ask(), between.ask()
    assert between.failed(stage, "a", "bug")
    between.worked(other, "a")
    assert between.failed(between.ask(), "a", "bug")
    assert not between.failed(between.ask(), "a", "bug")


def test_a_success_in_between_clears_a_node(queue):
    many = queue("a", "b")
    for _ in range(3):
        for _ in range(FAULTS_IN_A_ROW - 1):
            many.failed(many.ask(), "a", "now and then")
        many.worked(many.ask(), "a")
    assert not many.nodes.left_out


def test_the_only_node_is_left_out_after_different_stages(queue):
    one = queue("a", max_failures=0)
    for _ in range(FAULTS_IN_A_ROW):
        assert not one.no_node_is_left()
        assert not one.failed(one.ask(), "a", "disk full")
    assert one.no_node_is_left()


def test_what_was_not_begun_is_given_to_another(queue):
    many = queue("a", "b", max_failures=0)
    stage = many.ask()
    for _ in range(10):
        many.give_back(stage)
        assert many.ask() == stage


def test_no_node_is_left_only_if_none_is_there_that_may_work(queue):
    two = queue("a", "b")
    two.nodes.leave_out("a", "no data")
    assert not two.no_node_is_left()
    two.nodes.leave_out("b", "no data")
    assert two.no_node_is_left()
    growing = queue()
    growing.nodes.leave_out("gone", "no data")
    assert not growing.no_node_is_left()  # machines are still to come


def test_dense_stages_come_from_the_plan(queue):
    assert isinstance(queue("a").ask(), DenseStage)
