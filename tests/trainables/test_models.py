import pytest
import torch

from trainables.models import build, check_name
from trainables.pruning.magnitude import prunable_weights


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
        ("preresnet", "unknown model"),
        ("preresnet21", "not 6n + 2"),
        ("preresnet2", "not 6n + 2"),
        ("preresnet20-w0.1", "not a whole number"),
        ("preresnet20-w0", "not a whole number"),
    ],
)
def test_names_that_are_no_models(name, said):
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        check_name(name)
