import pytest
import torch
from torch import nn

from trainables.measuring.metric import Models
from trainables.measuring.registry import METRICS
from trainables.measuring.settings import MeasurementSettings
from trainables.models import build
from trainables.models.smaller import resized, shapes
from trainables.tasks import lookalike_task

CPU = torch.device("cpu")
NAME = "preresnet8-w0.5"
SETTINGS = MeasurementSettings(path_points=3, cka_images=64)


def state_of(*layers):
    return nn.Sequential(*layers).state_dict()


def test_layers_take_the_sizes_of_a_smaller_state():
    def model(a, b, groups):
        return nn.Sequential(
            nn.Conv2d(3, a, 3),
            nn.BatchNorm2d(a),
            nn.PReLU(a),
            nn.Conv2d(a, a, 3, groups=a),
            nn.Conv2d(a, b, 3, groups=groups, bias=False),
            nn.GroupNorm(2, b),
            nn.Flatten(),
            nn.Linear(4 * b, a),
            nn.LayerNorm(a),
        )

    small = model(4, 6, 2)
    made = resized(model(8, 10, 2), small.state_dict())
    assert str(made) == str(small)
    made.load_state_dict(small.state_dict())
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(made.eval()(images), small.eval()(images))


def test_a_model_of_the_same_shapes_stays_as_it_is():
    model = build(NAME, 1, 10)
    parameters = list(model.parameters())
    assert resized(model, build(NAME, 1, 10).state_dict()) is model
    assert all(own is before for own, before in zip(model.parameters(), parameters, strict=True))
    assert shapes(model.state_dict()) == shapes(build(NAME, 1, 10).state_dict())
    assert {shapes(model.state_dict()): 1}


@pytest.mark.parametrize(
    ("model", "state", "said"),
    [
        ([nn.Linear(2, 2)], [nn.Linear(2, 2, bias=False)], "0.bias is in only one"),
        ([nn.Linear(2, 2)], [nn.Linear(3, 2)], r"0.weight of shape \(2, 3\) does not fit"),
        ([nn.Bilinear(2, 2, 2)], [nn.Bilinear(2, 2, 1)], "0 is a Bilinear, of which no smaller one can be made"),
        ([nn.ConvTranspose2d(2, 2, 1)], [nn.ConvTranspose2d(2, 1, 1)], "0 is a ConvTranspose2d"),
        ([nn.Conv2d(4, 8, 1, groups=2)], [nn.Conv2d(2, 7, 1)], "7 channels of 0 cannot be divided evenly"),
        ([nn.GroupNorm(2, 4)], [nn.GroupNorm(1, 3)], "3 channels of 0 cannot be divided evenly among its 2 groups"),
    ],
)
def test_what_does_not_fit_is_said(model, state, said):
    with pytest.raises(ValueError, match=said):
        resized(nn.Sequential(*model), state_of(*state))


def smaller(seed):
    """A model with other numbers of channels, as pruning leaves them: three in the first stage, five and seven."""
    torch.manual_seed(seed)
    kept = {8: 3, 16: 5, 32: 7}
    full = build(NAME, 1, 10).state_dict()
    first = {name: tuple(slice(kept.get(size, size)) for size in own.shape) for name, own in full.items()}
    return {name: own[first[name]].clone() for name, own in full.items()}


def test_stacks_of_a_task_are_as_small_as_the_state_that_they_are_like():
    task = lookalike_task("digits", CPU, samples=64)
    states = [smaller(1), smaller(2)]
    stack = task.stack(NAME, 2, like=states[0])
    stack.load(states)
    assert [shapes(state) for state in stack.states()] == [shapes(states[0])] * 2
    assert task.models_at_once(NAME, 3, 64, states[0]) == 3
    full = build(NAME, 1, 10).state_dict()
    assert shapes(task.stack(NAME, 1).states()[0]) == shapes(full)
    task.stack(NAME, 1, like=full)
    assert len(task._makers) == 2


def test_metrics_of_smaller_siblings():
    task = lookalike_task("digits", CPU, samples=64)
    models = Models(NAME, [smaller(1), smaller(1), smaller(2)], task)
    same, other = METRICS["lmc"].measure(models, [(0, 1), (0, 2)], SETTINGS)
    assert same["lmc"] == 0
    assert len(other["path_errors"]) == 3
    same, other = METRICS["cka"].measure(models, [(0, 1), (0, 2)], SETTINGS)
    assert same["cka"] == pytest.approx(1)
    assert 0 <= other["cka"] < 1
