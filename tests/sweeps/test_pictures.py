"""What the phase diagram shows of how sure it is, and the files that it is drawn into."""

import io
import json
import math
import struct
from dataclasses import replace

import pandas as pd
import pytest
from support import run_here

from metrics.regimes import Thresholds
from sweeps.results.border import SmoothBorder
from sweeps.results.user_table import phase_of
from sweeps.views import fitted_borders
from sweeps.views.diagram_texts import titled
from sweeps.views.interactive_diagram import draw_json
from sweeps.views.named_files import PRINTED
from sweeps.views.panels import PANELS
from sweeps.views.phase_diagram import phase_diagram
from sweeps.views.shades import regime_scale, shade

THRESHOLDS = Thresholds(lmc=-0.05, cka=0.98)
CHANCES = ["p_regime_1", "p_regime_2a", "p_regime_2b"]


def rows(temperatures=(8, 16, 32), densities=(0.05, 0.1, 0.2)):
    """Of a user: every regime, and seeds."""
    return pd.DataFrame(
        {
            "temperature": temperature,
            "density": density,
            "lmc": -0.2 + 0.09 * column,
            "cka": 0.9 + 0.045 * column,
            "test_error": 0.3 - 0.1 * column + 0.01 * row,
            "n_runs": 6 + row,
            "n_dense_seeds": 2,
        }
        for row, temperature in enumerate(temperatures)
        for column, density in enumerate(densities)
    )


def table(**changes):
    """Its phase table, of which nothing is known of probabilities; changes are of the first cell."""
    made = phase_of(rows(), "batch_size", THRESHOLDS)
    for name in CHANCES:
        made[name] = float("nan")
    for name, value in changes.items():
        made.loc[0, name] = value
    return made


def drawn(made, **options):
    return phase_diagram(made, True, THRESHOLDS, **options)


@pytest.fixture
def unsure():
    """The first cell may be in II-A; all else is sure."""
    made = table()
    sure = {"I": (0.99, 0.01, 0.0), "II-A": (0.02, 0.97, 0.01), "II-B": (0.0, 0.03, 0.97)}
    made[CHANCES] = [sure[regime] for regime in made["regime"]]
    made.loc[0, CHANCES] = (0.7, 0.25, 0.05)
    made.loc[2, CHANCES] = (0.1, 0.5, 0.4)
    return made


@pytest.fixture
def measured(tmp_path):
    rows().to_csv(tmp_path / "measured.csv", index=False)
    return tmp_path


def test_a_cell_that_could_be_of_another_regime_says_so(unsure):
    diagram = drawn(unsure)
    assert diagram.marks == [["I?", "I", "II-B?"], ["I", "I", "II-B"], ["I", "I", "II-B"]]
    (regime,) = (panel for panel in diagram.panels if panel.name == "regime")
    assert regime.others == [["II-A", "", "II-A"], ["", "", ""], ["", "", ""]]
    assert all(not any(map(any, panel.others)) for panel in diagram.panels if panel.name != "regime")
    assert diagram.legend == "? another regime is possible (this one's probability is below 0.95)"
    assert "probability: I 0.70, II-A 0.25, II-B 0.05" in diagram.hover[0][0]
    assert "Regimes: the surer, the stronger the colour; another one that is possible is below." in diagram.notes


def test_borders_of_cells_that_are_not_sure_are_faint(unsure):
    assert {(border.y0, border.is_sure) for border in drawn(unsure).borders} == {
        (-0.5, False),
        (0.5, True),
        (1.5, True),
    }
    caption = titled(drawn(unsure), "it").caption
    assert "Dashed borders: of cells with a question mark." in caption
    assert "Dashed" not in titled(drawn(table()), "it").caption


def test_the_surer_a_regime_is_the_stronger_is_its_colour(unsure):
    (regime,) = (panel for panel in drawn(unsure).panels if panel.name == "regime")
    layers = {layer.title: layer for layer in regime.layers}
    assert list(layers) == ["I", "II-A", "II-B"]
    assert layers["I"].values[0][:2] == [0.7, 0.99]
    assert math.isnan(layers["I"].values[0][2])
    assert regime.colors[0][0] == shade(regime_scale("I"), (0.7 - 1 / 3) / (2 / 3))
    assert layers["I"].color(1.0) == "#d55e00"
    assert layers["II-B"].color(0.2) == layers["II-B"].color(1 / 3)


def test_where_nothing_is_known_of_it_nothing_is_claimed():
    diagram = drawn(table())
    assert diagram.marks[0] == ["I", "I", "II-B"]
    assert diagram.notes == ["How sure the regimes are is not known."]
    assert "probability" not in diagram.hover[0][0]
    assert all(border.is_sure for border in diagram.borders)


def test_without_cka_regime_ii_has_a_colour():
    made = phase_of(rows().drop(columns="cka"), "batch_size", THRESHOLDS).assign(p_regime_1=0.2)
    (regime,) = (panel for panel in drawn(made).panels if panel.name == "regime")
    assert [layer.title for layer in regime.layers] == ["I", "II"]
    assert "probability: I 0.20, II 0.80" in drawn(made).hover[0][2]
    assert "cka" not in [panel.name for panel in drawn(made).panels]


def test_where_ii_a_and_ii_b_are_not_told_apart_neither_is_in_doubt_for_the_other():
    made = table().assign(p_regime_1=[0.7, 0.99, 0.02] * 3)
    (regime,) = (panel for panel in drawn(made).panels if panel.name == "regime")
    assert drawn(made).marks[0] == ["I?", "I", "II-B"]
    assert regime.others[0] == ["II", "", ""]
    assert regime.layers[-1].values[0][2] == pytest.approx(0.98)


def test_values_beyond_the_scale_are_marked():
    made = table(lmc=-0.9)
    lmc = next(panel for panel in drawn(made).panels if panel.name == "lmc")
    assert lmc.clipped == [(0, 0, -1)]
    assert (lmc.layers[0].low, lmc.layers[0].high, lmc.layers[0].ends) == (-0.2, 0, (True, False))
    assert lmc.colors[0][0] == lmc.colors[1][0]
    assert drawn(made).notes[-1].startswith("Triangles:")
    assert not any("Triangles" in note for note in drawn(table()).notes)
    figure = draw_json(drawn(made), "title", "caption")
    assert "triangle-down" in figure
    assert "triangle-up" not in figure


def test_thresholds_are_on_the_colour_bars():
    marked = {panel.name: panel.layers[0].threshold for panel in drawn(table()).panels}
    assert marked == {"test_error": None, "normalized_test_error": None, "lmc": -0.05, "cka": 0.98, "regime": None}
    relative = phase_diagram(table(), True, replace(THRESHOLDS, rule="relative"))
    assert {panel.name: panel.layers[0].threshold for panel in relative.panels}["cka"] is None


def test_axes_that_are_not_evenly_spaced_say_so():
    assert drawn(table()).temperature_title == ["batch size (hot at the top)"]
    assert drawn(table()).load_title == ["density"]
    other = phase_of(rows((10, 20, 40.5), (0.05, 0.07, 0.2)), "epochs", THRESHOLDS)  # 40.5 is 40, rounded
    assert drawn(other).temperature_title == ["epochs (hot at the top)"]
    assert drawn(other).load_title == ["density (values not evenly spaced)"]
    assert drawn(phase_of(rows((0, 0.1, 0.4)), "rho", THRESHOLDS)).temperature_title[1:] == ["values not evenly spaced"]


def test_models_are_counted():
    assert drawn(table()).seeds == "2 dense seeds and 6 to 8 siblings in each cell"
    assert drawn(table().assign(n_dense_seeds=1, n_runs=3)).seeds == "1 dense seed and 3 siblings in each cell"
    assert drawn(table().drop(columns=["n_runs"]).assign(n_runs=math.nan)).seeds == ""


def test_fitted_borders_are_where_they_lie_between_the_columns(monkeypatch):
    nan = math.nan
    border = SmoothBorder("I | II", (0.05, 0.1, math.sqrt(0.02)), (0.05, nan, 0.1), (0.1, nan, 0.2))
    monkeypatch.setattr(fitted_borders, "smooth_borders", lambda *known: (border,))
    diagram = fitted_borders.with_fitted_borders(drawn(table()), table(), THRESHOLDS, True)
    (curve,) = diagram.curves
    assert curve.rows == [-0.5, 0, 1, 2, 2.5]
    assert curve.places == pytest.approx([0, 0, 1, 1.5, 1.5])
    assert [rows for rows, _, _ in curve.band()] == [[-0.5, 0], [2, 2.5]]
    assert diagram.borders == []
    assert list(diagram.data["border_i_ii"][:3]) == [0.05] * 3
    assert "Curves: fitted borders" in titled(diagram, "it").caption
    monkeypatch.setattr(fitted_borders, "smooth_borders", lambda *known: ())
    assert fitted_borders.with_fitted_borders(drawn(table()), table(), THRESHOLDS, True).borders


@pytest.mark.slow
@pytest.mark.parametrize("end", PRINTED)
def test_pictures_for_a_paper_are_the_same_bytes_for_the_same_results(measured, end):
    for name in ("one", "two"):
        done = run_here("report", "measured.csv", "--out", f"{name}{end.upper()}", cwd=measured)
        assert (done.returncode, done.stderr) == (0, "")
    one, two = ((measured / f"{name}{end.upper()}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert b"CreationDate" not in one
    assert b"<dc:date>" not in one
    assert one.startswith({".svg": b"<?xml", ".pdf": b"%PDF", ".png": b"\x89PNG"}[end])
    if end == ".pdf":
        assert b"/FontFile2" in one  # embedded as TrueType
        assert b"/Type3" not in one


@pytest.mark.parametrize(("options", "pixels"), [((), 2025), (("--paper-columns", "1"), 975)])
def test_pictures_have_the_width_of_columns(measured, options, pixels):
    assert run_here("report", "measured.csv", "--out", "a.png", *options, cwd=measured).returncode == 0
    assert struct.unpack(">I", (measured / "a.png").read_bytes()[16:20]) == (pixels,)


def test_the_data_beside_a_picture_are_what_it_shows(measured):
    done = run_here("report", "measured.csv", "--out", "a.svg", "--panels", "regime", "lmc", cwd=measured)
    assert done.stdout.rstrip().endswith("a.csv)")
    data = pd.read_csv(measured / "a.csv")
    assert {"regime", "lmc", *CHANCES, "n_dense_seeds"} <= set(data)
    assert not {"cka", "test_error"} & set(data)
    made = phase_of(rows(), "epochs", THRESHOLDS)
    pd.testing.assert_frame_equal(
        data[["temperature", "load", "lmc"]], made[["temperature", "load", "lmc"]], check_dtype=False
    )
    expected = drawn(made, panels=("regime", "lmc")).data
    assert list(expected) == list(data)
    assert [panel.name for panel in drawn(made, panels=("regime", "lmc")).panels] == ["regime", "lmc"]
    again = pd.read_csv(io.StringIO(expected.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, data, check_dtype=False)


def test_a_search_is_drawn_for_a_paper_too(measured):
    options = ("--replay", "measured.csv", "--picture")
    for name in ("with.svg", "way.html"):
        done = run_here("tune_temperature", *options, name, "--density", "0.1", cwd=measured)
        assert (done.returncode, done.stderr) == (0, "")
    assert b"#d62728" in (measured / "with.svg").read_bytes()
    assert b"#d62728" in (measured / "way.html").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "a.jpg"), "a.jpg"),
        (("--out", "measured.pdf"), "measured.csv"),  # its data would be
        (("--out", "notes.svg"), "notes.csv"),
        (("--out", "a.html", "--paper-columns", "1"), "--paper-columns 1"),
        (("--font-size", "9"), "--font-size 9"),
        (("--out", "a.pdf", "--paper-columns", "3"), "--paper-columns 3"),
        (("--out", "a.pdf", "--font-size", "1"), "--font-size 1"),
        (("--out", "a.pdf", "--font-size", "nan"), "--font-size nan"),
        (("--panels", "lmc", "ckaa"), "ckaa"),
        (("--panels",), "--panels"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(measured, options, said):
    (measured / "notes.csv").write_text("mine\n")
    before = sorted(measured.iterdir())
    done = run_here("report", "measured.csv", *options, cwd=measured)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert sorted(measured.iterdir()) == before
    assert (measured / "notes.csv").read_text() == "mine\n"


@pytest.mark.slow
def test_every_panel_can_be_drawn_alone_and_in_any_grid(measured):
    for place, name in enumerate(PANELS):
        shape = [((5,), (0.00001, 0.123456789012)), (tuple(range(1, 17)), (0.1,)), ((1, 2), (0.1, 0.2))][place % 3]
        rows(*shape).to_csv(measured / "odd.csv", index=False)
        for end in (".png", ".html"):
            done = run_here("report", "odd.csv", "--panels", name, "--smooth", "--out", f"{name}{end}", cwd=measured)
            assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("is_sure", [True, False])
def test_borders_of_a_look_are_drawn_at_once(is_sure):
    """One by one those of a large grid took minutes."""
    diagram = drawn(table())
    assert len(diagram.borders) == 3
    diagram = replace(diagram, borders=[border._replace(is_sure=is_sure) for border in diagram.borders])
    for figure in json.loads(draw_json(diagram, "", ""))["figures"]:
        lines = [shape for shape in figure["layout"]["shapes"] if "xref" not in shape]
        assert [line["path"].count("M") for line in lines] == [len(diagram.borders)] * 2
        first = diagram.borders[0]
        assert lines[0]["path"].startswith(f"M{first.x0},{first.y0} L{first.x1},{first.y1} M")
