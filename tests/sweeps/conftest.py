import pytest
from points import made_up_rows

from sweeps.results.store import Store


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
    return made_up_rows


@pytest.fixture
def written(tmp_path):
    """Writes a text into a file, and gives its path."""

    def write(text, name="table.csv"):
        file = tmp_path / name
        file.write_text(text)
        return str(file)

    return write
