import sys

import pytest
import torch

# As in a trial with one core; and stacks made here by hand are channels last, which some batches and several threads
# do not survive (trainables.stacks.choice.layout_of).
torch.set_num_threads(1)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def other(request):
    """The device that the CPU is compared with; the CPU itself, too, which shows that a test can be passed."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    return torch.device(request.param)


@pytest.fixture
def mine(request, tmp_path, monkeypatch):
    """A module of the user's own, in the folder where the command is typed; gives it, once it is imported.

    Its source is SOURCE of the file of tests.
    """
    (tmp_path / "typed").mkdir()
    (tmp_path / "typed" / "mine.py").write_text(request.module.SOURCE)
    monkeypatch.chdir(tmp_path / "typed")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield lambda: sys.modules["mine"]
    sys.modules.pop("mine", None)
