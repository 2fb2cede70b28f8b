import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from trainables.models import build
from trainables.stacks import choice as stack_choice
from trainables.stacks.choice import can_be_grouped, layout_of, stack_kind
from trainables.stacks.stack import GroupedStack, SerialStack

CPU = torch.device("cpu")
LAYOUT = torch.channels_last


def images(channels, side):
    """An example of inputs: images of this shape."""
    return lambda count: torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))


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


class Dropped(Everything):
    """Draws random numbers, so that models in one module would not draw what they do alone."""

    def __init__(self):
        super().__init__()
        self.head.insert(0, nn.Dropout2d(0.5))


class Attention(nn.Module):
    """Layers that cannot be grouped."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(2, 8, 4, 4)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.attention(self.embed(x).flatten(2).transpose(1, 2)).mean(1))


class AcrossChannels(nn.Module):
    """Runs when grouped, but wrongly: it averages over the channels of all models."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3)

    def forward(self, x):
        x = self.conv(x)
        return (x - x.mean(1, keepdim=True)).mean((2, 3))


def named(name):
    return lambda: build(name, 2, 5, (32, 32))


CAN_BE_GROUPED = {
    "preresnet8-w0.5": 8,
    "resnet8-w0.5": 8,
    "vgg11-bn-w0.0625": 32,
    "vgg13-w0.0625": 32,
    "vgg11-bn-nobias-w0.0625": 32,
    "densenet10-k4": 8,
    "mobilenet-v1-w0.125": 16,
    "conv8-4-6": 8,
    "mlp9-6": 5,
    "linear": 5,
}


@pytest.mark.parametrize("name", CAN_BE_GROUPED)
def test_all_models_of_the_package_can_be_grouped(name):
    side = CAN_BE_GROUPED[name]
    assert can_be_grouped(build(name, 2, 5, (side, side)), images(2, side))


@pytest.mark.parametrize(
    ("make", "can"), [(Everything, True), (Dropped, False), (Attention, False), (AcrossChannels, False)]
)
def test_whether_other_models_can_be_grouped_is_found_by_trying(make, can):
    assert can_be_grouped(make(), images(2, 8)) == can


class NotANumber(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 8)

    def forward(self, x):
        return self.conv(x).flatten(1) * torch.nan


def test_outputs_that_are_not_finite_are_not_taken_for_equal():
    assert not can_be_grouped(NotANumber(), images(2, 8))


class Viewing(nn.Module):
    """``view`` wants one channel after the other in memory."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(2, 4, 3), nn.Linear(144, 5)

    def forward(self, x):
        x = self.conv(x)
        return self.linear(x.view(x.size(0), -1))


def test_the_layout_is_channels_last_where_a_model_can_be_trained_so():
    assert layout_of(Everything(), images(2, 8), CPU) == torch.channels_last
    assert layout_of(Viewing(), images(2, 8), CPU) == torch.contiguous_format
    for kind in (GroupedStack, SerialStack):
        stack = kind(Viewing(), 2, layout_of(Viewing(), images(2, 8), CPU))
        own = torch.randn(6, 8, 8, 2, 2).permute(3, 0, 4, 1, 2)  # (models, batch, channels, h, w), as training has them
        torch.cat(tuple(stack(own))).sum().backward()


SEVERAL_THREADS = """
import sys, torch
import numpy as np
from trainables.data import DataSet, Images
from trainables.tasks.image_classification.task import ImageClassification
from trainables.training.recipe import Recipe
from trainables.training.training import Training

torch.set_num_threads(2)
random = np.random.default_rng(0)
images = Images(random.integers(256, size=(77, 16, 16, 3), dtype=np.uint8), random.integers(10, size=77))
data = DataSet(images, images[:0], images, 10, (127.0,) * 3, (74.0,) * 3, 1, False)
for models in (1, 3):
    task = ImageClassification(data, torch.device("cpu"))
    seeds = [("retrain", seed) for seed in range(models)]
    training = Training(task.stack("preresnet8-w0.5", models), Recipe(batch_size=11), task, seeds)
    for epoch in range(3):
        training.run_epoch()
print("survived")
"""


def test_batches_that_threads_cannot_share_evenly_do_no_harm():
    """Without care torch dies of them; see layout_of."""
    passive = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that wait on a busy machine are in nobody's way
    command = [sys.executable, "-c", SEVERAL_THREADS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=passive)
    assert done.stdout.strip() == "survived", done.stderr
    residual = build("preresnet8", 1, 10)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert layout_of(residual, images(1, 8), CPU) == torch.contiguous_format
        assert layout_of(Everything(), images(2, 8), CPU) == torch.channels_last
    finally:
        torch.set_num_threads(before)
    assert layout_of(residual, images(1, 8), CPU) == torch.channels_last


def test_trying_leaves_random_numbers_alone():
    model, before = Everything(), torch.get_rng_state()
    can_be_grouped(model, images(2, 8))
    assert torch.equal(torch.get_rng_state(), before)


def test_small_models_are_grouped_and_large_ones_are_not_on_a_cpu():
    assert stack_kind(build("preresnet8-w0.5", 1, 10), images(1, 14), CPU, LAYOUT) is GroupedStack
    assert stack_kind(build("preresnet20", 3, 10), images(3, 32), CPU, LAYOUT) is SerialStack


@pytest.mark.parametrize(("one_by_one", "kind"), [(0.5, SerialStack), (0.95, GroupedStack), (2.0, GroupedStack)])
def test_on_a_gpu_the_kind_of_stack_that_is_clearly_faster_is_taken(one_by_one, kind, monkeypatch):
    seconds = {GroupedStack: 1.0, SerialStack: one_by_one}
    monkeypatch.setattr(stack_choice, "step_seconds", lambda stack, example, device: seconds[type(stack)])
    cuda = torch.device("cuda")
    assert stack_kind(build("preresnet8", 1, 10), images(1, 8), cuda, LAYOUT) is kind
    assert stack_kind(Attention(), images(2, 8), cuda, LAYOUT) is SerialStack  # cannot be grouped


def test_a_step_is_timed_without_touching_what_is_drawn():
    stack, before = GroupedStack(Everything(), 2), torch.get_rng_state()
    assert stack_choice.step_seconds(stack, images(2, 8), CPU) > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_the_layout_for_a_gpu_is_tried_there_and_not_on_the_cpu(monkeypatch):
    """Several threads would not survive it here; see above. A device without memory stands for the GPU."""
    tried = []

    class Noted(GroupedStack):
        def forward(self, images):
            tried.append(images.device.type)
            return super().forward(images)

    monkeypatch.setattr(stack_choice, "GroupedStack", Noted)
    assert layout_of(build("preresnet8", 1, 10), images(1, 8), torch.device("meta")) == torch.channels_last
    assert tried == ["meta"]


ARCHITECTURES = {name: named(name) for name in CAN_BE_GROUPED} | {"everything": Everything}
CASES = [(name, kind, count) for name in ARCHITECTURES for kind in (GroupedStack, SerialStack) for count in (1, 3)]
ARCHITECTURES["attention"] = Attention
CASES += [("attention", GroupedStack, 1), ("attention", SerialStack, 3)]


@pytest.mark.parametrize(("name", "kind", "count"), CASES)
def test_every_model_of_a_stack_computes_what_it_does_alone(name, kind, count):
    make = ARCHITECTURES[name]
    alone = models(make, count)
    stack = kind(make(), count)
    stack.load([model.state_dict() for model in alone])
    side = 8 if make in (Everything, Attention) else 32
    images = torch.randn(count, 6, 2, side, side)
    for train in (True, False):
        stack.train(train)
        together = stack(images)
        assert len(together) == count
        for index, model in enumerate(alone):
            assert together[index].shape == (6, 5)
            assert torch.allclose(together[index], model.train(train)(images[index]), atol=1e-4)
    for state, model in zip(stack.states(), alone, strict=True):  # batch-norm statistics, after a batch in training
        assert state.keys() == model.state_dict().keys()
        assert all(torch.allclose(state[name], tensor, atol=1e-5) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", [GroupedStack, SerialStack])
def test_loading_and_giving_states(kind):
    states = [model.state_dict() for model in models(Everything, 3)]
    stack = kind(Everything(), 3)
    stack.load(states)
    again = stack.states()
    for state, same in zip(states, again, strict=True):
        assert all(torch.equal(same[name], state[name]) for name in state)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.zero_()
    assert torch.equal(again[0]["head.1.weight"], states[0]["head.1.weight"])  # copies


@pytest.mark.parametrize("kind", [GroupedStack, SerialStack])
def test_a_model_that_is_not_finite_is_told_from_its_siblings(kind):
    states = [model.state_dict() for model in models(Everything, 3)]
    states[1]["features.1.running_var"][2] = torch.inf
    stack = kind(Everything(), 3)
    stack.load(states)
    assert stack.finite().tolist() == [True, False, True]


def test_the_architecture_given_is_not_changed():
    model = Everything()
    GroupedStack(model, 2)
    assert model(torch.randn(3, 2, 8, 8)).shape == (3, 5)
