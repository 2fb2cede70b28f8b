"""Whole points as published code does them, and as this service does: ``python tests/benchmarks/reference.py``.

A point is one dense model pruned to a density, siblings retrained from it, and all their pairs measured (LMC, CKA).
Side by side, part by part and turn by turn, so that a noisy machine disturbs both alike:

- published (``published_way.py``): one process and all cores, a DataLoader with images through PIL, float32, the test
  set after every epoch, siblings, pairs and positions of a path one after the other;
- here (``service_way.py``): the stages of this service, without Ray, in as many processes of one thread as there are
  cores, each with a point of its own; the time of a point is the time that passes, over the number of points.

The case ``digits`` runs points outright. Of the others parts are timed, on few images: an epoch of training, an
evaluation of the test set, a path between two siblings, their similarity. The time of a whole point at the recipe of
``paper-epochs`` is these, each times how often it occurs for all images, epochs, siblings and pairs; printed with the
rest. Reading, pruning and writing models is left out there. The dense model is untrained.

The limit is what a point's operations would take at the fastest rate of large products of matrices in the run, by as
many processes at once: three forward passes for a training step, one for each image otherwise; training in the
precision of its row, all else in float32; pruned weights count, although here a CPU may leave them out.

Seconds, their ratio and the share of measuring are medians over the turns. On a machine with other programs trust the
ratio "of fastest": each part, both ways, in its fastest turn. The share of the limit is of these, too.

Before that it is checked that both ways compute the same: path, LMC and CKA of the same siblings, and the losses of a
short training of whole batches, not augmented, from the same weights. If they do not, the command ends with 1. Data
are those in the folder (files of torchvision, or ``cifar10.npz``); where it has none images are made up, and the output
says so.
"""

import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from arithmetic_limit import TRAINING, forward_operations, synchronize
from published_way import PublishedWay, connectivity
from reference_case import CASES, OF_MEASURING, OF_TRAINING, SHORT_EPOCHS, Case, Work, whole_batch_work, work_of
from service_way import Workers

from sweeps.running.options import machine_cores
from trainables.data import CACHE, outline
from trainables.kernels.native import processor
from trainables.models import build
from trainables.tasks.evaluation import in_float32
from trainables.training.recipe import Precision

Seconds = dict[str, float]
"""Of each part that was timed."""

IN_PRECISION = ("retraining", "epoch")
"""Parts that are of a row's precision; all else is float32."""

WHOLE_BATCH = 128
"""Images of the training whose losses are compared."""

IMAGES_ON_GPU = 8192
"""Of which the parts are timed there, unless told otherwise."""

IMAGES_ROUNDED, CLOSE = 2, 1e-3
"""Rounding may give so many images of a path another class, and change CKA, and losses relatively, by so much."""


@dataclass(frozen=True)
class Options:
    """What is measured, and where."""

    cases: Annotated[tuple[Literal[tuple(CASES)], ...], tyro.conf.Positional] = tuple(CASES)  # type: ignore[valid-type]
    """All, if none is named."""

    turns: int = 3
    """Each way is measured so often."""

    precision: tuple[Precision, ...] = ("float32",)
    """Of the service's training; a row for each."""

    train_images: int | None = None
    """Of which parts are timed; 512 or fewer by the model's size, 8192 on a GPU."""

    siblings: int = 3
    """Retrained from each pruned model."""

    density: float = 0.1
    """Of the pruned models."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where models are; on a GPU each way is one process."""

    loader_processes: int | None = None
    """Of a DataLoader of the published way; 2, or 8 for a GPU, but no more than there are cores."""

    json: Path | None = None
    """File for the same numbers, with those of every turn."""

    data_folder: str = os.environ.get("THREE_REGIME_SWEEPS_DATA", CACHE)
    """Folder of the data sets; THREE_REGIME_SWEEPS_DATA sets the default."""


def hardware(device: torch.device) -> str:
    """Name of the processor, or of the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor()


def header(options: Options) -> dict[str, Any]:
    """What the numbers are of."""
    device, cores = torch.device(options.device), machine_cores()
    loaders = min(2 if options.device == "cpu" else 8, cores)
    if options.loader_processes is not None:
        loaders = options.loader_processes
    used = {"cores": cores, "processes": cores if options.device == "cpu" else 1}
    used |= {"threads": torch.get_num_threads(), "loader_processes": loaders}
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    busy = {"load": os.getloadavg()[0]} if hasattr(os, "getloadavg") else {}
    return {"hardware": hardware(device), **used, **busy, **versions, "turns": options.turns}


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - started


def checks(published: PublishedWay, here: Workers, work: Work, folder: Path) -> dict[str, Any]:
    """What both ways give for the same models, and whether it agrees."""
    few = whole_batch_work(work, WHOLE_BATCH, folder)
    own_losses, own_errors = here.each("whole_batch_losses", WHOLE_BATCH)[0], here.each("path")[0]
    (losses,) = published.on(few).retraining(SHORT_EPOCHS)
    with in_float32():  # as the service measures; on a GPU the published way would round to fewer digits
        errors, similarities = published.path(), published.similarity()
    found: dict[str, Any] = {
        "path": [errors, own_errors],
        "lmc": [connectivity(errors), connectivity(own_errors)],
        "cka": [similarities[0], here.each("similarity")[0][0]],
        "losses": [losses, own_losses],
    }
    rounded = IMAGES_ROUNDED / work.sizes(whole=False)[0] + 1e-6
    agree = all(abs(a - b) <= rounded for a, b in zip(errors, own_errors, strict=True))
    agree &= all(abs(a - b) <= CLOSE * abs(a) for a, b in zip(losses, own_losses, strict=True))
    agree &= abs(similarities[0] - found["cka"][1]) <= CLOSE
    return found | {"agree": agree}


def turn(published: PublishedWay, here: Workers, work: Work, options: Options) -> dict[str, Any]:
    """Seconds of all parts both ways, one part after the other, and rates of products of matrices."""
    device = torch.device(options.device)
    of_published: Seconds = {}
    of_here: dict[str, Seconds] = {precision: {} for precision in options.precision}
    for part in work.times_published():
        of_published[part] = timed(getattr(published, part), device)
        if part in IN_PRECISION:
            for precision, seconds in of_here.items():
                seconds[part] = timed(partial(here.each, part, precision), device)
        else:
            own = timed(partial(here.each, part), device)
            for seconds in of_here.values():
                seconds[part] = own
    rates = {precision: sum(here.each("products_rate", precision)) for precision in {"float32", *options.precision}}
    return {"published": of_published, "here": of_here, "rates": rates}


def fastest(turns: list[Seconds]) -> Seconds:
    """Each part as it was in its fastest turn: other programs make none faster."""
    return {part: min(each[part] for each in turns) for part in turns[0]}


def total(seconds: Seconds, times: Mapping[str, float], parts: tuple[str, ...] = OF_TRAINING + OF_MEASURING) -> float:
    """Seconds of a whole point, or of these parts of it."""
    return sum(seconds[part] * times[part] for part in parts if part in seconds)


def row(name: str, work: Work, precision: Precision, turns: list[dict[str, Any]], processes: int) -> dict[str, Any]:
    """A row of the table: medians over the turns, and what they were."""
    times = {"published": work.times_published(), "here": work.times_here(processes)}
    like = outline(work.data)
    image = torch.zeros(1, like.channels, like.height, like.width)
    operations = forward_operations(build(work.case.model, like.channels, like.classes), image)
    trained, others = (operations * images for images in work.images())
    rates = {kind: max(each["rates"][kind] for each in turns) for kind in turns[0]["rates"]}
    limit = TRAINING * trained / rates[precision] + others / rates["float32"]
    columns: dict[str, list[float]] = {}
    for each in turns:
        published, own = each["published"], each["here"][precision]
        here = total(own, times["here"])
        measuring = total(own, times["here"], OF_MEASURING)
        values = {"published_seconds": total(published, times["published"]), "here_seconds": here}
        values |= {"measuring_share": measuring / here, "ratio": values["published_seconds"] / here}
        for column, value in values.items():
            columns.setdefault(column, []).append(value)
    medians = {column: statistics.median(values) for column, values in columns.items()}
    least_published = total(fastest([each["published"] for each in turns]), times["published"])
    least_here = total(fastest([each["here"][precision] for each in turns]), times["here"])
    least = {"ratio_of_fastest": least_published / least_here, "share_of_limit": limit / least_here}
    about = {"case": name, "model": work.case.model, "data": work.case.data, "real_data": work.real}
    about |= {"outright": work.case.images is None, "precision": precision, "siblings": work.siblings}
    about |= {"timed_images": work.sizes(whole=False)[0], "limit_seconds": limit}
    return about | medians | least | {"of_turns": columns, "times": times, "seconds": turns}


def printed(row: Mapping[str, Any]) -> str:
    """A row as a line."""
    ratios = row["of_turns"]["ratio"]
    spread = f"{row['ratio']:.1f} ({min(ratios):.1f} to {max(ratios):.1f}, n = {len(ratios)})"
    return (
        f"{row['case']:24}{row['precision']:10}{row['published_seconds']:14.4g}{row['here_seconds']:12.4g}  {spread:32}"
        f"{row['ratio_of_fastest']:10.1f}{row['share_of_limit']:16.3f}{100 * row['measuring_share']:12.1f} %"
    )


HEADINGS = (
    f"{'case':24}{'precision':10}{'published, s':>14}{'here, s':>12}  {'published / here':32}"
    f"{'of fastest':>10}{'share of limit':>16}{'measuring':>14}"
)


def measure(
    name: str, case: Case, options: Options, told: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of a case, and what was checked."""
    device, processes = torch.device(options.device), told["processes"]
    with tempfile.TemporaryDirectory() as folder:
        work = work_of(case, Path(folder), options.data_folder, options.siblings, options.density)
        print(about(name, work, processes), flush=True)
        with Workers(processes, work, options.precision, Path(folder), device) as here:
            dense, siblings = here.each("models")[0]
            published = PublishedWay(work, dense, siblings, device, told["loader_processes"])
            published.warm_up()
            checked = checks(published, here, work, Path(folder))
            print(agreement(checked), flush=True)
            turns = [turn(published, here, work, options) for _ in range(options.turns)]
    return [row(name, work, precision, turns, processes) for precision in options.precision], checked


def about(name: str, work: Work, processes: int) -> str:
    """What is measured, and what is multiplied."""
    made_up = "" if work.real else ", made up: there are none in the data folder"
    said = f"{name}: {work.case.model}, images of {work.case.data}{made_up}"
    if work.case.images is None:
        return f"{said}; whole points of {work.recipe.epochs} epochs"
    train, _, test, _ = work.sizes(whole=False)
    parts = [
        f"  {way}: " + " + ".join(f"{each:,.4g} x {part}" for part, each in times.items())
        for way, times in (("published", work.times_published()), ("here", work.times_here(processes)))
    ]
    timed_on = f"parts timed on {train} training and {test} test images; a whole point is taken as"
    return "\n".join([f"{said}; {timed_on}", *parts])


def agreement(checked: Mapping[str, Any]) -> str:
    """What was checked, for a person."""
    values = ", ".join(f"{name.upper()} {checked[name][0]:.6f} and {checked[name][1]:.6f}" for name in ("lmc", "cka"))
    losses = " and ".join(f"{own[-1]:.6f}" for own in checked["losses"])
    said = "the ways agree" if checked["agree"] else "THE WAYS DO NOT AGREE"
    return f"  {said}: {values} of the same siblings, loss {losses} after {SHORT_EPOCHS} whole batches"


def main() -> None:
    """Run the benchmark."""
    options = tyro.cli(Options, description=__doc__, config=(tyro.conf.OmitSubcommandPrefixes,))
    told = header(options)
    print(
        f"{told['hardware']}, {told['cores']} cores (load of other programs {told.get('load', math.nan):.1f}), "
        f"Python {told['python']}, torch {told['torch']}, {options.turns} turns; "
        f"published: {told['threads']} threads and {told['loader_processes']} processes that load, "
        f"here: {told['processes']} processes"
    )
    rows, checked = [], {}
    for name in options.cases:
        case: Case = CASES[name]
        if case.images is not None:
            usual = case.images if options.device == "cpu" else IMAGES_ON_GPU
            case = replace(case, images=options.train_images or usual)
        own, checked[name] = measure(name, case, options, told)
        rows += own
    print("\n" + "\n".join([HEADINGS, *map(printed, rows)]))
    if options.json:
        options.json.write_text(json.dumps(told | {"rows": rows, "checks": checked}, indent=1))
    if not all(own["agree"] for own in checked.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
