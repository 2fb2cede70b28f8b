import inspect
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from metrics.connectivity import linear_mode_connectivity
from metrics.similarity import linear_cka
from trainables.measuring.comparison import PathStacks, path_evaluations, similarities
from trainables.measuring.settings import MeasurementSettings
from trainables.models import build
from trainables.stacks import memory
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.tasks.image_classification.task import ImageClassification


class Signs(nn.Sequential):
    """Tells the sign of one pixel with two hidden units, exactly."""

    def __init__(self, first_unit):
        super().__init__(nn.Flatten(), nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
        with torch.no_grad():
            self[1].weight.copy_(torch.tensor([[1.0], [-1.0]]) * first_unit)
            self[3].weight.copy_(torch.eye(2) if first_unit > 0 else torch.eye(2).flip(0))


class Given(ImageClassification):
    """Training images that are normalised already."""

    device = torch.device("cpu")

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def split(self, name):
        return self

    def batches(self, batch_size, images=None):
        yield from self.images[:images].split(batch_size) if len(self.labels) else ()


def errors(stack, task):
    return task.errors(stack, "train")


def grouped(model):
    """Stacks of a model for a path."""
    return PathStacks(lambda models: GroupedStack(model, models), 11)


def along(stacks, start, end, task, settings):
    """Errors along one line."""
    return next(path_evaluations(stacks, [start, end], [(0, 1)], task, settings)).errors


@pytest.fixture
def signs():
    return Given(torch.tensor([1.0, 2.0, -1.0, -2.0]).view(4, 1, 1, 1), torch.tensor([0, 0, 1, 1]))


def test_swapped_hidden_units_make_a_barrier_of_one_half(signs):
    """Both ends are the same function without error; half way the hidden units vanish and all images look alike."""
    curve = along(grouped(Signs(1)), Signs(1).state_dict(), Signs(-1).state_dict(), signs, MeasurementSettings())
    assert curve == [0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0]
    assert linear_mode_connectivity(curve) == -0.5


def test_a_model_is_connected_with_itself(signs):
    state = Signs(1).state_dict()
    assert along(grouped(Signs(1)), state, state, signs, MeasurementSettings()) == [0] * 11


def test_batch_norm_is_reestimated_at_every_position_the_ends_included():
    """Statistics that make a model useless do not count on the path; they do in a plain evaluation."""
    torch.manual_seed(0)
    model = build("preresnet8-w0.5", 1, 3)
    images = torch.randn(40, 1, 8, 8)
    model.train()
    with torch.no_grad():
        for _ in range(50):
            model(images)
        labels = model.eval()(images).argmax(-1)
    data = Given(images, labels)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    spoilt = {name: tensor + 100 if "running_mean" in name else tensor for name, tensor in state.items()}
    stack = GroupedStack(model, 1)
    stack.load([spoilt])
    assert errors(stack, data)[0] > 0.2
    how = MeasurementSettings(path_points=3, batch_norm_batch_size=40)
    curve = along(grouped(model), spoilt, spoilt, data, how)
    assert curve == pytest.approx([curve[0]] * 3, abs=0.03)
    assert max(curve) < 0.1


def test_a_model_with_dropout_is_measured_the_same_each_time():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(0.5), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    torch.manual_seed(0)
    start, end = ({name: torch.rand_like(t.float()) for name, t in model.state_dict().items()} for _ in range(2))
    data = Given(torch.randn(200, 1, 8, 8), torch.arange(200) % 3)
    curves = [
        along(
            PathStacks(lambda models: SerialStack(model, models), 5),
            start,
            end,
            data,
            MeasurementSettings(path_points=5),
        )
        for _ in range(2)
    ]
    assert curves[0] == curves[1]


def test_similarity_is_of_softmax_outputs_on_the_first_images(signs):
    stack = GroupedStack(Signs(1), 3)
    doubled = {name: tensor * 2 for name, tensor in Signs(1).state_dict().items()}
    stack.load([Signs(1).state_dict(), Signs(-1).state_dict(), doubled])
    same, other = similarities(stack, [(0, 1), (0, 2)], signs, MeasurementSettings())
    assert same == pytest.approx(1)
    assert 0.9 < other < 1  # logits four times as large: CKA of logits would be 1, of their softmax it is less
    three = similarities(stack, [(0, 2)], signs, MeasurementSettings(cka_images=3))[0]
    assert abs(three - other) > 1e-4
    outputs = [(scale * torch.tensor([[1.0, 0], [2, 0], [0, 1]])).softmax(-1) for scale in (1, 4)]
    assert three == pytest.approx(linear_cka(*outputs))


def test_no_images_no_error(signs):
    empty = Given(signs.images[:0], signs.labels[:0])
    assert str(errors(GroupedStack(Signs(1), 2), empty)) == "[nan, nan]"


class Cramped(GroupedStack):
    """A stack on a device whose memory is full at so many images times models."""

    most = 10**9

    def forward(self, images):
        self.tried.append((self.models, images.shape[1]))
        if self.models * images.shape[1] > self.most:
            raise self.full
        return super().forward(images)


GPU_FULL = torch.OutOfMemoryError("CUDA out of memory")
CPU_FULL = RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: 1 bytes")


@pytest.fixture
def cramped():
    def make(model, most, full=GPU_FULL):
        tried = []

        def stack(models):
            made = Cramped(model, models)
            made.most, made.full, made.tried = most, full, tried
            return made

        return stack, tried

    return make


@pytest.mark.parametrize("full", [GPU_FULL, CPU_FULL])
def test_what_does_not_fit_is_measured_in_smaller_parts_with_the_same_result(full, cramped):
    """Batch-norm is re-estimated with the batches asked for all the same: they decide the result."""
    torch.manual_seed(0)
    model = build("preresnet8-w0.5", 1, 3)
    start, end = build("preresnet8-w0.5", 1, 3).state_dict(), build("preresnet8-w0.5", 1, 3).state_dict()
    data = Given(torch.randn(200, 1, 8, 8), torch.arange(200) % 3)
    how = MeasurementSettings(path_points=11, batch_norm_batch_size=40)
    expected = along(grouped(model), start, end, data, how)
    stack, tried = cramped(model, 130, full)
    stacks = PathStacks(stack, 11)
    assert along(stacks, start, end, data, how) == pytest.approx(expected, abs=1 / 200)
    assert stacks.at_once == 3
    tried.clear()
    along(stacks, start, end, data, how)  # of the next pair: that is known now
    assert max(count for count, _ in tried) == 3
    stack, tried = cramped(model, 3 * 64)
    three = stack(3)
    three.load([start, end, start])
    plain = GroupedStack(model, 3)
    plain.load([start, end, start])
    assert errors(three, data) == pytest.approx(errors(plain, data), abs=1 / 200)
    assert three.samples_at_once == 64  # of 512
    assert [images for _, images in tried] == [200, 200, 128, 64, 64, 64, 8]


def test_what_does_not_fit_at_all_is_said(cramped):
    stack, _ = cramped(Signs(1), 0)
    data = Given(torch.randn(8, 1, 1, 1), torch.zeros(8, dtype=torch.int64))
    with pytest.raises(torch.OutOfMemoryError):
        errors(stack(2), data)
    state = Signs(1).state_dict()
    with pytest.raises(torch.OutOfMemoryError):
        along(PathStacks(stack, 11), state, state, data, MeasurementSettings())


def test_other_mistakes_are_not_tried_again(cramped):
    stack, tried = cramped(Signs(1), 0, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        errors(stack(2), Given(torch.randn(8, 1, 1, 1), torch.zeros(8, dtype=torch.int64)))
    assert len(tried) == 1


SETTINGS = {
    "old names": lambda: torch.set_float32_matmul_precision("medium"),
    "new names": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "of products": lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
    "of convolutions": lambda: setattr(torch.backends.mkldnn.conv, "fp32_precision", "bf16"),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_of_the_whole_process_does_not_round_what_is_measured(setting):
    """In training scripts one often sees them; on this kind of CPU some are bfloat16, on a GPU TensorFloat-32."""
    code = """
import torch
from trainables.tasks.evaluation import in_float32
from tests_setting import SETTING
backends = torch.backends
places = [backends.mkldnn.matmul, backends.mkldnn.conv, backends.cuda.matmul, backends.cudnn.conv]
torch.manual_seed(0)
x, layer = torch.randn(64, 512), torch.randn(512, 512)
image, conv = torch.randn(8, 16, 16, 16), torch.randn(16, 16, 3, 3)
exact = [x @ layer, torch.conv2d(image, conv)]
SETTING()
before = [place.fp32_precision for place in places]
with in_float32():
    assert all(torch.equal(a, b) for a, b in zip([x @ layer, torch.conv2d(image, conv)], exact))
    assert {place.fp32_precision for place in places} <= {"ieee", "none"}, [place.fp32_precision for place in places]
    assert backends.cuda.matmul.fp32_precision == "ieee"
after = [place.fp32_precision for place in places]
assert all(a == b or (a, b) == ("ieee", "none") for a, b in zip(after, before)), (before, after)  # the same
"""
    body = inspect.getsource(SETTINGS[setting]).partition("lambda: ")[2].rstrip().rstrip(",")
    code = code.replace("from tests_setting import SETTING", f"SETTING = lambda: {body}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Old(nn.Module):
    """Sets and reads what torch calls legacy, as published models do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, images):
        with torch.backends.cudnn.flags(benchmark=True):
            assert torch.backends.cudnn.allow_tf32 in (True, False)
            return self.conv(images).mean((2, 3))


def test_models_may_use_the_old_names_while_they_are_measured():
    data = Given(torch.randn(20, 1, 8, 8), torch.arange(20) % 2)
    assert 0 <= errors(GroupedStack(Old(), 1), data)[0] <= 1


def test_room_on_a_gpu_is_what_a_trial_may_use_of_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=16 * 2**30))
    cuda = torch.device("cuda")
    assert memory.activation_budget(cuda) == 2**30
    assert memory.activation_budget(cuda, 0.25) == 2**28
    assert memory.samples_at_once(2**28, 2**20) == 256
    assert memory.samples_at_once(2**28, 300_000) == 512
    assert memory.samples_at_once(1, 300_000) == 1
    assert [memory.models_at_once(11, 100, size) for size in (5, 20, 34, 1000)] == [11, 4, 2, 1]
