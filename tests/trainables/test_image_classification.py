import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from trainables.data import load
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.tasks import load_task, lookalike_task
from trainables.tasks.image_classification.task import ImageClassification
from trainables.tasks.random_numbers import random_stream

CPU = torch.device("cpu")
NAME = "preresnet8-w0.5"


@pytest.fixture(scope="module")
def task():
    return ImageClassification(load("digits", 0.8), CPU)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("kind", [GroupedStack, SerialStack])
def test_the_loss_of_each_model_is_the_cross_entropy_of_its_own_images(kind, smoothing, task):
    models = [task.model(NAME) for _ in range(2)]
    stack = kind(models[0], 2)
    stack.load([model.state_dict() for model in models])
    batch = next(task.batches([random_stream("a"), random_stream("b")], 32))
    assert batch.samples == 32
    losses = task.losses(stack, batch, smoothing).tolist()
    for model, images, labels, loss in zip(models, batch.inputs, batch.targets, losses, strict=True):
        expected = F.cross_entropy(model(images), labels, label_smoothing=smoothing)
        assert loss == pytest.approx(expected.item())


@pytest.mark.parametrize("samples", [7, 60, 123, 10**9])
def test_the_loss_for_pruning_rules_is_of_as_many_images_of_each_class(samples, task):
    seen = []

    def model(images):
        seen.append(images)
        return torch.zeros(len(images), 10)

    count = min(samples, 259)
    assert sum(part.item() for part in task.loss_parts(model, samples, 50)) == pytest.approx(torch.tensor(10).log())
    split = task.split("train")
    images, labels = next(split.batches(259)), split.labels.tolist()
    number = {image.numpy().tobytes(): place for place, image in enumerate(images)}
    found = [number[image.numpy().tobytes()] for image in torch.cat(seen)]
    assert len(set(found)) == len(found) == count
    for label in range(10):
        places = [place for place in range(259) if labels[place] == label]
        chosen = sorted(place for place in found if labels[place] == label)
        assert chosen == places[: len(chosen)]  # the first in the order that never changes
        assert len(chosen) in (count // 10, count // 10 + 1) or chosen == places


def test_statistics_and_outputs_are_of_training_images_in_one_order(task):
    parts = list(task.statistics_inputs(3, 100))
    assert [count for _, count in parts] == [100, 100, 59]
    images = torch.cat([own for own, _ in parts], 1)
    assert images.shape == (3, 259, 1, 8, 8)
    model = task.model(NAME)
    outputs = task.outputs(GroupedStack(model, 3), 120)
    assert outputs.shape == (3, 120, 10)
    with torch.no_grad():
        assert torch.allclose(outputs[2], model.eval()(images[2, :120]).softmax(-1), atol=1e-5)


def test_a_task_can_be_had_without_its_data():
    real, alike = load_task("digits", 0.8, CPU), lookalike_task("digits", CPU, samples=50)
    assert alike.steps_per_epoch(20) == 3
    assert real.example_inputs(4).shape == alike.example_inputs(4).shape == (4, 1, 8, 8)
    before = torch.get_rng_state()
    assert torch.equal(real.example_inputs(4), alike.example_inputs(4))
    assert torch.equal(torch.get_rng_state(), before)
    shapes = [{name: tensor.shape for name, tensor in task.model(NAME).state_dict().items()} for task in (real, alike)]
    assert shapes[0] == shapes[1]
