"""What measuring a pair of siblings takes."""

import time

from gpu_pieces.session import Session, memory_mib, print_table, synchronize
from trainables.data import Outline
from trainables.measuring.metric import Models
from trainables.measuring.registry import METRICS
from trainables.measuring.settings import MeasurementSettings
from trainables.stacks.memory import activation_budget
from trainables.tasks.image_classification.task import ImageClassification, random_images


def measuring(session: Session) -> None:
    """Microseconds of each metric an image and pair, of errors an image and model, in the stacks that are chosen."""
    device, images = session.place, 64 if session.tiny else 12_800
    task = ImageClassification(
        random_images(Outline(0, 0, 32, 32, 3, 10), images), device, activation_budget(device, 1 / 8)
    )
    for name in ("preresnet8-w0.5",) if session.tiny else ("preresnet20", "vgg13", "densenet40"):
        if session.left < 20 or session.has("measuring", {"model": name}):
            continue
        states = [{key: tensor.cpu() for key, tensor in task.stack(name, 1).states()[0].items()} for _ in range(2)]
        models, settings = Models(name, states, task), MeasurementSettings(cka_images=images)
        row = {"model": name, "kind": type(task.stack(name, 3)).__name__}
        for metric in METRICS.values():
            for _ in range(1 if session.tiny else 2):  # the second time counts
                synchronize(device)
                started = time.perf_counter()
                list(metric.measure(models, [(0, 1)], settings))
                synchronize(device)
            row[f"{metric.name}_us"] = 1e6 * (time.perf_counter() - started) / images
        stack = task.stack(name, 3)
        for _ in range(2):
            started = time.perf_counter()
            task.errors(stack, "train")
        row["errors_us"] = 1e6 * (time.perf_counter() - started) / images / 3
        session.append("measuring", row | {"mib": memory_mib(device)})
    print_table(session.rows("measuring"), ["model", "kind", "lmc_us", "cka_us", "errors_us", "mib"])
