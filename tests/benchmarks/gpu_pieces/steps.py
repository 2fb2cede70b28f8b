"""Training steps, one case after the other."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Literal

import torch
from torch import nn
from torch.autograd import DeviceType

from gpu_pieces.session import Row, Session, memory_mib, print_table, synchronize
from trainables.data import Outline
from trainables.models import build
from trainables.pruning.magnitude import per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.stacks.stack import GroupedStack, SerialStack
from trainables.tasks.evaluation import in_float32
from trainables.tasks.image_classification.task import ImageClassification, random_images
from trainables.training.recipe import Recipe
from trainables.training.training import Training

MODELS = ("preresnet20", "vgg13", "densenet40")
WARM, PROFILED, REPEATED = 5, 3, 5
"""Steps before those that are timed, those that are profiled, and those that are done twice to compare them."""


@dataclass(frozen=True)
class Case:
    """A training step.

    Attributes:
        model: Of CIFAR-10's images.
        batch: Images of each model.
        models: In the stack; one is trained dense, several with masks of density 0.2, as dense models and siblings are.
        kind: Of the stack.
        precision: ``tf32`` is what the project calls float32 on a GPU: convolutions round to TensorFloat-32.
        layout: Of weights and images.
        cudnn: How it chooses an algorithm: by rule, by trying, or among those that repeat to the last bit.
        compiled: What of it is: nothing, the forward pass by ``torch.compile`` in one of its modes, or all of the step,
            captured as one CUDA graph with the same batch each time.
    """

    model: str = MODELS[0]
    batch: int = 64
    models: int = 3
    kind: Literal["grouped", "serial"] = "grouped"
    precision: Literal["tf32", "float32", "bfloat16"] = "tf32"
    layout: Literal["channels_last", "contiguous"] = "channels_last"
    cudnn: Literal["rule", "tried", "repeatable"] = "rule"
    compiled: Literal["no", "default", "reduce-overhead", "step"] = "no"


def cases(tiny: bool = False) -> list[Case]:
    """All cases, the most important ones first."""
    if tiny:
        small = Case("preresnet8-w0.5", 8)
        others = ({"kind": "serial"}, {"precision": "bfloat16"}, {"cudnn": "repeatable"}, {"compiled": "default"})
        return [small, replace(small, models=1), *(replace(small, **other) for other in others)]  # type: ignore[arg-type]
    stacks = [(1, "grouped"), (3, "grouped"), (3, "serial"), (9, "grouped"), (9, "serial")]
    plain = [Case(model, 64, models, kind) for model in MODELS for models, kind in stacks]  # type: ignore[arg-type]
    of_first = plain[: len(stacks)]
    wanted = plain[:3]
    wanted += [replace(case, compiled="step") for case in of_first[:4]]
    wanted += plain
    for change in (
        {"cudnn": "tried"},
        {"cudnn": "repeatable"},
        {"layout": "contiguous"},
        {"layout": "contiguous", "cudnn": "tried"},
        {"precision": "bfloat16"},
        {"precision": "float32"},
        {"batch": 128},
    ):
        wanted += [replace(case, **change) for case in of_first]  # type: ignore[arg-type]
    for compiled in ("reduce-overhead", "default"):
        wanted += [replace(case, compiled=compiled) for case in of_first[:3]]  # type: ignore[arg-type]
    wanted += [replace(case, compiled="step", precision="bfloat16") for case in of_first[:4]]
    wanted += [replace(case, compiled="step") for case in plain[len(stacks) :]]
    for batch, precision, layout in product(
        (64, 128), ("tf32", "bfloat16", "float32"), ("channels_last", "contiguous")
    ):
        wanted += [replace(case, batch=batch, precision=precision, layout=layout) for case in plain]  # type: ignore[arg-type]
    return list(dict.fromkeys(wanted))


def steps(session: Session) -> None:
    """Measure all cases that are not there yet; what is compiled or captured in a process of its own."""
    if session.case is not None:
        _measure(session, Case(**json.loads(session.case)))
        return
    for case in cases(session.tiny):
        if session.left < 5:
            print("No time left; the same command goes on.")
            break
        if session.has("steps", asdict(case)):
            continue
        if case.compiled == "no":
            _measure(session, case)
            continue
        process = session.start("steps", asdict(case))
        try:
            said, _ = process.communicate(timeout=max(session.left - 3, 1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            break  # it is tried again with more time
        if not session.has("steps", asdict(case)):
            session.append("steps", asdict(case) | {"problem": said[-400:]})
    columns = ["model", "batch", "models", "kind", "precision", "layout", "cudnn", "compiled"]
    print_table(session.rows("steps"), [*columns, "ms", "busy_ms", "kernels", "mib", "repeats", "problem"])


def _measure(session: Session, case: Case) -> None:
    try:
        row = measured(case, session.place, 4 if session.tiny else 20)
    except Exception as error:  # what one case cannot do, others perhaps can
        row = {"problem": f"{type(error).__name__}: {error}"[:400]}
        if isinstance(error, torch.AcceleratorError):  # this process can use the GPU no more
            session.append("steps", asdict(case) | row)
            raise
    session.append("steps", asdict(case) | row)
    print(json.dumps(asdict(case) | row), flush=True)


def measured(case: Case, device: torch.device, timed: int) -> Row:
    """Milliseconds of a step and what it consists of.

    Args:
        case: The step.
        device: Where.
        timed: Steps over which the time is taken.
    """
    images = random_images(Outline(0, 0, 32, 32, 3, 10), case.batch * (WARM + timed + PROFILED + 2))
    task = ImageClassification(images, device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with settings(case):
        step = _step(case, training_of(case, task))
        for _ in range(WARM):
            step()
        synchronize(device)
        started = time.perf_counter()
        for _ in range(timed):
            step()
        synchronize(device)
        row: Row = {"ms": 1000 * (time.perf_counter() - started) / timed, "mib": memory_mib(device)}
        row |= profiled(step, device)
        if case.compiled == "no":
            row["repeats"] = repeats(case, task)
    return row


def training_of(case: Case, task: ImageClassification) -> Training:
    """A training at its beginning."""
    torch.manual_seed(0)
    plain = build(case.model, 3, 10)
    masks = per_layer(prunable_weights(plain), 0.2) if case.models > 1 else None
    kind = {"grouped": GroupedStack, "serial": SerialStack}[case.kind]
    layout = torch.channels_last if case.layout == "channels_last" else torch.contiguous_format
    stack = kind(plain, case.models, layout).to(task.device)
    if case.compiled in ("default", "reduce-overhead"):
        parts: list[nn.Module] = [stack.module] if case.kind == "grouped" else list(stack.module.children())
        for part in parts:
            part.compile(mode=case.compiled)
    precision = "bfloat16" if case.precision == "bfloat16" else "float32"
    recipe = Recipe(batch_size=case.batch, precision=precision)  # type: ignore[arg-type]
    stack.train()
    return Training(stack, recipe, task, [("retrain", seed) for seed in range(case.models)], masks)


@contextlib.contextmanager
def settings(case: Case) -> Iterator[None]:
    """What cuDNN may do."""
    cudnn = torch.backends.cudnn
    with contextlib.ExitStack() as stack:
        if case.precision == "float32":
            stack.enter_context(in_float32())
        stack.callback(setattr, cudnn, "benchmark", cudnn.benchmark)
        stack.callback(setattr, cudnn, "deterministic", cudnn.deterministic)
        cudnn.benchmark, cudnn.deterministic = case.cudnn == "tried", case.cudnn == "repeatable"
        yield


def batches_without_end(training: Training) -> Iterator[Any]:
    """Epoch after epoch."""
    streams = [torch.Generator().manual_seed(seed) for seed in range(training.stack.models)]
    while True:
        yield from training.task.batches(streams, training.recipe.batch_size, drop_last=True)


def _step(case: Case, training: Training) -> Callable[[], object]:
    batches = batches_without_end(training)
    if case.compiled != "step":
        return lambda: training._step(next(batches))
    batch = next(batches)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            training._step(batch)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training._step(batch)
    return graph.replay


def profiled(step: Callable[[], object], device: torch.device) -> Row:
    """Kernels of a step, copies included, and milliseconds that the GPU is busy with them; nothing on a CPU."""
    if device.type != "cuda":
        return {"kernels": 0.0, "busy_ms": 0.0}
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(PROFILED):
            step()
        synchronize(device)
    kernels = [event for event in profile.key_averages() if event.device_type == DeviceType.CUDA]
    return {
        "kernels": sum(event.count for event in kernels) / PROFILED,
        "busy_ms": sum(event.self_device_time_total for event in kernels) / PROFILED / 1000,
    }


def repeats(case: Case, task: ImageClassification) -> bool:
    """Whether a few steps, done twice, give the same weights to the last bit."""
    found = []
    for _ in range(2):
        training = training_of(case, task)
        batches = batches_without_end(training)
        for _ in range(REPEATED):
            training._step(next(batches))
        found.append(training.stack.module.state_dict())
    return all(map(torch.equal, found[0].values(), found[1].values()))
