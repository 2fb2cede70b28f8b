from dataclasses import replace

import pytest
from points import inventory, record

from sweeps.case_studies.temperature_tuning import TemperatureTuning, Tuning
from sweeps.plans.search_plan import SearchPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.phase import phase_table, rows_of
from sweeps.spec.presets import PRESETS
from trainables.stages import DenseStage, MeasurementStage, PointStage

SPEC = replace(
    PRESETS["digits-epochs"], temperatures=(2, 4, 7, 10), densities=(0.1, 0.2), epochs=10, dense_seeds=(1, 2)
)
# By density the boundary is at 4 and at 10.
LMC = {0.1: {2: 0.0, 4: -0.02, 7: -0.2, 10: -0.3}, 0.2: dict.fromkeys((2, 4, 7, 10), 0.0)}


@pytest.fixture
def searching(store):
    def make(spec=SPEC, start=10, kept=None, first=None, **options):
        how = Tuning(choose="boundary", **options)
        first = len(spec.retrain_seeds) if first is None else first
        tuning = TemperatureTuning(spec.hot_to_cold, spec.loads, start, spec.thresholds, how, first)
        summary = lambda stages: rows_of(phase_table(stages, store, spec.thresholds, spec.measurement))[0]  # noqa: E731
        there = inventory_of(store) if kept is None else inventory(dense=kept)
        return tuning, SearchPlan(tuning, spec.points(), spec.measurement, there, summary, store.add_siblings)

    return make


@pytest.fixture
def train(store, made_up):
    def given(stage):
        return LMC[stage.label.load][stage.label.temperature]

    def do(plan, count=1000, fails=lambda stage: False, lmc=given, noise=0.0):
        done = []
        while len(done) < count and (stage := plan.ask()) is not None:
            done.append(stage)
            if fails(stage):
                plan.tell(stage, "failed")
                continue
            if isinstance(stage, PointStage):
                store.record(stage, {"runs": made_up(stage)["runs"]}, "cpu")
            elif isinstance(stage, MeasurementStage):
                point = replace(stage.siblings, seeds=stage.seeds)
                wanted = {part[1:] for part in stage.parts}
                rows = made_up(point, lmc=lmc(stage))["pairs"]
                for pair, row in enumerate(rows):
                    row["lmc"] += noise * (pair % 2 - 0.5)
                rows = [row for row in rows if (row["first_seed"], row["second_seed"]) in wanted]
                store.record(stage, {"pairs": rows}, "cpu")
            plan.tell(stage, "ok")
        return done

    return do


def cells(stages):
    return [(stage.label.temperature, stage.label.load) for stage in stages if isinstance(stage, PointStage)]


def chosen(tuning, plan, store):
    table = phase_table(plan.cells, store, SPEC.thresholds, SPEC.measurement)
    return {answer.load: answer.temperature for answer in tuning.answers(table)}


def test_only_what_the_search_wants_is_trained(searching, train, store):
    tuning, plan = searching(strategy="step")
    done = train(plan)
    assert plan.left == []
    assert sorted(set(cells(done))) == [(4, 0.1), (7, 0.1), (10, 0.1), (10, 0.2)]
    assert chosen(tuning, plan, store) == {0.1: 4, 0.2: 10}
    assert sorted(cells(plan.evaluated)) == sorted(cells(done))


def test_one_training_keeps_the_dense_models_of_all_temperatures_it_passes(searching, train):
    _, plan = searching(strategy="step")
    dense = [stage for stage in train(plan) if isinstance(stage, DenseStage)]
    assert [(stage.run.seed, stage.epochs) for stage in dense] == [(1, (2, 4, 7, 10)), (2, (2, 4, 7, 10))]


def test_densities_go_on_independently(searching):
    _, plan = searching()
    first = [plan.ask(), plan.ask()]
    for stage in first:
        plan.tell(stage, "ok")
    assert {(stage.label.load, stage.point.dense.seed) for stage in (plan.ask() for _ in range(4))} == {
        (load, seed) for load in (0.1, 0.2) for seed in (1, 2)
    }


def test_what_is_stored_is_not_trained_again_and_the_answer_is_the_same(searching, train, store):
    tuning, plan = searching(strategy="step")
    train(plan, count=8)  # and killed
    tuning, plan = searching(strategy="step")
    rest = train(plan)
    assert len(cells(rest)) == 8 - 3
    assert chosen(tuning, plan, store) == {0.1: 4, 0.2: 10}
    tuning, plan = searching(strategy="step")
    assert plan.left == []
    assert plan.ask() is None
    assert chosen(tuning, plan, store) == {0.1: 4, 0.2: 10}


def test_a_grids_points_are_used(searching, store, made_up):
    for stage in SPEC.points():
        record(store, stage, made_up(stage, lmc=LMC[stage.label.load][stage.label.temperature]))
    tuning, plan = searching()
    assert plan.left == []
    assert chosen(tuning, plan, store) == {0.1: 4, 0.2: 10}


def test_a_grids_cells_are_shown_with_all_of_their_siblings_and_others_with_those_that_the_search_wanted(
    searching, train, store, made_up
):
    for stage in SPEC.points():
        if stage.label.load == 0.1:
            record(store, stage, made_up(stage, lmc=LMC[0.1][stage.label.temperature]))
    _, plan = searching(strategy="step", first=2)
    train(plan)
    known = plan.with_all_stored(SPEC.points())
    assert {(stage.label.load, stage.seeds) for stage in known} == {(0.1, (1, 2, 3)), (0.2, (1, 2))}
    table = phase_table(known, store, SPEC.thresholds, SPEC.measurement)
    there = table[table["n_runs"] > 0]
    assert [*zip(there["temperature"], there["load"], there["n_runs"], there["status"], strict=True)] == [
        *((2, 0.1, 6, "ok"), (4, 0.1, 6, "ok"), (7, 0.1, 6, "ok")),
        *((10, 0.1, 6, "ok"), (10, 0.2, 4, "ok")),
    ]


def test_more_siblings_are_trained_for_the_undecided_cell_alone(searching, train, store):
    _, plan = searching(strategy="step", most_siblings=5)
    lmcs = {0.1: {10: -0.051, 7: 0.3}, 0.2: {10: 0.3}}

    def lmc(stage):
        return lmcs[stage.label.load][stage.label.temperature]

    done = train(plan, lmc=lmc, noise=0.04)
    more = [stage for stage in done if isinstance(stage, PointStage) and not {1, 2, 3} & {*stage.seeds}]
    assert [(stage.label.temperature, stage.label.load, stage.seeds) for stage in more] == [
        (10, 0.1, (seed,)) for seed in (4, 4, 5, 5)
    ]
    cell = phase_table(
        [stage for stage in plan.cells if stage.label.load == 0.1], store, SPEC.thresholds, SPEC.measurement
    )
    assert list(cell[cell["temperature"] == 10]["n_runs"]) == [10]


def test_a_search_begins_with_the_first_of_the_seeds_and_goes_on_with_the_others(searching, train, store):
    tuning, plan = searching(strategy="step", most_siblings=5, first=2)

    def lmc(stage):
        return -0.05 + (0.02 if stage.siblings.point.dense.seed == 1 else -0.02)

    done = train(plan, lmc=lmc)
    seeds = [stage.seeds for stage in done if isinstance(stage, PointStage) and stage.label.load == 0.1]
    assert seeds[:8] == [(1, 2), (1, 2), (3,), (3,), (4,), (4,), (5,), (5,)]
    replayed, again = searching(strategy="step", most_siblings=5, first=2)
    assert again.left == []
    assert chosen(replayed, again, store) == chosen(tuning, plan, store)


def test_a_training_that_failed_is_not_tried_for_every_temperature(searching, train):
    _, plan = searching(strategy="step")
    done = train(plan, fails=lambda stage: isinstance(stage, DenseStage) and stage.run.seed == 1)
    assert len([stage for stage in done if isinstance(stage, DenseStage)]) == 2
    assert {stage.run.seed for stage in done if not isinstance(stage, DenseStage)} == {2}


def test_a_training_that_failed_ends_the_search_whenever_its_failure_is_stored(searching, train, store):
    spec = replace(SPEC, temperature="lr", temperatures=(0.1, 0.2, 0.4), epochs=10)
    tuning, plan = searching(spec, start=0.1)
    train(plan, fails=lambda stage: isinstance(stage, DenseStage) and stage.run.recipe.lr > 0.1, lmc=lambda stage: -0.3)
    answers = tuning.answers(phase_table(plan.cells, store, spec.thresholds, spec.measurement))
    assert {(answer.temperature, answer.note, len(answer.visits)) for answer in answers} == {
        (None, "a point failed", 2)
    }


def test_models_that_are_kept_are_used_though_the_training_of_others_failed(searching, train, store):
    kept = {(stage.point.dense.key, epoch) for stage in SPEC.points() for epoch in (2, 4, 7)}
    tuning, plan = searching(strategy="step", kept=kept, start=7)
    done = train(plan, fails=lambda stage: isinstance(stage, DenseStage))  # 0.2 wants 10, 0.1 wants 4
    assert (4, 0.1) in cells(done)
    assert chosen(tuning, plan, store) == {0.1: 4, 0.2: None}


def test_added_siblings_count_where_their_points_are_shown(searching, train, store):
    _, plan = searching(strategy="step", most_siblings=6)
    train(plan, lmc=lambda stage: -0.05, noise=0.04)
    shown = phase_table(store.with_added_siblings(SPEC.points()), store, SPEC.thresholds, SPEC.measurement)
    assert set(shown[shown["status"] == "ok"]["n_runs"]) == {12}
    assert len(store.with_added_siblings(SPEC.points())) == len(SPEC.points())


def test_a_failed_point_leaves_the_cell_to_the_other_dense_seeds(searching, train, store):
    tuning, plan = searching(strategy="step")
    train(plan, fails=lambda stage: not isinstance(stage, DenseStage) and stage.run.seed == 1)
    assert plan.left == []
    assert chosen(tuning, plan, store) == {0.1: 4, 0.2: 10}


def test_if_everything_fails_there_is_no_answer_but_an_end(searching, train, store):
    tuning, plan = searching()
    train(plan, fails=lambda stage: True)
    assert plan.left == []
    assert chosen(tuning, plan, store) == {0.1: None, 0.2: None}
