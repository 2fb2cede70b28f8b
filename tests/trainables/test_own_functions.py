"""Augmentations and losses of the user's own: what they are given, and that it stays exact."""

import math
import shutil
import sys
from dataclasses import replace
from itertools import islice

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from trainables.data import Augmentation, augmentation_of, load
from trainables.functions import pin
from trainables.models import build
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.stages import DenseRun, DenseStage, Label, Point, PointStage, finish
from trainables.stages.cost import StageCosts
from trainables.stages.machine import Machine, task_of
from trainables.stages.pruning_context import DenseModelContext
from trainables.stages.siblings import kept_siblings
from trainables.storage.local_folder import LocalFolder
from trainables.suitability import check_suitable
from trainables.tasks import load_task, lookalike_task
from trainables.tasks.image_classification.augmentation import OwnAugmentation
from trainables.tasks.random_numbers import random_stream
from trainables.training import resumable
from trainables.training.recipe import Recipe
from trainables.training.training import Training

CPU = torch.device("cpu")
NAME = "preresnet8-w0.5"
RECIPE = Recipe(epochs=4, batch_size=64, lr=0.05)
SOURCE = """
import random
import torch
import torch.nn.functional as F

calls, given = [], []

def negative(images, generator):
    calls.append((images.dtype, tuple(images.shape), images.is_contiguous(), images.device, generator.device))
    given.append(images.clone())
    return 1 - images

def noise(images, generator):
    scale = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device)
    return images + 0.1 * scale * torch.randn(images.shape)  # torch's global numbers, too

def drawn(images, generator):
    images[..., 0, 0], images[..., 0, 1] = torch.rand((), generator=generator), torch.rand(())
    return images

def erased(images, generator):
    images[:, :, 2:4, 2:4] = 0
    return images

def smaller(images, generator):
    return images[..., 1:, 1:]

def doubled(images, generator):
    return images.double()

def nothing(images, generator):
    pass

def seldom(images, generator):
    return images + (random.random() < 0.3)

def infinite(images, generator):
    return images / 0

def one_argument(images):
    return images

def cross_entropy(logits, labels):
    shapes = tuple(logits.shape), tuple(labels.shape)
    calls.append((logits.dtype, labels.dtype, *shapes, torch.is_autocast_enabled("cpu")))
    return F.cross_entropy(logits, labels)

def of_each(logits, labels):
    return F.cross_entropy(logits, labels, reduction="none")

def focal(logits, labels):
    loss = F.cross_entropy(logits, labels, reduction="none")
    return (1 - (-loss).exp()) ** 2 * loss

def in_place(logits, labels):
    logits.mul_(2)
    return F.cross_entropy(logits, labels)

def of_classes(logits, labels):
    return logits.mean(0)

def a_number(logits, labels):
    return float(F.cross_entropy(logits, labels))

def detached(logits, labels):
    return F.cross_entropy(logits.detach(), labels)

def leaves(logits, labels):
    raise SystemExit(0)

def flat(logits, labels):
    return logits.sum() * 0

def not_a_number(logits, labels):
    return logits.sum().log() * 0 + torch.nan

def steep(logits, labels):
    return (logits - logits).abs().sqrt().mean()

def random_loss(logits, labels):
    return F.cross_entropy(logits, labels) * torch.rand(())

def relabels(logits, labels):
    labels.fill_(0)
    return F.cross_entropy(logits, labels)

def fails(logits, labels):
    raise KeyError("no weight of class 3")
"""


def own(function):
    return pin(f"mine:{function}", "function")


def task_with(augmentation=None, loss=None, data="digits", **cropped):
    function = None if augmentation is None else own(augmentation)
    changes = Augmentation(cropped.get("crop_padding", 0), cropped.get("flip", False), function)
    return load_task(data, 0.8, CPU, augmentation=changes, loss=None if loss is None else own(loss))


def streams(*names):
    return [random_stream(name) for name in names]


def trained(task, seeds, kind, epochs=2, recipe=RECIPE):
    torch.manual_seed(0)
    training = Training(kind(build(NAME, 1, 10), len(seeds)), recipe, task, [("retrain", seed) for seed in seeds])
    for _ in range(epochs):
        training.run_epoch()
    return training


def equal(ours, theirs):
    return all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("published", (None, None), Augmentation(None, None)),
        ("published", (3, False), Augmentation(3, False)),
        ("none", (None, None), Augmentation(0, False)),
        ("crop-flip", (None, None), Augmentation(None, True)),
        ("crop-flip", (3, True), Augmentation(3, True)),
        ("mine:f#123", (None, None), Augmentation(0, False, "mine:f#123")),
        ("mine:f#123", (2, True), Augmentation(2, True, "mine:f#123")),
    ],
)
def test_what_an_augmentation_is(name, options, expected):
    assert augmentation_of(name, *options) == expected


def test_augmentation_that_is_asked_for_replaces_what_is_published():
    """Digits are shifted by a pixel at most, and not mirrored."""
    data = load("digits", 0.8)
    pixels = {}
    for name, augmentation in (("none", Augmentation(0, False)), ("flip", Augmentation(0, True))):
        batch = next(load_task("digits", 0.8, CPU, augmentation=augmentation).batches(streams("a"), 259))
        pixels[name] = batch.inputs[0, :, 0] * data.std[0] + data.mean[0]
        order = torch.randperm(259, generator=random_stream("a"))
        original = torch.tensor(data.train.pixels)[order, ..., 0].float()
        same = (pixels[name] - original).abs().amax((1, 2)) < 1e-3
        mirrored = (pixels[name] - original.flip(2)).abs().amax((1, 2)) < 1e-3
        assert (same | mirrored).all()
        assert same.all() == (name == "none")


def test_a_function_is_given_images_as_torchvision_has_them_and_its_result_is_normalised(mine):
    data, plain = load("digits", 0.8), load_task("digits", 0.8, CPU, augmentation=Augmentation(0, False))
    task = task_with("negative")
    pairs = zip(task.batches(streams("a", "b"), 100), plain.batches(streams("a", "b"), 100), strict=True)
    for changed, batch in pairs:
        assert torch.equal(changed.targets, batch.targets)
        pixels, negatives = (each.inputs * data.std[0] + data.mean[0] for each in (batch, changed))
        assert torch.allclose(negatives, 255 - pixels, atol=1e-3)
    shapes = [(100, 1, 8, 8)] * 4 + [(59, 1, 8, 8)] * 2
    assert mine().calls == [(torch.float32, shape, True, CPU, CPU) for shape in shapes]
    assert all(images.min() >= 0 and images.max() <= 1 for images in mine().given)


def test_images_are_shifted_and_mirrored_before_a_function_where_that_is_asked_for(mine):
    task = task_with("negative", crop_padding=3, flip=True)
    shifted = load_task("digits", 0.8, CPU, augmentation=Augmentation(3, True))
    data = load("digits", 0.8)
    for changed, batch in zip(task.batches(streams("a"), 100), shifted.batches(streams("a"), 100), strict=True):
        pixels, negatives = (each.inputs * data.std[0] + data.mean[0] for each in (batch, changed))
        assert torch.allclose(negatives, 255 - pixels, atol=1e-3)


def test_a_models_images_depend_on_its_own_random_numbers_alone(mine):
    task = task_with("noise")
    before = torch.get_rng_state()
    together = list(task.batches(streams("a", "b"), 64))
    torch.manual_seed(1)
    alone, other = (list(task.batches(streams(name), 64)) for name in ("b", "a"))
    for both, own_batch, others in zip(together, alone, other, strict=True):
        assert torch.equal(both.inputs[1], own_batch.inputs[0])
        assert torch.equal(both.inputs[0], others.inputs[0])
    torch.set_rng_state(before)
    list(task.batches(streams("a"), 64))
    assert torch.equal(torch.get_rng_state(), before)


def test_each_call_draws_anew_from_the_generator_and_other_numbers_from_torchs_own(mine):
    changed, stream = OwnAugmentation(own("drawn")), random_stream("a")
    drawn = [number for _ in range(50) for number in changed(torch.zeros(1, 1, 1, 2), stream).flatten().tolist()]
    assert len(set(drawn)) == 100


@pytest.mark.parametrize("kind", [SerialStack, GroupedStack])
def test_a_sibling_in_a_stack_becomes_what_it_does_alone(kind, mine):
    task = task_with("noise", "focal")
    together = trained(task, (1, 2), kind, 1)
    for index, seed in enumerate((1, 2)):
        alone = trained(task, (seed,), kind, 1).stack.states()[0]
        if kind is SerialStack:
            assert equal(together.stack.states()[index], alone)
        else:
            ours = together.stack.states()[index]
            assert all(torch.allclose(ours[name], t, rtol=1e-2, atol=1e-3) for name, t in alone.items())
    assert not equal(*together.stack.states())


def test_a_loss_is_that_of_each_model_and_its_gradient_that_models_own(mine):
    task = task_with(loss="focal")
    models = [task.model(NAME) for _ in range(2)]
    stack = GroupedStack(models[0], 2)
    stack.load([model.state_dict() for model in models])
    batch = next(task.batches(streams("a", "b"), 32))
    losses = task.losses(stack, batch)
    losses.sum().backward()
    gradients = stack.unstack_state({name: p.grad for name, p in stack.module.named_parameters()})
    for index, model in enumerate(models):
        loss = F.cross_entropy(model(batch.inputs[index]), batch.targets[index], reduction="none")
        loss = ((1 - (-loss).exp()) ** 2 * loss).mean()
        loss.backward()
        assert losses[index].item() == pytest.approx(loss.item(), rel=1e-5)
        for name, parameter in model.named_parameters():
            assert torch.allclose(gradients[index][name], parameter.grad, rtol=1e-3, atol=1e-5)


def test_losses_in_tables_are_cross_entropy_of_images_as_they_are_whatever_is_trained(mine):
    own, plain = task_with("negative", loss="focal"), load_task("digits", 0.8, CPU)
    models = [own.model(NAME) for _ in range(2)]
    stack = GroupedStack(models[0], 2)
    stack.load([model.state_dict() for model in models])
    images, labels = next(plain.split("train").batches(10**4)), plain.split("train").labels
    for model, loss in zip(models, own.evaluation(stack, "train").losses, strict=True):
        with torch.no_grad():
            assert loss == pytest.approx(F.cross_entropy(model.eval()(images), labels).item(), rel=1e-5)
    assert own.evaluation(stack, "test") == plain.evaluation(stack, "test")
    assert mine().calls == []


@pytest.mark.parametrize("function", ["cross_entropy", "of_each", "torch.nn.functional:cross_entropy"])
def test_cross_entropy_by_hand_trains_as_the_default_does(function, mine):
    default = trained(task_with(), (1, 2), GroupedStack, epochs=1)
    name = function if ":" in function else f"mine:{function}"
    no_change = Augmentation(0, False)
    task = load_task("digits", 0.8, CPU, augmentation=no_change, loss=pin(name, "loss"))
    by_hand = trained(task, (1, 2), GroupedStack, epochs=1)
    assert by_hand.losses == pytest.approx(default.losses, rel=1e-4)


def test_a_loss_is_given_float32_and_is_not_under_autocast(mine):
    trained(task_with(loss="cross_entropy"), (1, 2), SerialStack, 1, replace(RECIPE, precision="bfloat16"))
    shapes = [(64, 10)] * 8 + [(3, 10)] * 2
    assert mine().calls == [(torch.float32, torch.int64, shape, shape[:1], False) for shape in shapes]


@pytest.mark.parametrize("function", ["cross_entropy", "of_each"])
def test_parts_of_the_loss_for_pruning_rules_add_up_to_the_mean_of_ones_own(function, mine):
    run = DenseRun("digits", 0.7, NAME, RECIPE, 1, loss=own(function))
    torch.manual_seed(0)
    state = build(NAME, 1, 10).state_dict()
    where = Machine(LocalFolder("nowhere"), CPU)
    runs = run, replace(run, loss=None)
    contexts = [DenseModelContext(each, 4, 0.2, task_of(each, where), lambda epoch: state) for each in runs]
    model = contexts[0].model_at(4)
    parts, expected = ([part.item() for part in each.loss_parts(model, 100, at_once=30)] for each in contexts)
    assert parts == pytest.approx(expected, rel=1e-5)
    assert len(parts) == 4
    own_loss = task_with(loss="focal").loss_parts(model, 100, at_once=30)
    assert sum(part.item() for part in own_loss) < 0.9 * sum(parts)


@pytest.mark.parametrize("how", ["killed", "closed"])
def test_what_was_stopped_goes_on_exactly(how, mine, tmp_path, monkeypatch):
    """A dense training, and siblings in a stack."""
    monkeypatch.setattr(resumable, "SAVING_SHARE", math.inf)
    seconds = 0.0 if how == "killed" else 1e9
    changes = Augmentation(1, False, own("noise"))
    run = DenseRun("digits", 0.9, NAME, RECIPE, 1, changes, loss=own("focal"))
    point = PointStage(Point(run, 4, 0.2, "magnitude-uniform", RECIPE), (1, 2), Label("epochs", 4, "density", 0.2))
    straight, before, after = (
        Machine(LocalFolder(tmp_path / name), CPU, seconds) for name in ("straight", "before", "after")
    )
    alive = []  # a generator that is collected is closed
    for stage in (DenseStage(run, (4,)), point):
        rows = finish(stage.execute(straight))
        stopped = stage.execute(before)
        alive.append(stopped)
        list(islice(stopped, 2))
        if how == "closed":
            stopped.close()
        shutil.copytree(before.folder.path, after.folder.path, dirs_exist_ok=True)
        again = stage.execute(after)
        assert next(again).epochs == 3
        for table, found in finish(again).items():
            assert [row | {"seconds": 0} for row in found] == [row | {"seconds": 0} for row in rows[table]]
            assert {row["status"] for row in found} == {"ok"}
        finish(stage.execute(before))
    kept = [kept_siblings(machine.folder, point.key) for machine in (straight, after)]
    assert all(equal(kept[0][seed]["model"], kept[1][seed]["model"]) for seed in (1, 2))
    other = replace(point, point=replace(point.point, dense=replace(run, loss=None)))
    assert other.key != point.key


def test_what_a_run_needs_of_the_user_is_known(mine):
    run = DenseRun("digits", 0.7, "mine:model#1", RECIPE, 1, Augmentation(function="mine:a#1"), loss="other:b#2")
    assert [tuple(each) for each in run.functions] == [
        ("model", "mine:model#1"),
        ("augmentation", "mine:a#1"),
        ("loss", "other:b#2"),
    ]
    assert replace(run, model=NAME, augmentation=Augmentation(), loss=None).functions == ()


def test_the_cost_of_a_step_is_that_with_them(mine):
    costs = StageCosts(CPU)
    run = DenseRun("digits", 0.7, NAME, RECIPE, 1)
    costs.training(run, RECIPE, 1, 1)
    costs.training(replace(run, augmentation=Augmentation(0, False, own("negative"))), RECIPE, 1, 1)
    assert len(mine().calls) == 8
    costs.training(replace(run, loss=own("cross_entropy")), RECIPE, 1, 1)
    assert len(mine().calls) == 16


def checked(augmentation=None, loss=None):
    changes = Augmentation(0, False, augmentation and own(augmentation))
    task = lookalike_task("digits", CPU, augmentation=changes, loss=loss and own(loss))
    check_suitable(NAME, task, 3)


def test_functions_that_do_what_is_asked_of_them(mine):
    for augmentation in ("negative", "noise", "erased"):
        checked(augmentation)
    for loss in ("cross_entropy", "of_each", "focal", "in_place"):
        checked(loss=loss)
    before = torch.get_rng_state()
    checked("noise", "focal")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            "smaller",
            r"ValueError: .* returned torch.float32 of shape \(4, 1, 7, 7\) on cpu instead of torch.float32 of",
        ),
        ("doubled", r"returned torch.float64 of shape \(4, 1, 8, 8\) on cpu instead of torch.float32"),
        ("nothing", "returned NoneType instead of torch.float32"),
        ("seldom", "returned other images when it was given the same again; draw from its generator or torch's"),
        ("infinite", "returned pixels that are not finite"),
        ("one_argument", "cannot be used on images of 8x8 pixels with 1 channel .TypeError: one_argument"),
    ],
)
def test_augmentations_that_do_not(function, said, mine):
    with pytest.raises(ValueError, match=f"^augmentation mine:{function} .*{said}"):
        checked(function)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("of_classes", r"returned torch.float32 of shape \(10,\) instead of a loss for each of . labels, shape"),
        ("a_number", "returned float instead of a loss for each of"),
        ("detached", "it has no gradient: compute it from the logits"),
        ("leaves", "cannot be used with 10 classes .SystemExit: 0"),
        ("flat", "has a gradient of zero everywhere; compute it from the logits"),
        ("not_a_number", "is not finite for logits of a standard normal"),
        ("steep", "or its gradient is not finite for logits"),
        ("random_loss", "gave another loss when it was given the same again, or changed the labels"),
        ("relabels", "or changed the labels; its arguments alone may decide, and stay as they are"),
        ("fails", "cannot be used with 10 classes .KeyError: 'no weight of class 3'"),
    ],
)
def test_losses_that_do_not(function, said, mine):
    with pytest.raises(ValueError, match=f"^loss mine:{function} .*{said}"):
        checked(loss=function)


def test_a_function_that_has_changed_is_not_taken_for_the_old_one(mine, tmp_path):
    names = own("negative"), own("focal")
    (tmp_path / "typed" / "mine.py").write_text(SOURCE.replace("** 2", "** 3"))
    del sys.modules["mine"]
    for made in ({"augmentation": Augmentation(function=names[0])}, {"loss": names[1]}):
        with pytest.raises(ValueError, match=r"source of mine:.* is not what it was when the sweep was made"):
            load_task("digits", 0.8, CPU, **made)


def test_transforms_of_torchvision_are_repeatable_though_they_take_no_generator(mine, tmp_path):
    """They draw from torch's global random numbers. Imported by the user's module, whether or not it fits torch."""
    (tmp_path / "typed" / "mine.py").write_text(
        "from torchvision.transforms import v2\n"
        "change = v2.Compose([v2.RandomErasing(p=1), v2.ColorJitter(brightness=0.5)])\n"
        "def changed(images, generator):\n"
        "    return change(images)\n"
    )
    checked("changed")
    task = task_with("changed")
    together, alone = next(task.batches(streams("a", "b"), 64)), next(task.batches(streams("b"), 64))
    assert torch.equal(together.inputs[1], alone.inputs[0])
    carry = next(task.batches(streams("c"), 64))
    assert not torch.equal(carry.inputs[0], alone.inputs[0])
