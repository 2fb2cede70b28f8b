import math
from dataclasses import replace

import pytest
from points import measurement, record

from sweeps.results.inventory import inventory_of
from sweeps.results.phase import diverged_note, phase_table
from sweeps.results.phase_schema import P_REGIMES, PHASE
from sweeps.spec.presets import PRESETS
from sweeps.views.diagram import boundaries
from sweeps.views.interactive_diagram import draw
from sweeps.views.phase_diagram import phase_diagram
from trainables.stages import DenseStage

SPEC = replace(
    PRESETS["digits-epochs"],
    temperatures=(3, 10),
    densities=(0.1, 0.2),
    dense_seeds=(1, 2),
    lmc_threshold=-0.05,
    cka_threshold=0.9,
)


def table_of(spec, store):
    return phase_table(spec.points(), store, spec.thresholds, spec.measurement)


def cell(table, temperature, load):
    return table[(table["temperature"] == temperature) & (table["load"] == load)].iloc[0]


@pytest.fixture
def filled(store, made_up):
    """A grid with a cell of every regime and status."""
    values = {
        (3, 0.1): {"lmc": -0.3, "cka": 0.5, "error": 0.3},
        (10, 0.1): {"lmc": -0.01, "cka": 0.7, "error": 0.1},
        (3, 0.2): {"lmc": 0.0, "cka": 0.95, "error": 0.05},
        (10, 0.2): {"status": "diverged"},
    }
    for stage in SPEC.points():
        made = values[stage.label.temperature, stage.label.load]
        if stage.point.dense.seed == 2 and (stage.label.temperature, stage.label.load) == (3, 0.2):
            continue
        if stage.point.dense.seed == 2 and "error" in made:
            made = made | {"error": made["error"] + 0.02, "lmc": made["lmc"] - 0.006}
        record(store, stage, made_up(stage, **made))
    return store


def test_cells_are_means_over_siblings_pairs_and_dense_seeds(filled):
    table = table_of(SPEC, filled)
    assert list(table.columns) == PHASE.names
    ours = cell(table, 3, 0.1)
    assert ours["test_error"] == pytest.approx(0.31)
    assert ours["lmc"] == pytest.approx(-0.303)
    assert ours["lmc_se"] == 0  # of each dense seed all are equal
    assert ours["lmc_se_dense"] == pytest.approx(0.003)  # of the two means -0.300 and -0.306
    assert (ours["n_runs"], ours["n_pairs"], ours["n_dense_seeds"]) == (6, 6, 2)
    assert ours["seconds"] == 12


def test_the_standard_error_of_lmc_is_the_corrected_jackknife_over_siblings(store, made_up):
    stage = SPEC.points()[0]
    rows = made_up(stage)
    lmcs = [-0.1, -0.2, -0.4]
    rows["pairs"] = [row | {"lmc": lmc} for row, lmc in zip(rows["pairs"], lmcs, strict=True)]
    record(store, stage, rows)
    ours = cell(table_of(SPEC, store), 3, 0.1)
    mean = sum(lmcs) / 3  # leaving one sibling out leaves one pair
    assert ours["lmc_se"] == pytest.approx(math.sqrt(1.5 / 3 * 2 / 3 * sum((lmc - mean) ** 2 for lmc in lmcs)))
    other = SPEC.points()[len(SPEC.points()) // 2]
    record(store, other, made_up(other, lmc=0.7))
    both = cell(table_of(SPEC, store), 3, 0.1)  # the other dense seed's siblings agree, far from the first's
    assert both["n_dense_seeds"] == 2
    assert both["lmc_se"] == pytest.approx(ours["lmc_se"] / 2)
    two = replace(SPEC, retrain_seeds=(1, 2), dense_seeds=(1,))
    assert math.isnan(cell(table_of(two, store), 3, 0.1)["lmc_se"])


def test_probabilities_come_from_siblings_and_dense_seeds(store, made_up):
    """LMC of dense seed 1 is -0.06 on average, of 2 -0.02; all say the same of CKA."""
    for stage in SPEC.points():
        rows = made_up(stage, cka=0.5)
        lmcs = [-0.07, -0.06, -0.05] if stage.point.dense.seed == 1 else [-0.03, -0.02, -0.01]
        rows["pairs"] = [row | {"lmc": lmc} for row, lmc in zip(rows["pairs"], lmcs, strict=True)]
        record(store, stage, rows)
    ours = cell(table_of(SPEC, store), 3, 0.1)
    assert (ours["regime"], ours["lmc_se_dense"]) == ("II-A", pytest.approx(0.02))
    assert 0.1 < ours["p_regime_1"] < 0.5
    assert ours["p_regime_2a"] == 1 - ours["p_regime_1"]
    assert ours["p_regime_2b"] == 0
    first = cell(table_of(replace(SPEC, dense_seeds=(1,)), store), 3, 0.1)
    assert (first["regime"], math.isnan(first["lmc_se_dense"])) == ("I", True)
    assert 0.5 < first["p_regime_1"] < 1


def test_cells_without_a_regime_have_no_probabilities(diverging, store):
    table = table_of(replace(SPEC, densities=(0.1, 0.2, 0.4)), diverging)
    assert cell(table, 3, 0.1)[[*P_REGIMES]].isna().all()
    assert cell(table, 3, 0.4)[[*P_REGIMES]].isna().all()
    assert cell(table, 10, 0.1)[[*P_REGIMES]].tolist() == [0, 0, 1]  # all are equal


def test_pairs_without_cka_count_for_lmc_alone(store, made_up):
    stage = SPEC.points()[0]
    rows = made_up(stage, lmc=-0.2)
    rows["pairs"] = [row | {"cka": cka} for row, cka in zip(rows["pairs"], (0.9, 0.7, math.nan), strict=True)]
    record(store, stage, rows)
    ours = cell(table_of(SPEC, store), 3, 0.1)
    assert (ours["n_pairs"], ours["lmc"], ours["lmc_se"]) == (3, pytest.approx(-0.2), pytest.approx(0))
    assert ours["cka"] == pytest.approx(0.8)
    assert math.isnan(ours["cka_se"])  # the sibling of both pairs cannot be left out
    assert math.isnan(ours["cka_se_dense"])


def test_one_dense_seed_with_a_single_pair_leaves_no_standard_error(store, made_up):
    points = SPEC.points()
    first, second = points[0], points[len(points) // 2]
    record(store, first, made_up(first))
    record(store, second, made_up(replace(second, seeds=second.seeds[:2]), lmc=-0.04))
    ours = cell(table_of(SPEC, store), 3, 0.1)
    assert (ours["n_runs"], ours["n_pairs"], ours["status"]) == (5, 4, "incomplete")
    assert ours["lmc"] == pytest.approx(-0.01)
    assert math.isnan(ours["lmc_se"])
    assert ours["lmc_se_dense"] == pytest.approx(0.02)


def test_dense_errors_are_those_of_all_dense_models_or_none(store):
    common = {"status": "ok", "message": "", "seconds": 1.0}
    for point in (stage.point for stage in SPEC.points() if stage.label.load == 0.1):
        if (point.dense.seed, point.epoch) != (2, 10):
            errors = {"validation_error": 0.1 * point.dense.seed, "test_error": 0.2 * point.dense.seed}
            row = common | errors | {"dense": point.dense.key, "epoch": point.epoch}
            store.record(DenseStage(point.dense, (point.epoch,)), {"dense": [row]}, "cpu")
    table = table_of(SPEC, store)
    both, one = cell(table, 3, 0.2), cell(table, 10, 0.2)
    assert both["dense_validation_error"] == pytest.approx(0.15)
    assert both["dense_test_error"] == pytest.approx(0.3)
    assert math.isnan(one["dense_validation_error"])
    assert math.isnan(one["dense_test_error"])
    run = next(stage.point.dense for stage in SPEC.points() if stage.point.dense.seed == 2)
    row = common | {"status": "diverged", "dense": run.key, "epoch": 10, "test_error": math.nan}
    store.record(DenseStage(run, (10,)), {"dense": [row]}, "cpu")
    one = cell(table_of(SPEC, store), 10, 0.2)
    assert (one["dense_validation_error"], one["dense_test_error"]) == (pytest.approx(0.1), pytest.approx(0.2))


def test_a_sweep_without_results_has_its_cells(store):
    table = table_of(SPEC, store)
    assert list(zip(table["temperature"], table["load"], strict=True)) == [(3, 0.1), (3, 0.2), (10, 0.1), (10, 0.2)]
    assert set(table["status"]) == {"missing"}
    assert (table[["n_runs", "n_pairs", "n_dense_seeds", "seconds"]] == 0).all(axis=None)
    assert table[["test_error", "lmc", "cka_se", "dense_test_error", "regime"]].isna().all(axis=None)


def test_normalised_error_is_the_distance_from_the_loads_best(filled):
    table = table_of(SPEC, filled)
    assert cell(table, 3, 0.1)["normalized_test_error"] == pytest.approx(0.2)
    assert cell(table, 10, 0.1)["normalized_test_error"] == 0
    assert cell(table, 3, 0.2)["normalized_test_error"] == 0  # the other one is NaN


def test_regimes_and_statuses(filled, store):
    table = table_of(SPEC, filled)
    assert list(table["regime"]) == ["I", "II-B", "II-A", None]
    assert list(table["status"]) == ["ok", "incomplete", "ok", "diverged"]
    wider = replace(SPEC, densities=(0.1, 0.2, 0.4))
    store.record_failure(wider.points()[2], "died")
    table = table_of(wider, filled)
    assert cell(table, 3, 0.4)["status"] == "failed"
    assert cell(table, 10, 0.4)["status"] == "missing"
    assert cell(table, 10, 0.4)["regime"] is None


@pytest.fixture
def diverging(store, made_up):
    """At 0.1 two of six siblings of temperature 3 diverged, and seem the best; at 0.2 one of temperature 10."""
    for stage in SPEC.points():
        cell = (stage.label.temperature, stage.label.load, stage.point.dense.seed)
        best = cell[:2] == (3, 0.1)
        rows = made_up(stage, error=0.05 if best else 0.1, cka=0.99 if best else 0.95)
        gone = {(3, 0.1, 1): {1}, (3, 0.1, 2): {3}, (10, 0.2, 1): {2}}.get(cell, set())
        for row in rows["runs"]:
            if row["retrain_seed"] in gone:
                row |= {"status": "diverged", "test_error": math.nan}
        for row in rows["pairs"]:
            if gone & {row["first_seed"], row["second_seed"]}:
                row |= {"status": "diverged", "lmc": math.nan, "cka": math.nan}
        record(store, stage, rows)
    return store


def test_diverged_siblings_are_counted_and_a_cell_of_which_a_third_did_is_no_best(diverging):
    table = table_of(replace(SPEC, cka_rule="relative", cka_margin=0.02), diverging)
    worse, better, whole = cell(table, 3, 0.1), cell(table, 10, 0.2), cell(table, 10, 0.1)
    assert [(row["n_diverged"], row["n_runs"], row["n_pairs"]) for row in (worse, better, whole)] == [
        (2, 4, 2),
        (1, 5, 4),
        (0, 6, 6),
    ]
    assert [row["status"] for row in (worse, better, whole)] == ["diverged", "diverged", "ok"]
    assert worse["test_error"] == pytest.approx(0.05)
    assert math.isnan(worse["normalized_test_error"])
    assert whole["normalized_test_error"] == better["normalized_test_error"] == 0
    assert [row["regime"] for row in (worse, better, whole)] == [None, "II-B", "II-B"]  # not compared with CKA 0.99


def test_of_a_dense_model_that_diverged_all_siblings_did(filled):
    assert cell(table_of(SPEC, filled), 10, 0.2)["n_diverged"] == 6


def test_diverged_siblings_are_told(diverging):
    table = table_of(SPEC, diverging)
    assert diverged_note(table) == (
        "Note: siblings diverged and are in no mean: epochs 3 at density 0.1 (2 of 6), epochs 10 at density 0.2 "
        "(1 of 6); never chosen, since a third or more did: 1 of these cells."
    )
    diagram = phase_diagram(table, True, SPEC.thresholds)
    assert diagram.marks == [["×", "II-B"], ["II-B", "II-B×"]]
    assert diagram.legend == "× diverged (3 siblings in 2 cells; without a regime where a third or more did)"
    assert "2 siblings diverged, and are in no mean" in diagram.hover[0][0]
    assert "diverged" not in diagram.hover[0][1]


def test_nothing_is_told_where_none_diverged(store, made_up):
    for stage in SPEC.points():
        record(store, stage, made_up(stage))
    assert diverged_note(table_of(SPEC, store)) == ""


def test_points_that_are_not_measured_yet_are_incomplete_and_still_to_be_measured(filled):
    lost = [stage for stage in SPEC.points() if stage.label.load == 0.1 and stage.point.dense.seed == 1]
    for stage in lost:
        filled.folder.delete(f"pairs/{measurement(stage).key}.parquet")
    table = table_of(SPEC, filled)
    assert cell(table, 3, 0.1)["status"] == "incomplete"
    assert (cell(table, 3, 0.1)["n_runs"], cell(table, 3, 0.1)["n_pairs"]) == (6, 3)
    assert all(inventory_of(filled).missing_results(measurement(stage)) for stage in lost)


def test_pairs_that_were_measured_with_other_settings_do_not_count(filled):
    table = table_of(replace(SPEC, path_points=21), filled)
    assert set(table["n_pairs"]) == {0}
    assert cell(table, 3, 0.1)["n_runs"] == 6


def test_results_of_another_configuration_do_not_count(filled):
    table = table_of(replace(SPEC, lr=0.01), filled)
    assert set(table["status"]) == {"missing"}


def test_only_the_siblings_asked_for_count(filled):
    table = table_of(replace(SPEC, retrain_seeds=(1, 3)), filled)
    assert (cell(table, 3, 0.1)["n_runs"], cell(table, 3, 0.1)["n_pairs"]) == (4, 2)


def test_hot_is_at_the_top_and_problems_are_written_on_their_cells(filled):
    diagram = phase_diagram(table_of(SPEC, filled), True, SPEC.thresholds)
    assert diagram.temperatures == ["3", "10"]
    assert diagram.loads == ["0.1", "0.2"]
    assert diagram.marks == [["I", "II-B…"], ["II-A", "×"]]
    assert diagram.legend.startswith("… incomplete, × diverged (6 siblings in 1 cells")
    values = {panel.name: panel.layers[0].values for panel in diagram.panels}
    assert values["lmc"][0][0] == pytest.approx(-0.303)
    assert math.isnan(values["cka"][1][1])
    assert "lmc -0.3030 ± 0.0000 over siblings, ± 0.0030 over dense seeds" in diagram.hover[0][0]
    upside_down = phase_diagram(table_of(SPEC, filled), False, SPEC.thresholds)
    assert upside_down.temperatures == ["10", "3"]


def test_boundaries_run_between_different_regimes_only():
    assert boundaries([["I", "I"], ["I", "I"]], [[True, True], [False, True]]) == []
    assert boundaries([["I", "II-A"]], [[True, True]]) == [(0.5, -0.5, 0.5, 0.5, True)]
    assert boundaries([["I"], ["II-B"]], [[True], [False]]) == [(-0.5, 0.5, 0.5, 0.5, False)]
    assert boundaries([["I", None, "II-A"]], [[True, True, True]]) == []


def test_the_page_needs_nothing_from_outside(filled):
    page = draw(phase_diagram(table_of(SPEC, filled), True, SPEC.thresholds), SPEC.title, "caption & more")
    assert "<script src" not in page
    assert "<link" not in page
    for text in (
        "test error",
        "normalised test error",
        "linear mode connectivity",
        "CKA",
        "II-B\\u2026",
        "hot at the top",
    ):
        assert text in page
