import pytest
import torch
from torch import nn

from trainables.models import build
from trainables.stack import Stack, stack_states, unstack_state


class Everything(nn.Module):
    """Layers PreResNet does not have: biases, groups, a flattened head of several layers."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 4, 3, bias=True), nn.BatchNorm2d(4, eps=1e-3), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=2)
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 4 * 4, 6), nn.ReLU(), nn.Linear(6, 5, bias=False))

    def forward(self, x):
        return self.head(nn.functional.max_pool2d(self.features(x), 1))


def models(make, count):
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        made.append(make())
    return made


@pytest.mark.parametrize("make", [lambda: build("preresnet8-w0.5", 2, 5), Everything], ids=["preresnet", "everything"])
@pytest.mark.parametrize("count", [1, 3])
def test_every_model_of_a_stack_computes_what_it_does_alone(make, count):
    alone = models(make, count)
    stack = Stack(make(), count)
    stack.load([model.state_dict() for model in alone])
    images = torch.randn(count, 6, 2, 8, 8)
    for train in (True, False):
        stack.train(train)
        together = stack(images.transpose(0, 1).flatten(1, 2))
        assert together.shape == (count, 6, 5)
        for index, model in enumerate(alone):
            assert torch.allclose(together[index], model.train(train)(images[index]), atol=1e-5)
    for state, model in zip(stack.states(), alone, strict=True):  # batch-norm statistics, after a batch in training
        assert state.keys() == model.state_dict().keys()
        assert all(torch.allclose(state[name], tensor, atol=1e-5) for name, tensor in model.state_dict().items())


def test_unstacking_undoes_stacking():
    states = [model.state_dict() for model in models(Everything, 3)]
    for state, again in zip(states, unstack_state(stack_states(states), 3), strict=True):
        assert all(torch.equal(state[name], again[name]) for name in state)


def test_the_architecture_given_is_not_changed():
    model = Everything()
    Stack(model, 2)
    assert model(torch.randn(3, 2, 8, 8)).shape == (3, 5)
