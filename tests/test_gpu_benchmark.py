"""The benchmark for a GPU, with sizes that mean nothing and on a CPU: it must not fail on the day that there is one."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from gpu_pieces import paper, projection, steps, trials
from gpu_pieces.images import pack, pinned_data
from gpu_pieces.session import Session
from support import PATIENCE, ROOT

from sweeps.spec.presets import PRESETS
from trainables import trainable
from trainables.data import AS_PUBLISHED
from trainables.stages import DenseStage, PointStage

PAPER = PRESETS["paper-epochs"]


def session(out, **options):
    rest = {"device": "cpu", "minutes": 5.0, "data": None, "parts": 2, "processes": None, "epochs": 160}
    return Session(out, **(rest | {"work": None, "tiny": True, "case": None} | options))


def test_it_is_the_papers_sweep_that_is_carried_out():
    """With data of a file, whose augmentation has to be said."""
    found = paper.stages("CIFAR10")
    points = set()
    for stage in found:
        if isinstance(stage, PointStage):
            points.add(replace(stage.point, dense=replace(stage.run, augmentation=AS_PUBLISHED)))
            assert stage.seeds == PAPER.retrain_seeds
    assert points == {stage.point for stage in PAPER.points()}
    assert [stage.epochs for stage in found if isinstance(stage, DenseStage)] == [PAPER.temperatures] * 3


def test_the_projection_counts_what_the_sweep_has():
    assert len(PAPER.points()) == projection.POINTS
    assert (len(PAPER.dense_seeds), len(PAPER.retrain_seeds)) == (projection.DENSE, trials.SIBLINGS)
    assert (PAPER.epochs, PAPER.batch_size) == (projection.EPOCHS, projection.BATCH)
    assert projection.STEPS == 160 * 782


def test_a_process_takes_the_memory_that_a_trial_does():
    assert trials.GPU_MEMORY == trainable.GPU_MEMORY


def test_cases_are_all_of_them_once_and_the_most_important_ones_first():
    cases = steps.cases()
    assert len(set(cases)) == len(cases) > 200
    assert {(case.models, case.kind) for case in cases[:3]} == {(1, "grouped"), (3, "grouped"), (3, "serial")}
    assert {case.model for case in cases[:20]} == set(steps.MODELS)


def test_images_come_through_packing_as_they_were(tmp_path):
    random = np.random.default_rng(0)
    arrays = {"x_train": random.integers(256, size=(700, 32, 32, 3), dtype=np.uint8), "y_train": np.arange(700) % 10}
    arrays |= {"x_test": arrays["x_train"][:9] // 2, "y_test": np.arange(9)}
    np.savez(tmp_path / "own.npz", **arrays)
    pack(session(tmp_path / "parts", data=tmp_path / "own.npz"))
    assert len(list((tmp_path / "parts").iterdir())) == 2
    name = pinned_data(session(tmp_path / "out", data=tmp_path / "parts"))
    assert (tmp_path / "out/images.npz").read_bytes() == (tmp_path / "own.npz").read_bytes()
    assert name.startswith(f"{tmp_path / 'out/images.npz'}#700-")
    (tmp_path / "parts/part-2-of-2.zip").unlink()
    with pytest.raises(SystemExit, match="1 of 2 parts"):
        pinned_data(session(tmp_path / "other", data=tmp_path / "parts"))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Where all pieces write: the projection reads what others measured."""
    return tmp_path_factory.mktemp("gpu")


def gpu(out, *arguments):
    command = [sys.executable, str(ROOT / "tests/benchmarks/gpu.py"), *arguments, "--out", str(out), "--device", "cpu"]
    done = subprocess.run([*command, "--tiny"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("piece", "rows"),
    [("tests", 1), ("measuring", 1), ("steps", 6), ("trials", 4), ("projection", None), ("paper", 7)],
)
def test_every_piece_runs(piece, rows, out):
    printed = gpu(out, piece)
    found = [json.loads(line) for line in (out / f"{piece}.jsonl").read_text().splitlines()]
    assert rows in (None, len(found)), printed
    assert not [row for row in found if row.get("problem") or row.get("exit_code")], printed
    if piece not in ("tests", "projection"):
        gpu(out, piece)  # nothing is left to do
        assert len((out / f"{piece}.jsonl").read_text().splitlines()) == len(found)


class Short(Session):
    """A session whose time is over after it was asked for a number of times, on machines of any speed."""

    asked = 0

    @property
    def left(self):
        Short.asked += 1
        return 100.0 if Short.asked < 9 else 0.0


@pytest.mark.slow
def test_the_paper_goes_on_where_there_was_no_time_left(tmp_path):
    alone = {"case": '{"processes": 1}'}
    paper.paper(Short(**vars(session(tmp_path, **alone))))
    done = len(session(tmp_path).rows("paper"))
    assert 0 < done < 7
    assert list((tmp_path / "work" / "training").iterdir())  # it was in the middle of one
    assert "7 of 7 stages done by 2 processes" in gpu(tmp_path, "paper", "--processes", "2")
    rows = session(tmp_path).rows("paper")
    assert len({(row["kind"], row["key"]) for row in rows}) == len(rows) == 7
