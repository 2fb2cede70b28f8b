"""The published way that points are compared with computes what this service does; numbers and times are told."""

import json
import math

import pytest
import reference
import torch
from arithmetic_limit import forward_operations
from published_way import PublishedWay, connectivity
from reference_case import CASES, SHORT_EPOCHS, Case, whole_batch_work, work_of
from service_way import ServiceWay

from metrics.connectivity import linear_mode_connectivity
from trainables.models import build

CPU = torch.device("cpu")
CASE = Case("digits", "digits", "preresnet8-w0.5", images=128)


class InThisProcess:
    """As the workers are, but one and here."""

    processes = 1

    def __init__(self, processes, work, precisions, folder, device):
        self._way = ServiceWay(work, precisions, folder / "own", device)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        pass

    def each(self, part, *arguments):
        return [getattr(self._way, part)(*arguments)]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_both_ways_compute_the_same(tmp_path):
    work = work_of(CASE, tmp_path, "", siblings=3)
    here = ServiceWay(work, [], tmp_path / "own", CPU)
    published = PublishedWay(work, *here.models(), CPU, workers=0)
    errors = here.path()
    assert published.path() == pytest.approx(errors, abs=1e-6)
    assert connectivity(errors) == pytest.approx(linear_mode_connectivity(errors), abs=1e-9)
    assert published.similarity() == pytest.approx(here.similarity(), abs=1e-5)
    assert published.errors_of(here.models()[1][0], published._test) == pytest.approx(here.evaluation()[0], abs=1e-6)
    few = published.on(whole_batch_work(work, 64, tmp_path))
    (losses,) = few.retraining(SHORT_EPOCHS)
    assert losses == pytest.approx(here.whole_batch_losses(64), rel=1e-4)
    assert losses[-1] < losses[0]


def test_a_whole_point_is_its_parts_times_how_often_they_occur(tmp_path):
    work = work_of(CASE, tmp_path, "", siblings=3)
    epochs = 20 * 1297 / 128
    evaluations = 20 * 500 / 128
    pairs, cka = 3 * 1297 / 128, 1297 / 128
    parts = {"epoch": 3 * epochs, "evaluation": 3 * evaluations, "path": pairs, "similarity": cka}
    assert work.times_published() == pytest.approx(parts)
    paths = 1297 / 128  # of all pairs, timed together
    parts = {"epoch": epochs, "evaluation": (5 * 500 + 1297) / 128, "path": paths, "similarity": cka}
    assert work.times_here(2) == pytest.approx({part: times / 2 for part, times in parts.items()})
    trained, others = work.images()
    assert trained == 3 * 20 * 1297
    assert others == 3 * (5 * 500 + 1297 + 1297) + 2 * 30 * 1297  # ends of paths once


def test_operations_of_the_papers_model():
    """40.8 million multiplications and additions, as of every PreResNet-20, and those of its two shortcuts."""
    operations = forward_operations(build("preresnet20", 3, 10), torch.zeros(1, 3, 32, 32))
    shortcuts = 16 * 32 * 16**2 + 32 * 64 * 8**2
    stages = 16 * 16 * 9 * 32**2 * 6 + (16 * 32 + 5 * 32 * 32) * 9 * 16**2 + (32 * 64 + 5 * 64 * 64) * 9 * 8**2
    assert operations == 2 * (3 * 16 * 9 * 32**2 + stages + shortcuts + 64 * 10)


def test_the_file_has_the_numbers_of_the_table_and_of_every_turn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "Workers", InThisProcess)
    monkeypatch.setattr(reference, "PublishedWay", lambda *given: PublishedWay(*given[:-1], workers=0))
    monkeypatch.setattr("service_way.products_rate", lambda precision, device: 1e9)
    monkeypatch.setattr(reference, "WHOLE_BATCH", 64)
    monkeypatch.setitem(CASES, "digits", CASE)
    file = tmp_path / "reference.json"
    arguments = ["digits", "--turns", "2", "--precision", "float32", "bfloat16", "--siblings", "2"]
    monkeypatch.setattr("sys.argv", ["reference.py", *arguments, "--train-images", "64", "--json", str(file)])
    reference.main()
    written = json.loads(file.read_text())
    assert written.keys() >= {"hardware", "cores", "processes", "python", "torch", "turns", "rows", "checks"}
    assert written["checks"]["digits"]["agree"] is True
    assert [row["precision"] for row in written["rows"]] == ["float32", "bfloat16"]
    for row in written["rows"]:
        ratios = row["of_turns"]["ratio"]
        assert len(ratios) == len(row["seconds"]) == 2
        assert min(ratios) <= row["ratio"] <= max(ratios)
        seconds = row["seconds"][0]["published"]
        whole = math.fsum(seconds[part] * times for part, times in row["times"]["published"].items())
        assert row["of_turns"]["published_seconds"][0] == pytest.approx(whole)
        assert 0 < row["measuring_share"] < 1
        assert row["ratio_of_fastest"] > 0
    assert reference.fastest([{"epoch": 2.0, "path": 1.0}, {"epoch": 1.0, "path": 3.0}]) == {"epoch": 1.0, "path": 1.0}
    printed = capsys.readouterr().out
    assert "the ways agree" in printed
    assert "parts timed on 64 training and 64 test images" in printed


def test_ways_that_do_not_agree_end_the_command_with_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "measure", lambda *given: ([], {"agree": False}))
    monkeypatch.setattr("sys.argv", ["reference.py", "digits"])
    with pytest.raises(SystemExit) as end:
        reference.main()
    assert end.value.code == 1
