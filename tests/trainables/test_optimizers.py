"""Optimizers, clipping and label smoothing: against torch's own, and in stacks against models alone."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from trainables.data import load
from trainables.models import build
from trainables.pruning.magnitude import per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.tasks.image_classification.task import ImageClassification
from trainables.tasks.random_numbers import random_stream
from trainables.training.gradients import clip_gradients
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import Recipe
from trainables.training.training import Training

KINDS = [GroupedStack, SerialStack]
SGD = Recipe(epochs=4, batch_size=64, lr=0.05, weight_decay=5e-3)
ADAMW = replace(SGD, optimizer="adamw", lr=3e-3, weight_decay=0.05)
CLIPPED = {"gradient_clipping": 0.5}
SMOOTHED = {"label_smoothing": 0.1}
COSINE = {"schedule": "cosine", "warmup": 0.1}
ALL = CLIPPED | SMOOTHED | COSINE
RECIPES = {
    "sgd, clipped": replace(SGD, **CLIPPED),
    "sgd, all": replace(SGD, **ALL),
    "adamw": ADAMW,
    "adamw, clipped": replace(ADAMW, **CLIPPED),
    "adamw, all": replace(ADAMW, **ALL),
    "adamw, other betas, inverse square root": replace(
        ADAMW, betas=(0.8, 0.98), schedule="inverse-square-root", warmup=0.1
    ),
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


@pytest.fixture(scope="module")
def batches():
    return ImageClassification(load("digits", 0.8), torch.device("cpu"))


@pytest.fixture(scope="module")
def masks():
    return per_layer(prunable_weights(plain()), 0.2)


def plain(scale=1.0):
    """A model; with another scale the last layer's weights are larger, and so are all gradients."""
    torch.manual_seed(0)
    model = build("preresnet8-w0.5", 1, 10)
    with torch.no_grad():
        model.linear.weight *= scale
    return model


def images_of(task, epoch, batch_size):
    """Images and labels that one model is trained on."""
    for batch in task.batches([random_stream("retrain", 1, epoch)], batch_size):
        yield batch.inputs[0], batch.targets


def start(batches, seeds, recipe, masks=None, kind=GroupedStack, scales=None, layout=torch.channels_last):
    stack = kind(plain(), len(seeds), layout)
    stack.load([plain(scale).state_dict() for scale in scales or [1.0] * len(seeds)])
    return Training(stack, recipe, batches, [("retrain", seed) for seed in seeds], masks)


PARAMETERS = [name for name, _ in plain().named_parameters()]


def flat(state):
    return torch.cat([state[name].flatten() for name in PARAMETERS])


def weights(training, model=0):
    return flat(training.stack.states()[model])


def distance(ours, theirs):
    return ((ours - theirs).norm() / theirs.norm()).item()


@every_recipe
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_stack_each_model_becomes_what_it_does_alone(kind, recipe, batches, masks):
    """Models whose gradients differ in size are clipped by their own norms; by that of all they are 3 % off or more."""
    scales = [1.0, 5.0, 20.0]
    together = start(batches, [1, 2, 3], recipe, masks, kind, scales)
    for _ in range(2):
        together.run_epoch()
    for index, scale in enumerate(scales):
        alone = start(batches, [index + 1], recipe, masks, scales=[scale])
        before = weights(alone)
        for _ in range(2):
            alone.run_epoch()
        assert together.losses[index] == pytest.approx(alone.losses[0], rel=2e-3)
        moved = distance(weights(alone), before)
        assert distance(weights(together, index), weights(alone)) < 0.02 * moved


def by_torch(batches, recipe, epochs, masks=None):
    """A model alone, by torch's own optimizer, clipping, loss and schedulers."""
    model = plain()
    masked = [(parameter, masks[name]) for name, parameter in model.named_parameters() if masks and name in masks]
    with torch.no_grad():
        for parameter, mask in masked:
            parameter *= mask
    steps = batches.steps_per_epoch(recipe.batch_size)
    whole, rising = recipe.epochs * steps, round(recipe.warmup * recipe.epochs * steps)
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(
            model.parameters(), recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay
        )
    else:
        optimizer = torch.optim.SGD(model.parameters(), recipe.lr, 0.9, weight_decay=recipe.weight_decay)
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / rising),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, whole - rising),
        ],
        milestones=[rising],
    )
    for epoch in range(epochs):
        for images, labels in images_of(batches, epoch, recipe.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels[0], label_smoothing=recipe.label_smoothing).backward()
            for parameter, mask in masked:
                parameter.grad *= mask
            if recipe.gradient_clipping:
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clipping)
            optimizer.step()
            scheduler.step()
            with torch.no_grad():
                for parameter, mask in masked:
                    parameter *= mask
    return flat(model.state_dict())


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("base", [SGD, ADAMW], ids=["sgd", "adamw"])
@pytest.mark.parametrize("change", [COSINE, COSINE | CLIPPED, ALL], ids=["cosine", "clipped", "all"])
def test_a_training_is_what_one_writes_with_torch(change, base, pruned, batches, masks):
    """4 epochs of 5 steps, of which 10 % are warm-up: two. With masks, gradients of pruned weights do not count.

    Left out on one side, clipping, smoothing or the masks make a difference of 3 % or more.
    """
    recipe = replace(base, **change)
    training = start(batches, [1], recipe, masks if pruned else None)
    before = weights(training)
    for _ in range(2):
        training.run_epoch()
    expected = by_torch(batches, recipe, 2, masks if pruned else None)
    assert distance(weights(training), expected) < 0.02 * distance(expected, before)


@pytest.mark.parametrize("kind", KINDS)
def test_clipping_by_hand(kind):
    """Gradients (3, 4) of norm 5 become (0.6, 0.8), those of norm 0.56 stay, those that are not finite are NaN."""
    stack = kind(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)), 3)
    models = [(3.0, 4.0), (0.25, 0.5), (torch.inf, 4.0)]
    states = [{"0.weight": torch.tensor([[[[a]]]]), "0.bias": torch.tensor([b])} for a, b in models]
    gradients = stack.stack_states(states)
    assert gradients.keys() == dict(stack.module.named_parameters()).keys()
    clip_gradients(stack, gradients, 1.0)
    found = [(state["0.weight"].item(), state["0.bias"].item()) for state in stack.unstack_state(gradients)]
    assert found[0] == pytest.approx((0.6, 0.8), rel=1e-6)
    assert found[1] == (0.25, 0.5)
    assert torch.tensor(found[2][0]).isnan()


@pytest.mark.parametrize("kind", KINDS)
def test_each_model_of_a_stack_steps_by_at_most_the_clipping_norm(kind, batches):
    """One step of plain SGD at learning rate 1 goes as far as the norm of the gradients."""
    recipe = Recipe(epochs=1, batch_size=10_000, lr=1.0, momentum=0.0, weight_decay=0.0, schedule="constant")

    def lengths(clipping):
        training = start(batches, [1, 2], replace(recipe, gradient_clipping=clipping), kind=kind, scales=[1.0, 20.0])
        before = training.stack.states()
        training.run_epoch()
        pairs = zip(training.stack.states(), before, strict=True)
        moves = [[(new[name] - old[name]).flatten() for name in PARAMETERS] for new, old in pairs]
        return [torch.cat(move).norm().item() for move in moves]

    small, large = lengths(0.0)
    assert 2 * small < large
    assert lengths(2 * small) == pytest.approx([small, 2 * small], rel=1e-4)
    assert lengths(small / 2) == pytest.approx([small / 2, small / 2], rel=1e-4)
    assert lengths(2 * large) == pytest.approx([small, large], rel=1e-4)


def test_a_model_that_diverges_leaves_its_siblings_alone(batches):
    recipe = replace(ADAMW, **ALL)
    training, healthy = (start(batches, [1, 2], recipe) for _ in range(2))
    with torch.no_grad():
        training.stack.module.linear.weight[:10] = torch.nan
    for each in (training, healthy):
        each.run_epoch()
        each.run_epoch()
    assert training.diverged == [1, 0]
    assert torch.equal(weights(training, 1), weights(healthy, 1))


def test_the_losses_of_label_smoothing_are_those_of_the_smoothed_labels(batches):
    """(1 - s) times the cross-entropy and s times the mean of -log p over all classes (Szegedy et al. 2016)."""
    recipe = Recipe(epochs=1, batch_size=10_000, label_smoothing=0.2)
    training = start(batches, [1], recipe)
    ((images, labels),) = images_of(batches, 0, recipe.batch_size)
    log = plain()(images).log_softmax(1)
    own = -log[torch.arange(len(images)), labels[0]].mean()
    training.run_epoch()
    assert training.losses[0] == pytest.approx((0.8 * own - 0.2 * log.mean()).item(), rel=1e-5)
    assert training.losses[0] != pytest.approx(own.item(), rel=1e-3)


@pytest.mark.parametrize("rho", [0.0, 0.3], ids=["plain", "with SAM"])
@every_recipe
def test_a_resumed_training_goes_on_exactly(recipe, rho, batches, masks, tmp_path):
    seeds, recipe = [1] if rho else [1, 2], replace(recipe, rho=rho)
    straight, first, again = (start(batches, seeds, recipe, masks) for _ in range(3))
    for _ in range(4):
        straight.run_epoch()
    for _ in range(2):
        first.run_epoch()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(2):
        again.run_epoch()
    for model in range(len(seeds)):
        assert torch.equal(weights(again, model), weights(straight, model))
    assert again.losses == straight.losses


def test_what_is_resumed_are_all_moments_and_the_count_of_steps(batches):
    """Without them a training goes another way, so the test above shows that nothing of them is lost."""
    first, again = (start(batches, [1], ADAMW) for _ in range(2))
    first.run_epoch()
    state = first.state_dict()
    assert state["optimizer"].keys() == {"exp_avg", "exp_avg_sq", "step"}
    assert {value.item() for value in state["optimizer"]["step"][0].values()} == {5}
    again.load_state_dict(state | {"optimizer": {}})
    first.run_epoch()
    again.run_epoch()
    assert distance(weights(again), weights(first)) > 1e-3


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["channels last", "plain"])
@pytest.mark.parametrize("kinds", [KINDS, KINDS[::-1]], ids=["to serial", "to grouped"])
def test_adamw_goes_on_in_another_kind_of_stack_and_layout(kinds, layout, batches, masks):
    recipe = replace(ADAMW, **ALL)
    first, again = (
        start(batches, [1, 2], recipe, masks, kinds[0]),
        start(batches, [1, 2], recipe, masks, kinds[1], layout=layout),
    )
    first.run_epoch()
    again.load_state_dict(first.state_dict())
    before = weights(first)
    for training in (first, again):
        training.run_epoch()
    for index in range(2):
        moved = distance(weights(first, index), before)
        assert distance(weights(again, index), weights(first, index)) < 0.02 * moved


def sam_with_adamw_by_hand(batches, recipe):
    """One epoch: gradients at the perturbed weights, clipped, are all that torch's AdamW sees."""
    model = plain()
    optimizer = torch.optim.AdamW(model.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    for images, labels in images_of(batches, 0, recipe.batch_size):
        model.zero_grad()
        F.cross_entropy(model(images), labels[0]).backward()
        size = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        before = [parameter.detach().clone() for parameter in model.parameters()]
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += recipe.rho * parameter.grad / (size + 1e-12)
        model.zero_grad()
        F.cross_entropy(model(images), labels[0]).backward()
        with torch.no_grad():
            for parameter, old in zip(model.parameters(), before, strict=True):
                parameter.copy_(old)
            for name, buffer in model.named_buffers():
                buffer.copy_(statistics[name])
        if recipe.gradient_clipping:
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clipping)
        optimizer.step()
    return flat(model.state_dict())


@pytest.mark.parametrize("clipping", [0.0, 0.5])
def test_sam_around_adamw_steps_with_the_gradients_at_the_perturbed_weights(clipping, batches):
    recipe = replace(ADAMW, rho=0.3, gradient_clipping=clipping)
    training, without = start(batches, [1], recipe), start(batches, [1], replace(recipe, rho=0.0))
    expected = sam_with_adamw_by_hand(batches, recipe)
    for each in (training, without):
        each.run_epoch()
    assert distance(weights(training), expected) < 0.05 * distance(weights(without), expected)


@pytest.mark.parametrize("iterations", [None, 18])
def test_the_learning_rate_of_every_step_is_the_schedules(iterations, batches, monkeypatch):
    """259 images in batches of 64: an epoch has 5 steps, or with iterations 4."""
    epochs = 4 if iterations is None else 5
    recipe = replace(ADAMW, epochs=epochs, iterations=iterations, schedule="constant", warmup=0.5)
    training = start(batches, [1], recipe)
    rates = []

    def note(batch, step=training._step):
        rates.append(training._optimizer.param_groups[0]["lr"])
        return step(batch)

    monkeypatch.setattr(training, "_step", note)
    for _ in range(recipe.epochs):
        training.run_epoch()
    steps = iterations or 20
    assert rates == pytest.approx([recipe.lr * min(1, step / (steps / 2)) for step in range(steps)], abs=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_keeps_as_many_numbers_as_its_entry_says(name, batches):
    """The estimate of disk space counts on it."""
    training = start(batches, [1], replace(SGD, optimizer=name))
    training.run_epoch()
    kept = [tensor for (model,) in training.state_dict()["optimizer"].values() for tensor in model.values()]
    parameters = sum(parameter.numel() for parameter in plain().parameters())
    assert sum(tensor.numel() for tensor in kept if tensor.dim()) == OPTIMIZERS[name].moments * parameters
