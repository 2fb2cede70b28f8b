import pytest
import torch
from torch import nn

from metrics.connectivity import linear_mode_connectivity
from metrics.similarity import linear_cka
from trainables.batches import Split
from trainables.measurement import errors, path_errors, similarities
from trainables.models import build
from trainables.stack import GroupedStack, SerialStack
from trainables.stages import Measurement


class Signs(nn.Sequential):
    """Tells the sign of one pixel with two hidden units, exactly."""

    def __init__(self, first_unit):
        super().__init__(nn.Flatten(), nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
        with torch.no_grad():
            self[1].weight.copy_(torch.tensor([[1.0], [-1.0]]) * first_unit)
            self[3].weight.copy_(torch.eye(2) if first_unit > 0 else torch.eye(2).flip(0))


class Given(Split):
    """Images that are normalised already."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def batches(self, batch_size, images=None):
        yield from self.images.permute(0, 2, 3, 1)[:images].split(batch_size) if len(self) else ()


@pytest.fixture
def signs():
    return Given(torch.tensor([1.0, 2.0, -1.0, -2.0]).view(4, 1, 1, 1), torch.tensor([0, 0, 1, 1]))


def test_swapped_hidden_units_make_a_barrier_of_one_half(signs):
    """Both ends are the same function without error; half way the hidden units vanish and all images look alike."""
    curve = path_errors(GroupedStack(Signs(1), 11), Signs(1).state_dict(), Signs(-1).state_dict(), signs, Measurement())
    assert curve == [0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0]
    assert linear_mode_connectivity(curve) == -0.5


def test_a_model_is_connected_with_itself(signs):
    state = Signs(1).state_dict()
    assert path_errors(GroupedStack(Signs(1), 11), state, state, signs, Measurement()) == [0] * 11


def test_batch_norm_is_reestimated_at_every_position_the_ends_included():
    """Statistics that make a model useless do not count on the path; they do in a plain evaluation."""
    torch.manual_seed(0)
    model = build("preresnet8-w0.5", 1, 3)
    images = torch.randn(40, 1, 8, 8)
    model.train()
    with torch.no_grad():
        for _ in range(50):
            model(images)
        labels = model.eval()(images).argmax(-1)
    data = Given(images, labels)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    spoilt = {name: tensor + 100 if "running_mean" in name else tensor for name, tensor in state.items()}
    stack = GroupedStack(model, 1)
    stack.load([spoilt])
    assert errors(stack, data)[0] > 0.2
    curve = path_errors(
        GroupedStack(model, 3), spoilt, spoilt, data, Measurement(path_points=3, batch_norm_batch_size=40)
    )
    assert curve == pytest.approx([curve[0]] * 3, abs=0.03)
    assert max(curve) < 0.1


def test_a_model_with_dropout_is_measured_the_same_each_time():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(0.5), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    torch.manual_seed(0)
    start, end = ({name: torch.rand_like(t.float()) for name, t in model.state_dict().items()} for _ in range(2))
    data = Given(torch.randn(200, 1, 8, 8), torch.arange(200) % 3)
    curves = [path_errors(SerialStack(model, 5), start, end, data, Measurement(path_points=5)) for _ in range(2)]
    assert curves[0] == curves[1]


def test_similarity_is_of_softmax_outputs_on_the_first_images(signs):
    stack = GroupedStack(Signs(1), 3)
    doubled = {name: tensor * 2 for name, tensor in Signs(1).state_dict().items()}
    stack.load([Signs(1).state_dict(), Signs(-1).state_dict(), doubled])
    same, other = similarities(stack, [(0, 1), (0, 2)], signs, Measurement())
    assert same == pytest.approx(1)
    assert 0.9 < other < 1  # logits four times as large: CKA of logits would be 1, of their softmax it is less
    three = similarities(stack, [(0, 2)], signs, Measurement(cka_images=3))[0]
    assert abs(three - other) > 1e-4
    outputs = [(scale * torch.tensor([[1.0, 0], [2, 0], [0, 1]])).softmax(-1) for scale in (1, 4)]
    assert three == pytest.approx(linear_cka(*outputs))


def test_no_images_no_error(signs):
    empty = Given(signs.images[:0], signs.labels[:0])
    assert str(errors(GroupedStack(Signs(1), 2), empty)) == "[nan, nan]"
