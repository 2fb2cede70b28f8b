import math
from itertools import combinations

import pytest

from sweeps.results.store import Store
from trainables.measuring.registry import metrics_of
from trainables.stages import MeasurementSettings
from trainables.stages.measurement import settings_key


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture(scope="module")
def one_thread():
    """As in a trial with one core: more threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def made_up():
    """Rows a point's execution might have given."""

    def rows(stage, lmc=0.0, cka=0.99, error=0.1, status="ok"):
        common = {"point": stage.point.key, "status": status, "message": "", "seconds": 1.0}
        bad = status != "ok"
        errors = dict.fromkeys(("train_error", "validation_error", "test_error"), math.nan if bad else error)
        return {
            "pairs": [
                common
                | {"first_seed": a, "second_seed": b, "lmc": math.nan if bad else lmc, "cka": math.nan if bad else cka}
                | {"path_errors": [error, error - lmc, error], "measurement": settings_key(MeasurementSettings())}
                | {metric.columns[0].name: 0.0 for metric in metrics_of("pairs") if metric.name not in ("lmc", "cka")}
                for a, b in combinations(stage.seeds, 2)
            ],
            "runs": [
                common
                | errors
                | {"retrain_seed": seed, "density": stage.label.load, "density_by_layer": {"c": 0.5}, "stack": [seed]}
                for seed in stage.seeds
            ],
        }

    return rows


@pytest.fixture
def written(tmp_path):
    """Writes a text into a file, and gives its path."""

    def write(text, name="table.csv"):
        file = tmp_path / name
        file.write_text(text)
        return str(file)

    return write
