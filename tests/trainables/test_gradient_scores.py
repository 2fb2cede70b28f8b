import copy
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from trainables.models import build
from trainables.pruning import on_gradients
from trainables.pruning.change import loss_and_gradient_norm
from trainables.pruning.context import PruningContext
from trainables.pruning.gradient_scores import (
    EXAMPLES,
    TEMPERATURE,
    Tempered,
    first_order,
    fisher_information,
    gradients,
    hessian_gradient,
    second_order,
)
from trainables.stages import DenseRun
from trainables.stages.machine import Machine, task_of
from trainables.stages.pruning_context import DenseModelContext
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

NAME = "preresnet8-w0.5"
COUNT = 23


class Small(nn.Module):
    """Smooth, with batch-norm, biases, and a parameter that nothing depends on."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3)
        self.hidden, self.last = nn.Linear(12, 4), nn.Linear(4, 3)
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, images):
        return self.last(self.hidden(self.norm(self.conv(images)).tanh().flatten(1)).tanh())


class SmallContext(PruningContext):
    """Of a small model in float64, with parts of a size that may be forced on it."""

    def __init__(self, at_once=None):
        super().__init__(0.5, 1)
        random = torch.Generator().manual_seed(0)
        self.images = torch.randn(COUNT, 1, 3, 3, generator=random).double()
        self.labels = torch.randint(3, (COUNT,), generator=random)
        self.at_once = at_once

    def state_at(self, epoch):
        torch.manual_seed(1)
        state = Small().double().state_dict()
        return state | {"norm.running_var": torch.tensor([0.5, 1.0, 2.0]).double(), "norm.weight": 2 * torch.ones(3)}

    def plain_model(self):
        return Small().double()

    def example_inputs(self, samples):
        raise NotImplementedError

    def random_stream(self, *names):
        raise NotImplementedError

    def loss_parts(self, model, examples, at_once=64):
        images, labels = self.images[:examples], self.labels[:examples]
        at_once = self.at_once or at_once
        for some, own in zip(images.split(at_once), labels.split(at_once), strict=True):
            yield F.cross_entropy(model(some), own, reduction="sum") / len(labels)


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def gradient_at(context, model, temperature=1.0):
    """Of the whole sample at once, by ``backward``."""
    model = copy.deepcopy(model)
    model.zero_grad()
    F.cross_entropy(model(context.images) / temperature, context.labels).backward()
    found = {name: each.grad for name, each in model.named_parameters()}
    return found | {"unused": torch.zeros(2).double()}


def by_differences(context, model, temperature, step):
    """Hg: how the gradient changes along itself, over twice the step."""
    along, ends = gradient_at(context, model, temperature), []
    for sign in (1, -1):
        moved = copy.deepcopy(model)
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                parameter += sign * step * along[name]
        ends.append(gradient_at(context, moved, temperature))
    return {name: (ends[0][name] - ends[1][name]) / (2 * step) for name in along}


@pytest.fixture(params=[None, 1, 7, 64])
def context(request):
    return SmallContext(request.param)


def test_gradients_of_parts_add_up(context):
    model = context.model_at(1)
    expected = gradient_at(context, model)
    found = gradients(context, model)
    assert list(found) == [name for name, _ in model.named_parameters()]
    assert all(torch.allclose(found[name], expected[name], rtol=1e-12, atol=1e-15) for name in expected)
    scores = first_order(context, model)
    assert all(torch.allclose(scores[n], p.detach() * expected[n], atol=1e-15) for n, p in model.named_parameters())


def test_the_norm_of_the_gradient_is_that_of_one_image_by_hand():
    """Logits are all 0, so p - y is (-1/2, 1/2), and the gradient the outer product of that with (3, 4)."""
    context = SmallContext()
    context.plain_model = lambda: nn.Linear(2, 2, bias=False)
    context.images, context.labels = torch.tensor([[3.0, 4.0]]), torch.tensor([0])
    random = torch.get_rng_state()
    loss, norm = loss_and_gradient_norm(context, {"weight": torch.zeros(2, 2)})
    assert torch.equal(torch.get_rng_state(), random)  # training is as it would be without
    assert loss == pytest.approx(math.log(2))
    assert norm == pytest.approx(5 * math.sqrt(0.5))
    assert all(map(math.isnan, loss_and_gradient_norm(context, {"weight": torch.full((2, 2), math.nan)})))


def test_the_hessian_times_the_gradient_is_that_of_finite_differences(context):
    model = context.model_at(1)
    found, expected = hessian_gradient(context, model), by_differences(context, model, 1.0, step=1e-4)
    assert flat(expected).abs().max() > 0.01
    assert torch.allclose(flat(found), flat(expected), rtol=1e-6, atol=1e-9)


def test_the_second_order_is_of_logits_over_a_temperature(context):
    """The product is about the square of the temperature smaller, so that its step has to be larger."""
    model = context.model_at(1)
    found, product = second_order(context, model), by_differences(context, model, TEMPERATURE, step=0.02)
    expected = {name: parameter.detach() * product[name] for name, parameter in model.named_parameters()}
    assert list(found) == list(expected)
    assert torch.allclose(flat(found), flat(expected), rtol=1e-5, atol=1e-5 * flat(expected).abs().max().item())
    assert flat(found).min() < 0 < flat(found).max()


def test_fisher_information_is_that_of_a_loop_over_examples():
    context = SmallContext()
    model = context.model_at(1)
    for count in (5, COUNT):
        squares = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
        for image, label in zip(context.images[:count], context.labels[:count], strict=True):
            own = copy.deepcopy(model)
            (-own(image[None]).log_softmax(1)[0, label]).backward()
            for name, parameter in own.named_parameters():
                if parameter.grad is not None:
                    squares[name] += parameter.grad**2 / count
        found = fisher_information(context, model, count)
        expected = {name: parameter.detach() ** 2 * squares[name] for name, parameter in model.named_parameters()}
        assert all(torch.allclose(found[name], expected[name], rtol=1e-12, atol=0) for name in expected)


def test_a_logistic_model_has_closed_forms():
    """Of logits (0, w x) for class 1: g = -(1 - s) x, H = s (1 - s) x^2, with s the probability of that class."""

    class Line(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor(0.5).double())

        def forward(self, x):
            return torch.stack([torch.zeros_like(x), self.w * x], 1)

    class LineContext(SmallContext):
        def loss_parts(self, model, examples, at_once=64):
            yield F.cross_entropy(model(torch.tensor([3.0]).double()), torch.tensor([1]))

    context, model = LineContext(), Line()
    s, warm = (torch.tensor(0.5 * 3 / t).sigmoid().item() for t in (1, TEMPERATURE))
    g, tempered = -(1 - s) * 3, -(1 - warm) * 3 / TEMPERATURE
    assert first_order(context, model)["w"].item() == pytest.approx(0.5 * g)
    assert fisher_information(context, model)["w"].item() == pytest.approx(0.25 * g**2)
    assert hessian_gradient(context, model)["w"].item() == pytest.approx(s * (1 - s) * 9 * g)
    expected = 0.5 * warm * (1 - warm) * 9 / TEMPERATURE**2 * tempered
    assert second_order(context, model)["w"].item() == pytest.approx(expected)
    assert Tempered(model, 4.0)(torch.tensor([8.0]).double()).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("scores", [first_order, second_order, fisher_information])
def test_the_model_stays_as_it_is(scores):
    context = SmallContext()
    model = context.model_at(1)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    found = scores(context, model)
    assert not any(each.requires_grad for each in found.values())
    assert all((parameter.grad == 7).all() for parameter in model.parameters())
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(tensor, context.state_at(1)[name]) for name, tensor in model.state_dict().items())


def test_rules_score_prunable_weights_alone():
    context = SmallContext()
    model = context.model_at(1)
    for rule, products in (
        (on_gradients.loss, {name: each.abs() for name, each in first_order(context, model).items()}),
        (on_gradients.grasp, second_order(context, model)),
        (on_gradients.fisher, fisher_information(context, model)),
    ):
        found = rule(context)
        assert list(found) == ["conv.weight", "hidden.weight"]
        assert all(torch.equal(found[name], products[name]) for name in found)


class InParts(DenseModelContext):
    """Of a real model, with parts of a size that is forced on it."""

    at_once = 64

    def loss_parts(self, model, examples, at_once=64):
        assert examples == EXAMPLES
        return super().loss_parts(model, 40, min(at_once, self.at_once))


@pytest.mark.parametrize("rule", [on_gradients.loss, on_gradients.grasp, on_gradients.fisher])
def test_parts_of_any_size_give_the_same_of_a_real_model(rule, tmp_path):
    torch.manual_seed(0)
    state = build(NAME, 1, 10).state_dict()
    run = DenseRun("digits", 0.7, NAME, Recipe(epochs=2, batch_size=64, lr=0.05), 1)
    machine = Machine(LocalFolder(tmp_path), torch.device("cpu"))
    context = InParts(run, 2, 0.2, task_of(run, machine), lambda epoch: state)
    found = []
    for context.at_once in (64, 1):
        scores = rule(context)
        assert {name: (each.shape, each.dtype) for name, each in scores.items()} == {
            name: (weight.shape, torch.float32) for name, weight in context.weights.items()
        }
        found.append(flat(scores))
    assert found[0].abs().max() > 0
    assert torch.allclose(found[0], found[1], rtol=1e-3, atol=1e-5 * found[0].abs().max().item())
