"""The diagram of the five phases of dense models, of tables of one's own and of a study that was really trained."""

import json
import math
from dataclasses import replace
from unittest.mock import patch

import pandas as pd
import pytest
import torch
from points import run_plan
from support import run_here

from metrics.five_phases import PhaseThresholds
from sweeps.plans.grid_plan import GridPlan
from sweeps.results.inventory import inventory_of
from sweeps.results.landscape_schema import LANDSCAPE
from sweeps.results.store import Store
from sweeps.results.user_landscape import landscape_of, landscape_rows
from sweeps.running.preflight import check_models
from sweeps.spec.errors import UsageError
from sweeps.spec.study_presets import DIGITS_PHASES
from sweeps.views.diagram_texts import titled
from sweeps.views.interactive_diagram import draw_json
from sweeps.views.landscape_diagram import LANDSCAPE_PANELS, landscape_diagram
from sweeps.views.landscape_view import phases_as_text
from trainables.data import training_samples
from trainables.stages.machine import Machine

PUBLISHED = [
    (16, 2, 0.926381, -0.0622, 0.485804, 167.3683, 520.346, "I"),
    (512, 4, 0.0215, -0.2939, 0.346, 184, 1421, "I"),
    (32, 3, 0.594348, -0.10453, 0.489816, 253.1954, 997.1572, "I"),
    (16, 16, 0.218599, 0.0578, 0.536647, 38.1323, 385.4271, "II"),
    (16, 11, 0.30226, 0.07645, 0.559325, 46.4585, 458.8784, "II"),
    (32, 23, 0.073703, 0.0235, 0.517515, 58.714, 670.9621, "II"),
    (364, 8, 0.0032, -0.0967, 0.512, 10.3, 120, "III"),
    (256, 11, 0.002476, -0.05312, 0.577531, 6.5246, 77.3998, "III"),
    (256, 32, 0.0015, -0.0013, 0.684, 3.2, 47, "IV-A"),
    (128, 16, 0.001936, -0.01024, 0.669236, 4.9602, 62.5056, "IV-A"),
    (92, 64, 0.0014, -0.0001, 0.773, 1.9, 34, "IV-B"),
    (128, 45, 0.001568, -0.0002, 0.739935, 2.5257, 38.1804, "IV-B"),
]
"""Batch size, width, training loss, mode connectivity, CKA, eigenvalue and trace of Yang et al. 2021, and the phase in
their figure."""

NAMES = ["temperature", "load", "train_loss", "mc", "cka", "hessian_eigenvalue", "hessian_trace", "drawn"]
PATH = "mine.csv"


def rows(*columns):
    """Four cells, one of each phase but IV-A, without these columns."""
    four = pd.DataFrame(
        {
            "temperature": [16, 16, 64, 64],
            "load": [2, 8, 2, 8],
            "train_loss": [0.5, 0.1, 0.003, 0.001],
            "mc": [-0.2, 0.02, -0.1, -0.001],
            "line_mc": [-0.3, -0.7, -0.8, -0.6],
            "cka": [0.4, 0.5, 0.5, 0.8],
            "hessian_eigenvalue": [100.0, 40.0, 10.0, 2.0],
            "hessian_trace": [1000.0, 400.0, 100.0, 30.0],
            "test_error": [0.5, 0.2, 0.3, 0.1],
        }
    )
    return four.drop(columns=list(columns))


def table(own=None, thresholds=None):
    checked = landscape_rows(rows() if own is None else own, PATH)
    return landscape_of(checked, PATH, "batch_size", thresholds or PhaseThresholds())


def drawn(own=None, **options):
    return landscape_diagram(table(own), True, **options)


def panel(diagram, name):
    (found,) = (each for each in diagram.panels if each.name == name)
    return found


def test_published_cells_have_the_phases_that_are_drawn_there():
    own = pd.DataFrame(PUBLISHED, columns=NAMES)
    told = own.merge(table(own)[["temperature", "load", "phase"]])
    assert list(told["phase"]) == list(own["drawn"])


def test_two_of_those_that_do_not():
    own = pd.DataFrame({"temperature": [180, 44], "load": [6, 16], "train_loss": [0.003956, 0.04087]})
    own = own.assign(mc=[-0.14006, -0.01388], cka=[0.478587, 0.572119])
    assert list(table(own).dropna(subset="phase")["phase"]) == ["II", "III"]  # drawn in IV-B and in I


def test_thresholds_part_the_phases():
    own = rows().iloc[:1]
    for thresholds, phase in (
        (PhaseThresholds(), "I"),
        (PhaseThresholds(loss=0.5), "III"),
        (PhaseThresholds(mc=-0.2), "II"),
        (PhaseThresholds(loss=0.5, mc=-0.2), "IV-A"),
        (PhaseThresholds(loss=0.5, mc=-0.2, cka=0.4), "IV-B"),
    ):
        made = table(own, thresholds)
        assert list(made["phase"]) == [phase]
        assert made.loc[0, ["loss_threshold", "mc_threshold", "cka_threshold"]].tolist() == [
            thresholds.loss,
            thresholds.mc,
            thresholds.cka,
        ]


def test_it_shows_the_panels_in_their_order_with_what_is_known():
    assert [each.name for each in drawn().panels] == list(LANDSCAPE_PANELS)
    assert [each.name for each in drawn(rows("line_mc", "test_error", "cka")).panels] == [
        "train_loss",
        "mc",
        "hessian_eigenvalue",
        "hessian_trace",
        "phase",
    ]
    assert [each.name for each in drawn(rows("cka"), panels=["phase", "cka"]).panels] == ["phase", "cka"]


def test_cells_are_marked_and_parted():
    diagram = drawn()
    assert diagram.temperatures == ["16", "64"]
    assert diagram.loads == ["2", "8"]
    assert diagram.regimes == diagram.marks == [["I", "II"], ["III", "IV-B"]]
    assert len(diagram.borders) == 4
    assert all(border.is_sure for border in diagram.borders)
    assert diagram.notes == ["How sure the phases are is not known."]
    assert diagram.hover[0][0].startswith(
        "<b>batch_size 16, load 2</b><br>phase I, status ok<br>train_loss 0.5<br>mc -0.2"
    )
    assert landscape_diagram(table(), False).temperatures == ["64", "16"]


def test_phases_have_colours_of_their_own_and_a_legend():
    phase = panel(drawn(), "phase")
    assert [text for layer in phase.layers for _, text in layer.ticks] == ["I", "II", "III", "IV-A", "IV-B"]
    assert len({color for row in phase.colors for color in row}) == 4
    assert not phase.clipped


def test_without_cka_iv_is_one_phase():
    diagram = drawn(rows("cka"))
    assert diagram.marks == [["I", "II"], ["III", "IV"]]
    assert [layer.ticks[0][1] for layer in panel(diagram, "phase").layers] == ["I", "II", "III", "IV"]


def test_between_iv_and_its_halves_there_is_no_border():
    own = pd.DataFrame({"temperature": [1, 1, 1], "load": [1, 2, 3], "train_loss": 0.001, "mc": 0.0, "cka": 0.8})
    own.loc[0, "cka"] = math.nan
    own.loc[2, "cka"] = 0.5
    assert drawn(own).regimes == [["IV", "IV-B", "IV-A"]]
    assert [border.x0 for border in drawn(own).borders] == [1.5]


def test_colours_go_by_the_logarithm_and_bright_is_good():
    loss = panel(drawn(), "train_loss").layers[0]
    assert (loss.low, loss.high) == pytest.approx((-3, math.log10(0.5)))
    assert 10**loss.threshold == pytest.approx(0.004)
    assert [text for _, text in loss.ticks] == ["0.001", "0.004", "0.01", "0.03", "0.1", "0.3"]
    assert loss.color(loss.low) == "#fee838"
    assert panel(drawn(), "mc").layers[0].color(0.02) == "#fee838"
    assert panel(drawn(), "mc").layers[0].threshold == -0.0175
    assert panel(drawn(), "cka").layers[0].threshold == 0.71
    assert not panel(drawn(), "test_error").layers[0].is_log


def test_a_trace_that_is_not_positive_is_below_its_scale():
    own = rows()
    own.loc[3, "hessian_trace"] = -5.0
    trace = panel(drawn(own), "hessian_trace")
    assert trace.clipped == [(1, 1, -1)]
    assert trace.layers[0].low == pytest.approx(2)
    assert trace.colors[1][1] == trace.colors[1][0]
    assert drawn(own).notes[1] == "What is not positive is below a logarithmic scale."
    assert drawn(own).notes[2].startswith("Triangles:")
    assert len(drawn(own, panels=["mc"]).notes) == 1
    assert "Infinity" not in draw_json(drawn(own), "", "")


def test_rows_of_a_cell_are_averaged_with_students_interval():
    own = pd.concat([rows().assign(seed=1), rows().assign(seed=2, train_loss=[0.7, 0.3, 0.003, 0.0050], n_models=3)])
    first, last = table(own).iloc[0], table(own).iloc[3]
    assert first["train_loss"] == pytest.approx(0.6)
    high = math.sqrt(0.5 * 0.7) * math.exp(12.7062 * math.log(0.7 / 0.5) / 2)  # of logarithms
    assert first["train_loss_high"] == pytest.approx(high, rel=1e-4)
    assert (first["mc_low"], first["mc_high"]) == pytest.approx((-0.2, -0.2))
    assert first["n_models"] == 3
    assert (last["phase"], last["other_phases"]) == ("IV-B", "II")


def test_what_intervals_allow_is_said(tmp_path):
    own = rows().assign(mc_low=[-0.3, -0.1, -0.2, -0.003], mc_high=[-0.1, 0.1, -0.01, 0.0])
    diagram = drawn(own)
    assert diagram.marks == [["I", "II?"], ["III?", "IV-B"]]
    assert panel(diagram, "phase").others == [["", "I"], ["IV-A", ""]]
    assert {(border.x0, border.y0, border.is_sure) for border in diagram.borders} == {
        (0.5, -0.5, False),
        (0.5, 0.5, False),
        (-0.5, 0.5, False),
        (0.5, 0.5, False),
    }
    assert "within the intervals also: I<br>" in diagram.hover[0][1]
    assert "mc 0.02 (-0.1 to 0.1)" in diagram.hover[0][1]
    caption = titled(diagram, "mine").caption
    assert "? another phase is possible (within the 95 % intervals" in caption
    assert "Phases: another one that is possible is below." in caption
    assert {"mc_low", "mc_high", "other_phases"} <= set(diagram.data)


def test_cells_that_are_not_there_are_missing():
    diagram = drawn(rows().iloc[:3])
    assert diagram.marks == [["I", "II"], ["III", "·"]]
    assert diagram.legend == "· missing"
    said = phases_as_text(table(rows().iloc[:3]), True)
    assert "Cells in each phase: I 1, II 1, III 1, IV-A 0, IV-B 0, without 1.\n" in said


def test_what_failed_or_diverged_is_said():
    made = table()
    made.loc[0, ["status", "n_diverged", "n_models"]] = ["diverged", 2, 3]
    made.loc[1, ["status", "phase"]] = ["failed", None]
    made.loc[2, ["status", "n_models", "n_pairs"]] = ["incomplete", 1, 1]
    made.loc[3, "phase"] = None
    diagram = landscape_diagram(made, True)
    assert diagram.marks == [["I×", "!"], ["III…", "–"]]
    assert diagram.legend == ("… incomplete, × diverged (2 models in 1 cells, in no mean), ! failed, – phase undefined")
    assert diagram.seeds == "1 to 3 dense models and 1 pair in each cell"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mc": -20.0}, "row 1: mc is -20.0; mode connectivity is in units of error, in [-1, 1]."),
        ({"train_loss": -0.1}, "row 1: train_loss is -0.1; a training loss is a finite number of nats, 0 or more."),
        ({"train_loss": math.nan}, "row 1: train_loss is nan; it has to be a number."),
        ({"cka": 71.0}, "row 1: cka is 71.0; CKA is in [0, 1]."),
        ({"test_error": 30.0}, "row 1: test_error is 30.0; an error is a fraction in [0, 1]."),
        ({"load": -1.0}, "row 1: load is -1.0; a load is a finite number, 0 or more."),
        ({"hessian_trace": math.inf}, "row 1: hessian_trace is inf; it has to be a finite number."),
        (
            {"mc": 0.2, "train_loss": 0.01},
            "row 1: mc is 0.2 at a training loss of 0.01, more than the error that is left; a barrier is negative "
            "here, so turn its sign.",
        ),
    ],
)
def test_numbers_out_of_range_are_one_sentence(changed, said):
    own = rows().astype(float)
    for name, value in changed.items():
        own.loc[0, name] = value
    with pytest.raises(UsageError) as error:
        landscape_rows(own, PATH)
    assert str(error.value) == f"{PATH}, {said}"


def test_a_path_may_be_better_than_its_ends_by_their_error():
    own = rows().assign(train_loss=0.5, mc=0.7)
    landscape_rows(own, PATH)
    with pytest.raises(UsageError, match="turn its sign"):
        landscape_rows(own.assign(train_loss=0.4), PATH)


def test_columns_that_lack_and_loads_that_differ_are_named():
    with pytest.raises(
        UsageError, match=r"^mine.csv has no column load and no column train_loss; it has temperature, mc"
    ):
        landscape_rows(rows("load", "train_loss"), PATH)
    with pytest.raises(UsageError, match=r"^mine.csv mixes the loads images and width; give one file for each"):
        table(rows().assign(load_axis=["width", "images", "width", "width"]))
    with pytest.raises(UsageError, match="more than 100,000 cells"):
        table(pd.DataFrame({"temperature": range(400), "load": range(400), "train_loss": 0.1, "mc": 0.0}))


@pytest.fixture
def mine(tmp_path):
    rows().to_csv(tmp_path / PATH, index=False)
    return tmp_path


def test_report_of_a_table(mine):
    words = "--temperature", "batch_size", "--out", "a.png", "--table", "told.csv", "--loss-threshold", "0.002"
    done = run_here("report", PATH, *words, cwd=mine)
    assert done.returncode == 0, done.stderr
    assert "Phases (batch_size, hot at the top, over load):" in done.stdout
    assert "Cells in each phase: I 2, II 1, III 0, IV-A 0, IV-B 1.\n" in done.stdout
    assert "Low training loss: at most 0.002." in done.stdout
    assert f"Phase diagram: {mine / 'a.png'} (its data: {mine / 'a.csv'})\n" in done.stdout
    told = pd.read_csv(mine / "told.csv")
    assert list(told["phase"]) == ["I", "II", "I", "IV-B"]
    assert list(told["loss_threshold"]) == [0.002] * 4
    assert list(told["line_mc"]) == list(rows()["line_mc"])
    assert (mine / "a.png").read_bytes().startswith(b"\x89PNG")
    shown = pd.read_csv(mine / "a.csv")
    assert list(shown["phase"]) == ["I", "II", "I", "IV-B"]
    assert set(shown) >= {"temperature_axis", "load_axis", "hessian_trace", "cka_threshold", "other_phases"}
    again = run_here("report", "told.csv", "--out", "b.html", "--temperature", "batch_size", cwd=mine)
    assert again.returncode == 0, again.stderr  # what was told is told anew
    assert "I 1, II 1, III 1, IV-A 0, IV-B 1.\n" in again.stdout
    page = (mine / "b.html").read_text()
    assert "Phase diagram: told.csv" in page
    assert "Hessian trace (log)" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--lmc-threshold -0.1", "--lmc-threshold -0.1: mine.csv is a table of phases (it has mc and no lmc)"),
        ("--smooth", "--smooth: mine.csv is a table of phases"),
        ("--panels lmc", "--panels lmc: mine.csv has none of it; name some of train_loss, mc, line_mc, cka"),
        ("--loss-threshold 0", "--loss-threshold 0.0: it is a loss in nats, above 0."),
        ("--mc-threshold 0.1", "--mc-threshold 0.1: it is a negative number near 0"),
        ("--cka-threshold 2", "--cka-threshold 2.0: it is in [0, 1]."),
        ("--serve", "--serve: mine.csv is a file"),
        ("--temperature heat", "heat"),
    ],
)
def test_what_a_table_of_phases_has_not_is_refused(mine, words, said):
    done = run_here("report", PATH, *words.split(), cwd=mine)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_regimes_have_no_borders_of_phases(mine):
    own = pd.DataFrame({"temperature": [1, 2], "density": 0.1, "lmc": [-0.2, 0.0], "test_error": 0.1})
    own.assign(mc=-0.1, train_loss=0.1).to_csv(mine / "both.csv", index=False)
    done = run_here("report", "both.csv", cwd=mine)
    assert done.returncode == 0, done.stderr
    assert "Regimes (epochs" in done.stdout
    done = run_here("report", "both.csv", "--mc-threshold", "-0.1", cwd=mine)
    assert done.returncode == 2
    assert "--mc-threshold -0.1: both.csv is of regimes, and it is a border of phases; leave it out." in done.stderr
    assert "--panels mc: both.csv has none" in run_here("report", "both.csv", "--panels", "mc", cwd=mine).stderr


@pytest.fixture(scope="module")
def study(one_thread):
    small = {"data": "digits-first200", "temperatures": (1, 2), "widths": (1, 2), "dense_seeds": (1, 2), "epochs": 2}
    measured = {"path_points": 3, "cka_images": 64, "hessian_images": 50, "hessian_products": 6}
    published = {"curve_epochs": None, "curve_lr": None, "curve_batch_size": 128}
    return replace(DIGITS_PHASES, batch_size=32, validation_fraction=0.0, **small, **measured, **published)


@pytest.fixture(scope="module")
def trained(study, tmp_path_factory):
    """A small study that was really trained."""
    store = Store(tmp_path_factory.mktemp("landscape") / "swept")
    store.set_spec(study)
    plan = GridPlan(study.points(), study.measurement, inventory_of(store), others=study.others())
    run_plan(plan, store, Machine(store.artifacts, torch.device("cpu")))
    return store.folder.path


def test_report_of_a_study(trained, tmp_path):
    words = "--out", tmp_path / "a.pdf", "--panels", "phase", "mc", "--table", tmp_path / "told.parquet"
    done = run_here("report", trained, *words, "--mc-threshold", "-0.9", "--loss-threshold", "9")
    assert done.returncode == 0, done.stderr
    assert "Phases (epochs, hot at the top, over width):" in done.stdout
    assert "Cells in each phase: I 0, II 0, III 0, IV-A 4, IV-B 0.\n" in done.stdout
    assert "Curves: one bend, begun in the middle of the line, 1 epoch, lr 0.01, batch size 128;" in done.stdout
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    told = pd.read_parquet(tmp_path / "told.parquet")
    assert list(told.columns) == LANDSCAPE.names
    assert list(told["phase"]) == ["IV-A"] * 4
    shown = pd.read_csv(tmp_path / "a.csv")
    assert "mc" in shown
    assert "cka" not in shown
    page = (trained / "landscape.html").read_text()
    assert "mode connectivity, trained curve" in page
    assert "Means of 2 dense models and 1 pair in each cell." in page


def test_a_page_that_fills_in_has_the_diagram(trained):
    with patch("sweeps.report.serve") as serve:
        assert run_here("report", trained, "--serve", "--panels", "mc", "--mc-threshold", "-0.3").returncode == 0
    shown = json.loads(serve.call_args[0][0].answer())["figure"]
    assert "mode connectivity at least −0.3." in shown["caption"]
    assert [figure["layout"]["title"]["text"] for figure in shown["figures"]] == ["mode connectivity, trained curve"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--panels lmc", "has none of it; name some of train_loss"),
        ("--lmc-threshold -0.1", "is of landscape.py, which has none"),
        ("--smooth", "is of landscape.py, which has none"),
        ("--temperature epochs", "is of landscape.py, which has none"),
        ("--mc-threshold 0.1", "--mc-threshold 0.1: it is a negative number near 0"),
        ("--serve --table a.csv", "--serve writes no files; leave a.csv out."),
    ],
)
def test_what_a_study_of_phases_has_not_is_refused(trained, words, said):
    done = run_here("report", trained, *words.split())
    assert done.returncode == 2
    assert said in done.stderr


def test_curves_and_dense_models_are_in_tensorboard(study, trained, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run_here("report", trained, "--tensorboard", tmp_path / "events")
    assert done.returncode == 0, done.stderr
    assert "Event files of 8 trainings: " in done.stdout
    runs = sorted(str(file.parent.relative_to(tmp_path / "events")) for file in tmp_path.rglob("*tfevents*"))
    assert runs[:2] == ["curves/width=1/epochs=1/dense_seeds=1-2", "curves/width=1/epochs=2/dense_seeds=1-2"]
    assert runs[4:6] == ["dense/width=1/dense_seed=1", "dense/width=1/dense_seed=2"]
    dense = pd.read_parquet(trained / "dense").set_index(["dense", "epoch"])
    losses = dense.loc[(study.connections()[0].runs[1].key, 2), "losses"]
    events = EventAccumulator(str(tmp_path / "events" / runs[5]))
    events.Reload()
    assert [each.value for each in events.Scalars("training_loss")] == pytest.approx(list(losses))


def test_the_smallest_batch_of_a_curve_is_tried_too():
    """One image is left over, of which batch-norm cannot normalise what is one pixel."""
    images = training_samples(DIGITS_PHASES.data, DIGITS_PHASES.validation_fraction)
    study = replace(DIGITS_PHASES, model="resnet18-w0.0625", widths=(1,))
    check_models(study.tried([]), study.measurement)
    with pytest.raises(UsageError, match="cannot be trained on a batch of 1, the smallest that occurs"):
        check_models(replace(study, curve_batch_size=images - 1).tried([]), study.measurement)
