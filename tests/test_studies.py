"""Studies with the real commands and real Ray: killed at any moment and continued, shown, and shared with grids."""

import json
import random
import signal
import subprocess
import time
import urllib.request

import pandas as pd
import pytest
from support import PATIENCE, command, free_port, run, until, workers

from sweeps.results.schema import table_schemas
from sweeps.results.store import Store

pytestmark = pytest.mark.slow

TINY = ["--data", "digits-first300", "--model", "conv4-8", "--epochs", 2, "--temperatures", 2, "--dense-seeds", 1, 2]
STUDIES = {
    "sparsity": [*TINY, "--rounds", 4, "--methods", "sap-layer", "lottery-global"],
    "importance": [
        *("--data", "digits-first300", "--model", "conv4-8", "--epochs", 2, "--temperatures", 1, "--dense-seeds", 1, 2),
        *("--densities", 0.5, 0.25, "--rounds", 1, 2, "--retrain-epochs", 3, "--measures", "filter-magnitude"),
        "filter-fisher",
    ],
    "prunability": [*TINY, "--densities", 0.1, 0.5, "--data-dimensions", 3, 9, "--retrain-epochs", 3],
    "landscape": [
        *("--data", "digits-first300", "--model", "conv4-8", "--epochs", 3, "--widths", 1, 2, "--dense-seeds", 1, 2, 3),
        *("--path-points", 3, "--cka-images", 64, "--hessian-images", 50, "--hessian-products", 6),
        *("--curve-epochs", 3, "--temperatures", 1, 2),
    ],
}


def start(name, out, *more):

    words = [str(word) for word in STUDIES[name]]
    return subprocess.Popen(
        command(name, "--out", out, *words, *more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture(scope="module")
def undisturbed_studies(tmp_path_factory):
    """Results of each study, and what its command printed."""
    found = {}
    for name, words in STUDIES.items():
        out = tmp_path_factory.mktemp("studies") / name
        done = run(name, "--out", out, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        found[name] = out, done.stdout
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_ends_with_its_tables_and_its_picture(name, undisturbed_studies):
    out, said = undisturbed_studies[name]
    assert f"Picture: {out}/{name}.html" in said
    assert (out / f"{name}.html").stat().st_size > 1_000_000
    table = pd.read_parquet(out / f"{name}.parquet")
    assert set(table["status"]) == {"ok"}


@pytest.mark.parametrize("name", STUDIES)
def test_killed_at_random_and_continued_it_ends_with_the_same_table(name, undisturbed_studies, tmp_path):
    """The command with kill -9, a moment after its workers have begun."""
    whole, out = undisturbed_studies[name][0], tmp_path / name
    process = start(name, out, "--checkpoint-seconds", "0.01")
    until(lambda: workers(process), process)
    time.sleep(random.uniform(0, 6))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    done = run(name, "--out", out, *STUDIES[name])
    assert done.returncode == 0, done.stdout + done.stderr
    for file in whole.glob("*.parquet"):
        assert pd.read_parquet(out / file.name).equals(pd.read_parquet(file)), file.name
    for table in table_schemas():
        assert len(Store(out).rows(table)) == len(Store(whole).rows(table)), table


def test_the_page_of_a_study_fills_in(undisturbed_studies):
    out, _ = undisturbed_studies["sparsity"]

    port = free_port()
    words = command("report", out, "--serve", "--port", port)
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert "http://" in server.stdout.readline()
        answer = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/diagram.json", timeout=PATIENCE))
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=PATIENCE)
    assert "4 of 4 points done" in "\n".join(answer["status"])
    assert len(answer["figure"]["figures"]) == 4 + 2
    assert answer["figure"]["title"].startswith("Sparsity: ")


def test_what_a_study_trained_a_grid_does_not_train_again(undisturbed_studies):
    out, _ = undisturbed_studies["importance"]
    words = STUDIES["importance"][: STUDIES["importance"].index("--densities")]
    words = [*words, "--retrain-epochs", 3, "--densities", 0.5, "--pruner", "filter-fisher", "--batch-size", 128]
    words += ["--weight-decay", 1e-4, "--retrain-seeds", 1, 2, "--preset", "fashion-epochs", "--dry-run"]
    done = run("grid", "--out", out, *words)
    assert done.returncode == 0, done.stderr
    assert "points: 2 wanted, 2 stored, 0 to do" in done.stdout


def test_a_landscape_goes_on_with_a_colder_temperature_where_nothing_is_kept(undisturbed_studies, tmp_path):
    whole, out = undisturbed_studies["landscape"][0], tmp_path / "landscape"
    words = [*STUDIES["landscape"], "--keep", "nothing"]
    done = run("landscape", "--out", out, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_parquet(whole / "landscape.parquet")
    assert pd.read_parquet(out / "landscape.parquet").equals(table)
    assert len(list(whole.glob("artifacts/curves/*/*.pt"))) == 4 * 3
    assert not list(out.glob("artifacts/curves/*/*.pt"))

    before = {name: len(Store(out).rows(name)) for name in ("dense", "curvature", "connections")}
    done = run("landscape", "--out", out, *STUDIES["landscape"], 3, "--keep", "nothing")  # the last are temperatures
    assert done.returncode == 0, done.stdout + done.stderr
    colder = pd.read_parquet(out / "landscape.parquet")
    assert colder[colder["temperature"] < 3].reset_index(drop=True).equals(table)
    assert colder.loc[colder["temperature"] == 3, "status"].tolist() == ["ok", "ok"]
    for name, count in before.items():
        assert len(Store(out).rows(name)) == count + 2 * 3, name
