import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from metrics.regimes import Thresholds
from sweeps.results.phase_schema import P_REGIMES
from sweeps.results.user_files import table_content
from sweeps.results.user_table import axis_of, phase_of, read_table
from sweeps.spec.errors import UsageError

THRESHOLDS = Thresholds(-0.05, 0.98)
GOOD = "temperature,density,lmc,test_error\n1,0.1,-0.2,0.3\n2,0.1,-0.01,0.2\n"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_of_a_cell_are_averaged(tmp_path, kind):
    rows = pd.DataFrame(
        {
            "temperature": [1, 1, 2],
            "density": [0.1, 0.1, 0.1],
            "lmc": [-0.2, -0.1, 0.0],
            "test_error": [0.4, 0.2, 0.1],
            "cka": [0.9, 0.8, 0.99],
            "who": ["a", "b", "c"],
            "loss": [2.0, 4.0, 1.0],
        }
    )
    (tmp_path / f"table.{kind}").write_bytes(table_content(rows, f"table.{kind}"))
    table = phase_of(read_table(str(tmp_path / f"table.{kind}")), "epochs", THRESHOLDS)
    assert list(table["lmc"]) == pytest.approx([-0.15, 0.0])
    assert table["lmc_se"][0] == pytest.approx(0.05)
    assert math.isnan(table["lmc_se"][1])
    assert list(table["test_error"]) == pytest.approx([0.3, 0.1])
    assert list(table["loss"]) == pytest.approx([3.0, 1.0])
    assert list(table["regime"]) == ["I", "II-B"]
    assert list(table["normalized_test_error"]) == pytest.approx([0.2, 0.0])


def test_without_cka_a_connected_cell_is_in_regime_two(written):
    assert list(phase_of(read_table(written(GOOD)), "epochs", THRESHOLDS)["regime"]) == ["I", "II"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("0.2\n", "much\n"), "row 2: test_error is much; it has to be a number."),
        (GOOD.replace("-0.2", ""), "row 1: lmc is nan; it has to be a number."),
        (GOOD.replace("-0.2", "-inf"), "row 1: lmc is -inf; LMC is in units of error"),
        (GOOD.replace("-0.2", "-20"), "row 1: lmc is -20.0; LMC is in units of error, in [-1, 1]."),
        (GOOD.replace("0.3", "30"), "row 1: test_error is 30.0; an error is a fraction in [0, 1]."),
        (GOOD.replace("1,0.1", "1,10"), "row 1: density is 10.0; a density is a fraction kept, in (0, 1]."),
        (GOOD.replace("1,0.1", "1,0"), "row 1: density is 0.0; a density"),
        (
            GOOD.replace("1,0.1", "-1,0.1"),
            "row 1: temperature is -1; a temperature is a finite number, 0 or more, on every axis.",
        ),
        (GOOD.replace("1,0.1", "warm,0.1"), "row 1: temperature is warm; it has to be a number."),
        (GOOD.replace("lmc", "density"), "has two columns density; rename or remove one."),
        (GOOD.replace("lmc", "LMC"), "has no column lmc; it has temperature, density, LMC, test_error."),
        (GOOD.split("\n")[0] + "\n", "has no rows with results."),
        (
            "temperature,density,lmc,lmc_se,test_error\n1,0.1,-0.2,,0.3\n2,0.1,-0.2,-1,0.3\n",
            "row 2: lmc_se is -1.0; a standard error is 0 or more.",
        ),
        (
            "temperature,density,lmc,test_error\n1,0.1,0.4,0.3\n2,0.1,-0.01,0.3\n",
            "lmc is from -0.01 to 0.4; a barrier is negative here, so turn its sign.",
        ),
        (GOOD.replace("-0.", "0."), "lmc is from 0.01 to 0.2; a barrier is negative here, so turn its sign."),
        (
            GOOD.replace("error\n", "error,cka\n").replace("0.3\n", "0.3,\n"),
            "row 1: cka is nan; it has to be a number.",
        ),
        ("", "is not a table that can be read: No columns to parse from file."),
        (GOOD + "1,2,3,4,5,6\n", "is not a table that can be read"),
    ],
)
def test_what_is_no_table_is_said_in_one_sentence(written, text, said):
    with pytest.raises(UsageError) as error:
        read_table(written(text))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files(tmp_path, written):
    for name, said in (("table.txt", "neither a .csv nor a .parquet"), ("absent.csv", "cannot be read: No such file")):
        with pytest.raises(UsageError, match=said):
            read_table(str(tmp_path / name))
    with pytest.raises(UsageError, match="is not a table that can be read"):
        read_table(written("no parquet", "table.parquet"))
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="is not a table that can be read"):
        read_table(str(tmp_path / "binary.csv"))


def test_parquet_with_an_index_or_what_only_looks_like_numbers(tmp_path, written):
    rows = pd.read_csv(written(GOOD))
    rows.set_index(["temperature", "density"]).to_parquet(tmp_path / "indexed.parquet")
    assert list(read_table(str(tmp_path / "indexed.parquet"))["temperature"]) == [1, 2]
    rows.set_index("test_error").assign(test_error=[True, False]).to_parquet(tmp_path / "bool.parquet", index=False)
    with pytest.raises(UsageError, match="row 1: test_error is True; it has to be a number"):
        read_table(str(tmp_path / "bool.parquet"))
    rows.assign(temperature=pd.Timestamp(0)).to_parquet(tmp_path / "date.parquet")
    with pytest.raises(UsageError, match="row 1: temperature is 1970-01-01 00:00:00; it has to be a number"):
        read_table(str(tmp_path / "date.parquet"))


def test_excel_writes_a_mark_before_the_first_column(written):
    assert len(read_table(written("\ufeff" + GOOD))) == 2


def test_pieces_of_phase_tables(written):
    plain = read_table(written(GOOD.replace("error\n", "error,load_axis,status\n").replace("0.3\n", "0.3,,ok\n")))
    assert len(plain) == 2
    whole = GOOD.replace("error\n", "error,load_axis,load,status\n").replace("0.3\n", "0.3,,0.1,ok\n")
    with pytest.raises(UsageError, match="is over nan, not density"):
        read_table(written(whole.replace("0.2\n", "0.2,,0.1,ok\n")))
    both = GOOD.replace("error\n", "error,temperature_axis\n").replace("0.3\n", "0.3,rho\n")
    with pytest.raises(UsageError, match="mixes the temperatures epochs and rho; give one file for each"):
        axis_of(read_table(written(both.replace("0.2\n", "0.2,epochs\n"))), "table.csv", None)


def test_too_many_cells_to_draw_are_said(tmp_path):
    many = pd.DataFrame({"temperature": range(1, 2001), "density": [(n + 1) / 2000 for n in range(2000)]})
    with pytest.raises(UsageError, match="more than 100,000 cells"):
        phase_of(many.assign(lmc=0.0, test_error=0.1), "epochs", THRESHOLDS)


def test_siblings_that_diverged_count_if_the_table_says_so(written):
    counted = GOOD.replace("error\n", "error,n_runs,n_diverged\n").replace("0.3\n", "0.3,4,2\n")
    rows = read_table(written(counted.replace("0.2\n", "0.2,5,1\n")))
    table = phase_of(rows, "epochs", THRESHOLDS)
    assert list(table["regime"]) == [None, "II"]
    assert list(table["status"]) == ["diverged", "diverged"]
    assert list(phase_of(read_table(written(GOOD)), "epochs", THRESHOLDS)["n_diverged"]) == [0, 0]
    with pytest.raises(UsageError, match="has a column n_diverged; give n_runs"):
        read_table(written(GOOD.replace("lmc,", "lmc,n_diverged,").replace("-0.2,", "-0.2,1,")))
    with pytest.raises(UsageError, match="row 1: n_diverged is -2; a number of siblings is 0 or more"):
        read_table(written(counted.replace("4,2", "4,-2").replace("0.2\n", "0.2,5,1\n")))


DIVERGED = "temperature,density,lmc,test_error,n_runs,n_diverged\n"


def test_cells_of_which_too_many_diverged_have_no_regime_without_cka_either(written):
    text = DIVERGED + "2,0.1,-0.2,0.3,2,1\n4,0.1,0.0,0.2,3,0\n8,0.1,-0.01,0.1,1,2\n"
    table = phase_of(read_table(written(text)), "epochs", Thresholds(-0.05, 0.98))
    assert table["regime"].fillna("none").tolist() == ["none", "II", "none"]


def test_siblings_of_several_rows_of_a_cell_are_added(written):
    text = DIVERGED + "2,0.1,0.0,0.3,2,1\n2,0.1,0.0,0.2,2,0\n"
    (row,) = phase_of(read_table(written(text)), "epochs", Thresholds(-0.05, 0.98)).to_dict("records")
    assert (row["n_runs"], row["n_diverged"]) == (4, 1)
    assert row["test_error"] == pytest.approx(0.25)


def told(text, written):
    return phase_of(read_table(written(text)), "epochs", THRESHOLDS)[[*P_REGIMES]].to_numpy()


def test_probabilities_of_rows_that_repeat_are_students_t_and_of_single_ones_not_known(written):
    """Mean -0.04 and standard error 0.01 of two rows: 1 degree of freedom, 1/2 - arctan(1) / pi below -0.05."""
    text = "temperature,density,lmc,test_error,cka\n1,0.1,-0.03,0.3,0.9\n1,0.1,-0.05,0.3,0.9\n2,0.1,0,0.2,0.99\n"
    assert told(text, written)[0] == pytest.approx([0.25, 0.75, 0], abs=1e-3)
    assert np.isnan(told(text, written)[1]).all()


def test_probabilities_of_standard_errors_that_are_given_are_normal(written):
    head, row = "temperature,density,lmc,test_error,lmc_se", "1,0.1,-0.04,0.3,0.01"
    below = ndtr(-1)
    assert told(f"{head},cka,cka_se\n{row},0.9,0.001\n", written)[0] == pytest.approx([below, 1 - below, 0], abs=1e-3)
    for text in (f"{head}\n{row}\n", f"{head},cka\n{row},0.9\n"):  # II-A and II-B are not told apart
        (probabilities,) = told(text, written)
        assert probabilities[0] == pytest.approx(below, abs=1e-3)
        assert np.isnan(probabilities[1:]).all()


def test_probabilities_that_a_table_brings_are_told_anew(written):
    stale = GOOD.replace("error\n", "error,p_regime_1\n").replace("0.3\n", "0.3,0.7\n").replace("0.2\n", "0.2,0.7\n")
    assert "p_regime_1" not in read_table(written(stale))
    assert np.isnan(told(stale, written)).all()
