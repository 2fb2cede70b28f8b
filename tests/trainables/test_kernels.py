"""Kernels of our own compute what torch's layers do, up to rounding."""

import copy
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from trainables.data import Outline
from trainables.kernels.convolution import DirectConvolution
from trainables.kernels.layout import batch_innermost, is_batch_innermost
from trainables.kernels.native import library
from trainables.kernels.normalisation import DirectBatchNorm
from trainables.kernels.pooling import DirectPooling, is_known
from trainables.measuring.comparison import kept_weights
from trainables.models import build
from trainables.models.layers import BatchNormReLU
from trainables.stacks.direct import have_kernels, kernels_pay
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.tasks.image_classification.task import ImageClassification, random_images
from trainables.training.recipe import Recipe
from trainables.training.training import Training

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler")
CPU = torch.device("cpu")


def close(found, expected, scale=1e-5):
    """Up to a few roundings of float32, as a share of the largest value."""
    assert found.shape == expected.shape
    assert (found.double() - expected).abs().max() <= scale * expected.abs().max() + 1e-7


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1), (5, 2), (5, 0)])
@pytest.mark.parametrize(
    ("batch", "size", "groups"), [(1, (7, 6), 1), (5, (8, 8), 2), (16, (6, 9), 1), (37, (7, 7), 4)]
)
def test_a_convolution_and_its_gradients(stride, kernel, padding, batch, size, groups):
    torch.manual_seed(kernel + 10 * stride)
    layer = nn.Conv2d(4, 8, kernel, stride, padding, groups=groups, bias=batch == 5)
    mask = torch.rand_like(layer.weight) < 0.6
    mask[1] = False  # a channel of which nothing is left
    with torch.no_grad():
        layer.weight.mul_(mask)
    double = nn.Conv2d(4, 8, kernel, stride, padding, groups=groups, bias=batch == 5).double()
    double.load_state_dict(layer.state_dict())
    x = torch.randn(batch, 4, *size, requires_grad=True)
    exact = x.detach().double().requires_grad_()
    y, expected = DirectConvolution(layer, mask, 1)(x), double(exact)
    direction = torch.randn_like(y)
    y.backward(direction)
    expected.backward(direction.double())
    close(y, expected)
    close(x.grad, exact.grad)
    close(layer.weight.grad, double.weight.grad * mask)
    assert not layer.weight.grad[~mask].any()
    if layer.bias is not None:
        close(layer.bias.grad, double.bias.grad)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("batch", [3, 20])
def test_batch_norm_its_gradients_and_its_statistics(relu, affine, momentum, batch):
    torch.manual_seed(batch)
    layer = nn.BatchNorm2d(5, momentum=momentum, affine=affine)
    if affine:
        with torch.no_grad():
            layer.weight.uniform_(-2, 2)
            layer.bias.normal_()
    double = nn.BatchNorm2d(5, momentum=momentum, affine=affine).double()
    double.load_state_dict(layer.state_dict())
    own = DirectBatchNorm(layer, relu)
    for training in (True, True, False):
        x = torch.randn(batch, 5, 4, 3) * 3 + 2
        x.requires_grad_()
        exact = x.detach().double().requires_grad_()
        y, expected = own.train(training)(x), double.train(training)(exact)
        expected = expected.relu() if relu else expected
        direction = torch.randn_like(y)
        y.backward(direction)
        expected.backward(direction.double())
        close(y, expected)
        close(x.grad, exact.grad, 1e-4)
        if affine:
            close(layer.weight.grad, double.weight.grad, 1e-4)
            close(layer.bias.grad, double.bias.grad, 1e-4)
    assert own.state_dict().keys() == double.state_dict().keys()
    for name, tensor in own.state_dict().items():
        close(tensor, double.state_dict()[name].double())


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
@pytest.mark.parametrize("side", [2, 3])
def test_pooling_and_its_gradient(kind, side):
    """Of equal values the first counts, as ReLU gives many zeros."""
    torch.manual_seed(0)
    layer = kind(side)
    assert is_known(layer)
    x = torch.randn(18, 3, 7, 6).relu().requires_grad_()
    exact = x.detach().double().requires_grad_()
    y, expected = DirectPooling(layer)(x), layer(exact)
    direction = torch.randn_like(y)
    y.backward(direction)
    expected.backward(direction.double())
    close(y, expected)
    close(x.grad, exact.grad)


def test_other_pooling_is_left_to_torch():
    others = (
        nn.MaxPool2d(2, return_indices=True),
        nn.MaxPool2d(3, 2),
        nn.MaxPool2d(2, padding=1),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.MaxPool2d((2, 1)),
        nn.ReLU(),
    )
    assert not any(map(is_known, others))


def test_what_is_not_finite_is_passed_on():
    x = torch.randn(4, 2, 3, 3)
    x[0, 0, 0, 0] = torch.nan
    y = DirectBatchNorm(nn.BatchNorm2d(2), relu=True).train()(x)
    assert y[:, 0].isnan().all()
    assert y[:, 1].isfinite().all()
    assert DirectPooling(nn.MaxPool2d(3))(x)[0, 0].isnan().all()
    mask = torch.ones(2, 2, 1, 1)
    assert DirectConvolution(nn.Conv2d(2, 2, 1), mask, 1)(x)[0, :, 0, 0].isnan().all()


def test_the_order_in_memory():
    x = torch.randn(4, 3, 2, 5)
    own = batch_innermost(x)
    assert own.equal(x)
    assert is_batch_innermost(own)
    assert not is_batch_innermost(x)
    assert batch_innermost(own) is own
    assert F.relu(own).add(own).stride() == own.stride()  # torch's element-wise operations keep it


MODELS = ["preresnet8-w0.5", "vgg11-bn-w0.125", "densenet10-k4", "resnet8-w0.25", "mobilenet-v1-w0.125"]


def masks_of(model, density):
    torch.manual_seed(3)
    masks = {name: torch.rand_like(t) < density for name, t in model.named_parameters() if t.dim() == 4}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(masks.get(name, 1))
    return masks


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("grouped", [True, False])
def test_models_compute_the_same(name, grouped):
    """Gradients of deep networks differ more: rounding changes which units are cut off."""
    torch.manual_seed(0)
    model = build(name, 3, 5)
    masks = masks_of(model, 0.5)
    kind = GroupedStack if grouped else SerialStack
    images, labels = torch.randn(2, 6, 3, 32, 32), torch.arange(12) % 5
    gradients, outputs = [], []
    for dtype, has_kernels in ((torch.float64, False), (torch.float32, False), (torch.float32, True)):
        stack = kind(model, 2).to(dtype)
        if has_kernels:
            stack.use_kernels(masks)
        logits = torch.cat(tuple(stack.train()(images.to(dtype))))
        F.cross_entropy(logits, labels).backward()
        named = {key: p.grad for key, p in stack.module.named_parameters()}
        kept = stack.stack_states([masks] * 2)
        gradients.append(
            torch.cat([(g * kept[key] if key in kept else g).flatten().double() for key, g in named.items()])
        )
        stack.eval()
        outputs.append(torch.cat([logits.detach(), *stack(images.to(dtype))]).double())
    for what in (outputs, gradients):
        exact, plain, own = what
        assert (own - exact).norm() <= max(2 * (plain - exact).norm(), 1e-5 * exact.norm())


def trained(models, has_kernels, epochs=2, density=0.3):
    """Siblings after a short training on random images."""
    task = ImageClassification(random_images(Outline(70, 0, 8, 8, 1, 5), 70), CPU)
    torch.manual_seed(0)
    model = task.model("preresnet8-w0.5")
    masks = masks_of(model, density)
    stack = GroupedStack(model, models)
    if has_kernels:
        stack.use_kernels(masks)
    training = Training(
        stack, Recipe(epochs=epochs, batch_size=32, lr=0.02), task, [("retrain", seed) for seed in range(models)], masks
    )
    for _ in range(epochs):
        training.run_epoch()
    return training


def test_a_short_training_is_the_same():
    """Six steps: losses agree to 1e-4, weights to a hundredth of how far they went."""
    plain, own = trained(3, False), trained(3, True)
    assert own.losses == pytest.approx(plain.losses, rel=1e-4)
    begun = trained(3, False, epochs=0).stack.states()
    for one, other, start in zip(plain.stack.states(), own.stack.states(), begun, strict=True):
        moved = torch.cat([(one[name] - start[name]).flatten().double() for name in one])
        apart = torch.cat([(one[name] - other[name]).flatten().double() for name in one])
        assert apart.norm() <= 0.01 * moved.norm()


def test_each_model_is_the_same_to_the_last_bit_whatever_is_in_its_stack():
    two, three = trained(2, True).stack.states()[0], trained(3, True).stack.states()[0]
    assert all(three[name].equal(two[name]) for name in two)


def test_pruned_weights_stay_zero_and_a_training_goes_on_with_other_layers():
    own = trained(2, True)
    plain = trained(2, False, epochs=0)
    plain.load_state_dict(own.state_dict())
    assert plain.state_dict()["models"][0]["conv.weight"].equal(own.state_dict()["models"][0]["conv.weight"])
    begun = kept_weights(trained(2, True, epochs=0).stack.states())  # what masks left
    for name, kept in kept_weights(own.stack.states()).items():
        if name != "linear.weight":
            assert kept.equal(begun[name])


def test_kernels_are_for_one_thread_on_a_cpu_and_convolutions_that_they_know():
    def example(count):
        return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def suits(*layers):
        return have_kernels(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), example, CPU)

    assert suits(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 2, 2, 1, groups=2))
    assert not have_kernels(nn.Linear(8, 3), example, CPU)
    for other in (
        nn.Conv2d(3, 4, 3, dilation=2),
        nn.Conv2d(3, 4, 3, stride=(1, 2)),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
        nn.ConvTranspose2d(3, 4, 3),
    ):
        assert not suits(nn.Conv2d(3, 4, 3), other)
    assert not have_kernels(nn.Conv2d(3, 4, 3), example, torch.device("cuda"))
    torch.set_num_threads(2)
    try:
        assert not suits(nn.Conv2d(3, 4, 3))
    finally:
        torch.set_num_threads(1)


class Particular(nn.Module):
    """A model that counts on something that kernels do not keep."""

    def __init__(self, what):
        super().__init__()
        self.what, self.conv, self.linear = what, nn.Conv2d(3, 2, 3), nn.Linear(72, 5)

    def forward(self, x):
        y = self.conv(x)
        if self.what == "view":
            return self.linear(y.view(len(y) * 2, -1).view(len(y), -1))
        if self.what == "dropout":
            y = F.dropout(y, training=self.training)
        if self.what == "attribute":
            assert self.conv.kernel_size == (3, 3)
        return self.linear(y.flatten(1))


@pytest.mark.parametrize("what", ["", "view", "dropout", "attribute"])
def test_models_that_do_not_compute_the_same_with_them_have_none(what):
    def example(count):
        return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    model = Particular(what)
    before = torch.get_rng_state()
    assert have_kernels(model, example, CPU) == (what == "")
    assert torch.get_rng_state().equal(before)


def test_they_are_used_where_they_pay():
    model = build("preresnet20", 3, 10)
    assert kernels_pay(model, masks_of(model, 0.1), narrow=False)
    assert not kernels_pay(model, masks_of(model, 0.6), narrow=False)
    assert not kernels_pay(model, {}, narrow=False)
    assert kernels_pay(model, {}, narrow=True)


def test_what_they_would_read_wrongly_is_an_error():
    layer = DirectConvolution(nn.Conv2d(2, 2, 1), None, 1)
    for images in (torch.rand(2, 2, 3, 3).bfloat16(), torch.rand(2, 2, 3, 3).double(), torch.rand(3, 2, 3)):
        with pytest.raises(TypeError, match="float32 images"):
            layer(images)
    with pytest.raises(ValueError, match="3 channels instead of 2"):
        layer(torch.rand(2, 3, 4, 4))
    empty = torch.rand(0, 2, 3, 3, requires_grad=True)
    layer(empty).sum().backward()
    assert not layer.weight.grad.any()


def test_a_copy_has_plans_of_its_own():
    layer, images = DirectConvolution(nn.Conv2d(2, 2, 3), None, 1), torch.rand(2, 2, 4, 4)
    expected = layer(images)
    other = copy.deepcopy(layer)
    del layer
    assert other(images).equal(expected)


def test_code_in_a_folder_that_others_may_write_to_is_not_run(tmp_path):
    said = "from trainables.kernels.native import library; print(library())"
    folders = [
        tmp_path / ".cache" / "three-regime-sweeps" / f"compiled-{os.getuid()}",
        tmp_path / f"compiled-{os.getuid()}",
    ]
    for folder in folders:
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    surroundings = os.environ | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", said], env=surroundings, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


def test_a_batch_norm_with_relu_is_grouped_as_one():
    stack = GroupedStack(nn.Sequential(nn.Conv2d(1, 2, 1), BatchNormReLU(2)), 2)
    assert isinstance(stack.module[1], BatchNormReLU)
    assert stack.module[1].num_features == 4


def test_without_a_compiler_there_are_none(tmp_path):
    said = "from trainables.kernels.native import library; print(library())"
    surroundings = os.environ | {"CC": "/nowhere/cc", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", said], env=surroundings, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
    surroundings["CC"] = "false"
    done = subprocess.run([sys.executable, "-c", said], env=surroundings, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
    del surroundings["CC"]
    done = subprocess.run([sys.executable, "-c", said], env=surroundings, capture_output=True, text=True, check=True)
    assert "CDLL" in done.stdout
    assert [
        file.suffix for file in (tmp_path / ".cache" / "three-regime-sweeps" / f"compiled-{os.getuid()}").iterdir()
    ] == [".so"]
