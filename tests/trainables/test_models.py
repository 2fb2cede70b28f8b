import pytest
import torch

from trainables.models import build, check_name, with_width
from trainables.pruning.prunable import prunable_weights


@pytest.fixture(scope="module")
def preresnet20():
    torch.manual_seed(0)
    return build("preresnet20", channels=3, classes=10)


def test_preresnet20_has_the_published_parameters(preresnet20):
    weights = prunable_weights(preresnet20)
    norms = [module for module in preresnet20.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(weights) == 21
    assert sum(weight.numel() for weight in weights.values()) == 270_256
    assert sum(parameter.numel() for norm in norms for parameter in norm.parameters()) == 1_376
    assert sum(parameter.numel() for parameter in preresnet20.parameters()) == 272_282


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vgg19-bn", 20_040_522),
        ("densenet40", 1_059_298),
        ("densenet40-k12", 1_059_298),
        ("vgg13-bn-nobias", 9_413_066),
        ("resnet56", 855_770),
        ("mobilenet-v1", 3_217_226),
        *(
            (f"resnet18-w{channels / 64:g}", parameters)
            for channels, parameters in {
                2: 11_420,
                4: 44_622,
                8: 176_402,
                16: 701_466,
                64: 11_173_962,
                128: 44_662_922,
            }.items()
        ),
    ],
)
def test_the_other_models_have_the_published_parameters(name, parameters):
    """On CIFAR-10: Zhou et al. 2023 (the first two), Lubana and Dick 2021, Yang et al. 2021 (ResNet-18)."""
    assert sum(parameter.numel() for parameter in build(name, channels=3, classes=10).parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("linear", 28 * 28 * 10 + 10),
        ("mlp128-256", 28 * 28 * 128 + 128 + 128 * 256 + 256 + 256 * 10 + 10),
        ("mlp128-256-w0.5", 28 * 28 * 64 + 64 + 64 * 128 + 128 + 128 * 10 + 10),
        ("conv64-128-256-512", 9 * (64 + 64 * 128 + 128 * 256 + 256 * 512) + 3 * 960 + 5130),
    ],
)
def test_the_small_ones_have_weights_biases_and_batch_norms(name, parameters):
    """As those of Diao et al. 2023, on images of 28x28 pixels with 1 channel: in all 7,850, 136,074 and 1,556,874."""
    assert sum(parameter.numel() for parameter in build(name, 1, 10, (28, 28)).parameters()) == parameters


def test_pooling_halves_the_image_after_all_convolutions_but_the_last():
    sides = []
    model = build("conv4-6-8", 1, 10)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda layer, inputs, output: sides.append(tuple(output.shape[1:])))
    model(torch.zeros(2, 1, 9, 12))
    assert sides == [(4, 9, 12), (6, 4, 6), (8, 2, 3)]


def test_networks_of_linear_layers_need_the_size_of_the_images():
    assert build("mlp6", 3, 7, (4, 5))(torch.randn(2, 3, 4, 5)).shape == (2, 7)
    with pytest.raises(ValueError, match="model 'linear' cannot be made without the height and width of the images"):
        build("linear", 3, 7)


def test_vgg_differs_by_batch_norm_and_biases():
    sizes = {n: sum(p.numel() for p in build(n, 3, 10).parameters()) for n in ("vgg11", "vgg11-bn", "vgg11-bn-nobias")}
    channels = 64 + 128 + 2 * 256 + 4 * 512
    assert sizes["vgg11-bn"] - sizes["vgg11"] == 2 * channels
    assert sizes["vgg11-bn"] - sizes["vgg11-bn-nobias"] == channels


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("preresnet14-w0.25", 8),
        ("resnet8-w2", 8),
        ("vgg16-bn-w0.25", 32),
        ("densenet13-k6-w0.5", 8),
        ("mobilenet-v1-w0.25", 9),
    ],
)
def test_models_take_images_and_give_logits(name, side):
    assert build(name, 3, 7)(torch.randn(2, 3, side, side)).shape == (2, 7)


def test_every_convolution_and_no_last_linear_layer_is_prunable():
    for name in ("preresnet8", "resnet8", "vgg11", "densenet10", "mobilenet-v1-w0.25"):
        model = build(name, 3, 10)
        convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())
        assert len(prunable_weights(model)) == convolutions > 0
    several = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    assert list(prunable_weights(several)) == ["0.weight"]
    assert list(prunable_weights(build("mlp8-4", 1, 10, (8, 8)))) == ["hidden.0.weight", "hidden.2.weight"]


def test_the_last_linear_layer_is_prunable_where_nothing_else_is():
    assert list(prunable_weights(build("linear", 1, 10, (8, 8)))) == ["linear.weight"]
    assert prunable_weights(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())) == {}


def test_width_multiplies_channels():
    assert with_width("vgg16-bn", 0.5) == "vgg16-bn-w0.5"
    assert with_width("vgg16-bn", 1.0) == "vgg16-bn"
    assert with_width("vgg16-bn-w0.50", 1.0) == "vgg16-bn-w0.50"
    assert with_width("vgg16-bn-w0.5", 2) == "vgg16-bn"
    assert with_width("vgg16-bn-w0.1", 5) == "vgg16-bn-w0.5"
    assert with_width("vgg16-bn-w0.0625", 0.001) == "vgg16-bn-w0.0000625"
    thin, thick = (build(with_width("resnet20", width), 3, 10) for width in (1, 2))
    ratio = [
        b.weight.numel() / a.weight.numel()
        for a, b in zip(thin.modules(), thick.modules(), strict=True)
        if isinstance(a, torch.nn.Conv2d)
    ]
    assert ratio[0] == 2
    assert set(ratio[1:]) == {4}


def test_of_the_narrowest_resnet18_widths_are_channels():
    """Those of Yang et al. 2021: names of them all, and which are written how."""
    widths = 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128
    names = {width: with_width("resnet18-w0.015625", width) for width in widths}
    assert {width: names[width] for width in (2, 3, 91, 64, 128)} == {
        2: "resnet18-w0.03125",
        3: "resnet18-w0.046875",
        91: "resnet18-w1.421875",
        64: "resnet18",
        128: "resnet18-w2",
    }
    for width, name in names.items():
        check_name(name)
        with torch.device("meta"):
            assert build(name, 3, 10).features[0].out_channels == width


def test_convolutions_have_no_bias_and_the_published_spread(preresnet20):
    convolutions = [module for module in preresnet20.modules() if isinstance(module, torch.nn.Conv2d)]
    assert all(convolution.bias is None for convolution in convolutions)
    largest = max(convolutions, key=lambda convolution: convolution.weight.numel())
    assert float(largest.weight.detach().std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


def test_shortcut_is_a_bare_convolution_of_the_raw_input(preresnet20):
    block = preresnet20.blocks[3]  # first of the second stage
    images = torch.randn(2, 16, 8, 8)
    block.eval()
    with torch.no_grad():
        for convolution in (block.conv1, block.conv2):
            convolution.weight.zero_()
        shortcut = torch.nn.functional.conv2d(images, block.shortcut.weight, stride=2)
        assert torch.allclose(block(images), shortcut)


def test_output_has_a_logit_for_each_class():
    assert build("preresnet8-w0.5", channels=1, classes=7)(torch.zeros(2, 1, 8, 8)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet", "unknown model 'resnet'"),
        ("vgg15", "is not 11, 13, 16 or 19"),
        ("densenet41", "is not 3n + 4"),
        ("densenet40-k", "unknown model"),
        ("densenet40-w0.3", "width 3.6 .* is not a whole number"),
        ("mobilenet-v2", "unknown model"),
        ("preresnet", "unknown model"),
        ("preresnet21", "not 6n + 2"),
        ("preresnet2", "not 6n + 2"),
        ("preresnet20-w0.1", "not a whole number"),
        ("preresnet20-w0", "not a whole number"),
        ("linear-w0.5", "model 'linear-w0.5' has no width to multiply; leave -w0.5 out"),
        ("mlp", "unknown model"),
        ("mlp128-", "unknown model"),
        ("mlp128-0", "width 0 .* is not a whole number"),
        ("conv64-25-w0.5", "width 12.5 .* is not a whole number"),
        ("conv64-9000", "width 9000 .* is not a whole number"),
    ],
)
def test_names_that_are_no_models(name, said):
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        check_name(name)
