"""Files of a results folder: what a sweep wrote is replaced by no output, and the views' own are."""

import os

import pytest
from bad_files import KEY, MODEL, results
from support import TABLE, run_here

from sweeps.results.own_files import check_free, is_results_folder
from sweeps.spec.errors import UsageError


@pytest.fixture
def place(tmp_path):
    results(tmp_path / "R")
    (tmp_path / "good.csv").write_text(TABLE)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("sweep.json", "progress.json", ".driver/a", "runs/a.parquet", "pairs/a/b", "dense", MODEL, "artifacts"),
        *("added_siblings/a.json", ".merged/runs/a.parquet", "Sweep.JSON", "Runs/a.parquet"),
    ],
)
def test_what_a_sweep_writes_is_not_free(place, name):
    for path in (place / "R" / name, place / "R/../R" / name, os.path.relpath(place / "R" / name)):
        with pytest.raises(UsageError, match="holds a sweep's results"):
            check_free("--out", path)


@pytest.mark.parametrize(
    "name", ["R/phase.csv", "R/phase_diagram.html", "R/a/runs/b", "runs/a.csv", "a/sweep.json", "R"]
)
def test_all_else_is_free(place, name):
    check_free("--out", place / name)


@pytest.mark.parametrize("mark", ["sweep.json", "progress.json", ".driver"])
def test_a_results_folder_has_one_of_three_marks(tmp_path, mark):
    assert not is_results_folder(tmp_path)
    (tmp_path / mark).symlink_to("nowhere")
    assert is_results_folder(tmp_path)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("report", ["R", "--out", "R/phase_diagram.html", "--table", "R/phase.csv"]),
        ("report", ["good.csv", "--out", "R/good.html", "--table", "R/good.parquet"]),
        ("report", ["good.csv", "--table", "runs/regimes.csv"]),
        ("tune_temperature", ["--replay", "R", "--picture", "R/temperature_tuning.html", "--json", "R/answers.json"]),
        ("select_model", ["--replay", "R", "--json", "R/choices.json"]),
    ],
)
def test_files_of_views_may_be_rewritten(place, command, arguments):
    before = stored(place / "R")
    for _ in range(2):
        done = run_here(command, *arguments, cwd=place)
        assert done.returncode == 0, done.stderr
    assert stored(place / "R") == before


def test_another_name_of_a_file_leaves_that_file_as_it_is(place):
    """A file is replaced, never written into, so that what is linked to it stays."""
    os.link(place / f"R/runs/{KEY}.parquet", place / "mine.parquet")
    before = stored(place / "R")
    done = run_here("report", "good.csv", "--table", "mine.parquet", cwd=place)
    assert done.returncode == 0, done.stderr
    assert stored(place / "R") == before


def stored(folder):
    own = ("runs", "pairs", "dense", "artifacts")
    files = [file for name in own for file in (folder / name).rglob("*") if file.is_file()]
    return {file: file.read_bytes() for file in [*files, folder / "sweep.json"]}
