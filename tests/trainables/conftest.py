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
