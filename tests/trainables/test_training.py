from dataclasses import replace

import pytest
import torch

from trainables.data import load
from trainables.models import build
from trainables.pruning.magnitude import per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.tasks.image_classification.task import ImageClassification
from trainables.tasks.random_numbers import random_stream
from trainables.training.recipe import Recipe
from trainables.training.saved_optimizer import load_optimizer_state, optimizer_state
from trainables.training.schedules import learning_rate
from trainables.training.training import Training

RECIPE = Recipe(epochs=4, batch_size=64, lr=0.05, weight_decay=5e-3)


@pytest.fixture(scope="module")
def batches():
    """The task they are of."""
    return ImageClassification(load("digits", 0.8), torch.device("cpu"))


def start(batches, seeds, masks=None, recipe=RECIPE):
    torch.manual_seed(0)
    stack = GroupedStack(build("preresnet8-w0.5", 1, 10), len(seeds))
    return Training(stack, recipe, batches, [("retrain", seed) for seed in seeds], masks)


def weights(training, model):
    return torch.cat([tensor.flatten().float() for tensor in training.stack.states()[model].values()])


@pytest.fixture(scope="module")
def masks():
    torch.manual_seed(0)
    return per_layer(prunable_weights(build("preresnet8-w0.5", 1, 10)), 0.1)


def test_a_sibling_in_a_stack_becomes_what_it_does_alone(batches, masks):
    together = start(batches, [1, 2, 3], masks)
    together.run_epoch()
    for index, seed in enumerate([1, 2, 3]):
        alone = start(batches, [seed], masks)
        alone.run_epoch()
        assert torch.allclose(weights(together, index), weights(alone, 0), rtol=1e-3, atol=1e-4)


def test_seeds_change_the_batches_and_nothing_else(batches):
    same, other = start(batches, [1, 1]), start(batches, [1, 2])
    assert torch.equal(weights(other, 0), weights(other, 1))
    same.run_epoch()
    other.run_epoch()
    assert torch.allclose(weights(same, 0), weights(same, 1), atol=1e-6)
    assert torch.equal(weights(same, 0), weights(other, 0))
    assert not torch.allclose(weights(other, 0), weights(other, 1), atol=1e-2)


def test_pruned_weights_are_zero_after_every_step_and_kept_ones_train(batches, masks, monkeypatch):
    training = start(batches, [1, 2], masks)
    before = training.stack.states()[0]
    steps = []

    def check(batch, step=training._step):
        losses = step(batch)
        for state in training.stack.states():
            assert all(not state[name][~mask].any() for name, mask in masks.items())
        steps.append(losses)
        return losses

    monkeypatch.setattr(training, "_step", check)
    training.run_epoch()
    assert len(steps) > 3
    after = training.stack.states()[0]
    moved = torch.cat([(before[name] != after[name])[mask] for name, mask in masks.items()])
    assert moved.double().mean() > 0.99


def test_a_resumed_training_goes_on_exactly(batches, masks, tmp_path):
    straight, first = start(batches, [1, 2], masks), start(batches, [1, 2], masks)
    for _ in range(4):
        straight.run_epoch()
    first.run_epoch()
    first.run_epoch()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    again = start(batches, [1, 2], masks)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    again.run_epoch()
    again.run_epoch()
    assert again.epoch == straight.epoch == 4
    for model in range(2):
        assert torch.equal(weights(again, model), weights(straight, model))


def test_a_model_that_diverges_is_noted_and_does_not_touch_its_siblings(batches):
    training, healthy = start(batches, [1, 2]), start(batches, [1, 2])
    with torch.no_grad():
        training.stack.module.linear.weight[:10] = torch.nan
    for each in (training, healthy):
        each.run_epoch()
        each.run_epoch()
    assert training.diverged == [1, 0]
    assert torch.equal(weights(training, 1), weights(healthy, 1))


def test_learning_rate_drops_at_half_and_three_quarters():
    recipe = Recipe(epochs=160)
    assert [learning_rate(recipe, epoch) for epoch in (0, 79, 80, 119, 120, 159)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )


def test_the_defaults_are_the_papers():
    assert Recipe() == Recipe(160, 64, 0.1, 0.9, 1e-4, (0.5, 0.75), 0.1)


def test_training_is_sgd_with_momentum_weight_decay_and_falling_learning_rate(batches):
    """One model alone over the whole schedule, against the updates written out by hand."""
    training = start(batches, [1])
    model = build("preresnet8-w0.5", 1, 10)
    model.load_state_dict(training.stack.states()[0])
    velocity = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    for epoch, lr in enumerate([0.05, 0.05, 0.005, 0.0005]):
        training.run_epoch()
        for batch in batches.batches([random_stream("retrain", 1, epoch)], 64):
            model.zero_grad()
            torch.nn.functional.cross_entropy(model(batch.inputs[0]), batch.targets[0]).backward()
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    velocity[name] = 0.9 * velocity[name] + parameter.grad + 5e-3 * parameter
                    parameter -= lr * velocity[name]
    expected = torch.cat([tensor.flatten().float() for tensor in model.state_dict().values()])
    assert torch.allclose(weights(training, 0), expected, rtol=1e-2, atol=1e-3)


def test_weights_that_blow_up_in_the_last_step_of_an_epoch_are_noticed(batches):
    training = start(batches, [1, 2], recipe=Recipe(epochs=1, batch_size=10_000, lr=1e38, weight_decay=1e10))
    training.run_epoch()  # one step, whose loss is that of the initial weights
    assert training.diverged == [1, 1]


def test_with_iterations_the_schedule_counts_steps_and_batches_are_whole(batches, monkeypatch):
    """259 training images in batches of 64 are 4 whole ones, so 10 steps take 3 epochs, the last in part."""
    assert [batches.steps_per_epoch(64), batches.steps_per_epoch(64, drop_last=True), batches.steps_per_epoch(1)] == [
        5,
        4,
        259,
    ]
    training = start(batches, [1], recipe=Recipe(epochs=3, batch_size=64, lr=0.1, iterations=10))
    steps = []

    def note(batch, step=training._step):
        steps.append((training.epoch, batch.samples, training._optimizer.param_groups[0]["lr"]))
        return step(batch)

    monkeypatch.setattr(training, "_step", note)
    for _ in range(3):
        training.run_epoch()
    assert [epoch for epoch, _, _ in steps] == [0] * 4 + [1] * 4 + [2] * 2
    assert {size for _, size, _ in steps} == {64}
    assert [lr for _, _, lr in steps] == pytest.approx([0.1] * 5 + [0.01] * 3 + [0.001] * 2)  # drops at 5 and 7.5 -> 8


def sam_by_hand(model, recipe, epochs_batches):
    """Sharpness-aware minimization written out: two passes, batch-norm statistics from the first alone."""
    velocity = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for epoch, batches in enumerate(epochs_batches):
        for batch in batches:
            images, labels = batch.inputs[0], batch.targets[0]
            model.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            with torch.no_grad():
                size = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
                before = {name: parameter.clone() for name, parameter in model.named_parameters()}
                statistics = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
                for parameter in model.parameters():
                    parameter += recipe.rho * parameter.grad / (size + 1e-12)
            model.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            with torch.no_grad():
                for norm, (mean, variance) in zip(norms, statistics, strict=True):
                    norm.running_mean.copy_(mean)
                    norm.running_var.copy_(variance)
                    norm.num_batches_tracked -= 1
                for name, parameter in model.named_parameters():
                    velocity[name] = 0.9 * velocity[name] + parameter.grad + recipe.weight_decay * before[name]
                    parameter.copy_(before[name] - learning_rate(recipe, epoch) * velocity[name])
    return torch.cat([tensor.flatten().float() for tensor in model.state_dict().values()])


SAM = Recipe(epochs=4, batch_size=64, lr=0.05, weight_decay=5e-3, rho=0.3)


def test_sam_is_the_published_rule_with_frozen_statistics_in_its_second_pass(batches):
    training = start(batches, [1], recipe=SAM)
    model = build("preresnet8-w0.5", 1, 10)
    model.load_state_dict(training.stack.states()[0])
    plain = start(batches, [1], recipe=Recipe(epochs=4, batch_size=64, lr=0.05, weight_decay=5e-3))
    for each in (training, plain):
        each.run_epoch()
        each.run_epoch()
    epochs = [batches.batches([random_stream("retrain", 1, epoch)], 64) for epoch in range(2)]
    expected = sam_by_hand(model, SAM, epochs)
    assert torch.allclose(weights(training, 0), expected, rtol=1e-2, atol=1e-3)
    assert not torch.allclose(weights(plain, 0), expected, rtol=1e-2, atol=1e-2)


def test_a_resumed_training_with_sam_goes_on_exactly(batches, tmp_path):
    """Momentum included, which an often copied implementation loses."""
    straight, first, again = (start(batches, [1], recipe=SAM) for _ in range(3))
    for _ in range(4):
        straight.run_epoch()
    first.run_epoch()
    first.run_epoch()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    again.run_epoch()
    again.run_epoch()
    assert torch.equal(weights(again, 0), weights(straight, 0))


LAYOUTS = {"channels last": torch.channels_last, "plain": torch.contiguous_format}
DIRECTIONS = [(a, b) for a in LAYOUTS for b in LAYOUTS]


@pytest.mark.parametrize(
    "kinds", [(GroupedStack, GroupedStack), (GroupedStack, SerialStack), (SerialStack, GroupedStack)]
)
@pytest.mark.parametrize(("saved", "here"), DIRECTIONS)
def test_a_training_goes_on_in_another_layout_or_kind_of_stack_with_its_own_momentum(
    saved, here, kinds, batches, masks, tmp_path
):
    """As where one core, several and a GPU lay out weights differently. Momentum in disorder is off by a tenth."""

    def begin(kind, layout, seeds=(1, 2)):
        torch.manual_seed(0)
        stack = kind(build("preresnet8-w0.5", 1, 10), len(seeds), LAYOUTS[layout])
        return Training(stack, RECIPE, batches, [("retrain", seed) for seed in seeds], masks)

    first, straight = begin(kinds[0], saved), begin(kinds[0], saved)
    for training in (first, straight):
        training.run_epoch()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    again = begin(kinds[1], here)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for training in (again, straight):
        training.run_epoch()
    assert again.losses == pytest.approx(straight.losses, rel=1e-3)
    for index in range(2):
        distance = (weights(again, index) - weights(straight, index)).norm() / weights(straight, index).norm()
        assert distance < 1e-3


@pytest.mark.parametrize(("saved", "here"), DIRECTIONS)
def test_sam_goes_on_in_another_layout_too(saved, here, batches):
    def begin(layout):
        torch.manual_seed(0)
        return Training(GroupedStack(build("preresnet8-w0.5", 1, 10), 1, LAYOUTS[layout]), SAM, batches, [("d", 1)])

    first, again = begin(saved), begin(here)
    first.run_epoch()
    again.load_state_dict(first.state_dict())
    for training in (first, again):
        training.run_epoch()
    assert (weights(again, 0) - weights(first, 0)).norm() / weights(first, 0).norm() < 1e-3


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=True),
        lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
        lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, fused=True),
        lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    ],
    ids=["fused AdamW", "AdamW", "SGD", "SGD without momentum"],
)
@pytest.mark.parametrize(("saved", "here"), DIRECTIONS)
def test_what_any_optimizer_remembers_goes_to_its_own_weight(make, saved, here):
    def begin(layout):
        torch.manual_seed(0)
        model = torch.nn.Conv2d(4, 6, 3).to(memory_format=LAYOUTS[layout])
        return model, make(model.parameters())

    def steps(model, optimizer, count):
        for step in range(count):
            optimizer.zero_grad()
            torch.manual_seed(step)
            (model(torch.randn(2, 4, 8, 8)) * torch.randn(2, 6, 6, 6)).sum().backward()
            optimizer.step()

    straight, theirs = begin(saved)
    again, ours = begin(here)
    steps(straight, theirs, 3)
    again.load_state_dict(straight.state_dict())
    load_optimizer_state(
        ours, dict(again.named_parameters()), optimizer_state(theirs, dict(straight.named_parameters()))
    )
    for parameter in again.parameters():
        for value in ours.state[parameter].values():
            assert value.dim() == 0 or value.stride() == parameter.stride()
    steps(straight, theirs, 3)
    steps(again, ours, 3)
    assert torch.allclose(again.weight, straight.weight, atol=1e-6)


def test_sam_is_for_one_model_alone(batches):
    with pytest.raises(ValueError, match="SAM perturbs one model at a time, not a stack of 2"):
        start(batches, [1, 2], recipe=SAM)


def test_bfloat16_trains_to_nearly_the_same_and_keeps_weights_in_float32(batches):
    exact = start(batches, [1], recipe=RECIPE)
    rounded = start(batches, [1], recipe=replace(RECIPE, precision="bfloat16"))
    for each in (exact, rounded):
        each.run_epoch()
    assert {parameter.dtype for parameter in rounded.stack.parameters()} == {torch.float32}
    distance = (weights(exact, 0) - weights(rounded, 0)).norm() / weights(exact, 0).norm()
    assert 0 < distance < 0.05


class WithDropout(torch.nn.Module):
    """Cannot be grouped, since it draws random numbers."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.5),
            torch.nn.Flatten(),
            torch.nn.Linear(144, 10),
        )

    def forward(self, x):
        return self.layers(x)


def test_a_training_with_dropout_is_repeatable_and_can_be_resumed(batches):
    trainings = []
    for _ in range(3):
        torch.manual_seed(0)
        trainings.append(Training(SerialStack(WithDropout(), 2), RECIPE, batches, [("retrain", 1), ("retrain", 2)]))
        torch.manual_seed(len(trainings))  # the rest of the process does not matter
    straight, first, again = trainings
    for _ in range(2):
        straight.run_epoch()
    first.run_epoch()
    again.load_state_dict(first.state_dict())
    again.run_epoch()
    assert torch.equal(weights(again, 1), weights(straight, 1))


def test_grouped_and_one_by_one_siblings_train_to_the_same(batches, masks):
    torch.manual_seed(0)
    model = build("preresnet8-w0.5", 1, 10)
    seeds = [("retrain", 1), ("retrain", 2)]
    grouped, serial = (Training(kind(model, 2), RECIPE, batches, seeds, masks) for kind in (GroupedStack, SerialStack))
    grouped.run_epoch()
    serial.run_epoch()
    for index in range(2):
        assert torch.allclose(weights(grouped, index), weights(serial, index), rtol=1e-3, atol=1e-4)
