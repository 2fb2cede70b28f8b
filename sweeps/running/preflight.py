"""What is done before anything trains, so that mistakes are told at once: names tied to contents, models tried."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import trainables.data
import trainables.models
import trainables.pruning
from sweeps.results.store import Store
from sweeps.running.options import RunOptions, SweepOptions
from sweeps.running.precision import AUTO, resolved_precision
from sweeps.spec.checks import check_values, require
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from sweeps.spec.spec import SweepSpec
from trainables.data import CACHE, Augmentation
from trainables.functions import is_function, pin
from trainables.stages import MeasurementSettings, PointStage, PruningRun, PruningStage
from trainables.training.recipe import Recipe

C = TypeVar("C", bound=SweepOptions)

LOOKALIKES = 64
"""Random images on which a pruning method is tried."""


def pinned(spec: SweepSpec, data_folder: str = CACHE) -> SweepSpec:
    """Tie a user's own data, model and functions to what they hold now.

    Args:
        spec: The sweep.
        data_folder: Where images that must be decoded for it are kept.

    Raises:
        UsageError: If they are not there.
    """
    check_values({"image_size": spec.image_size}, "")
    with as_usage_errors():
        return replace(
            spec,
            data=trainables.data.pin(spec.data, data_folder, spec.image_size),
            model=trainables.models.pin(spec.model),
            augmentation=_pinned_function(spec.augmentation, "augmentation"),
            loss=spec.loss and _pinned_function(spec.loss, "loss"),
            pruner=trainables.pruning.pin(spec.pruner),
        )


def checked(options: C) -> C:
    """Options whose data and model are tied to what they hold now, and that can work.

    Raises:
        UsageError: If they cannot.
    """
    spec = pinned(options.spec, options.run.data_folder)
    spec.check()
    options.run.check()
    _check_neighbours(spec, options.run.dimension_neighbours)
    with as_usage_errors():
        for data in spec.data_names:
            trainables.data.pin(data)  # as it is; whether it has this dimension
    if spec.precision == AUTO:
        with as_usage_errors():
            spec = replace(spec, precision=resolved_precision(spec, options.store, options.run))
    _say_what_changed(spec, options.store)
    return replace(options, spec=spec)


def _check_neighbours(spec: SweepSpec, neighbours: int | None) -> None:
    """Raise UsageError if more neighbours of an image are asked for than there are; the default takes what it gets."""
    rule = "sentences are given no dimension; leave it out"
    require(neighbours is None or not trainables.data.is_text(spec.data), "--dimension-neighbours", neighbours, rule)
    images = min(trainables.data.training_samples(data, spec.validation_fraction) for data in spec.data_names)
    rule = f"it is below the number of training images, {images}"
    require(neighbours is None or neighbours < images, "--dimension-neighbours", neighbours, rule)


def _say_what_changed(spec: SweepSpec, store: Store) -> None:
    """Tell a person if a file or function of theirs is not what it was in the latest sweep: nothing stored is used."""
    names = [name for name in ("data", "model", "augmentation", "loss", "pruner") if "#" in str(getattr(spec, name))]
    try:
        before = store.spec() if names or spec.pruning_end is not None else spec
    except UsageError:
        return
    for name in names:
        both = (trainables.data.without_suffixes(str(getattr(each, name))) for each in (spec, before))
        (now, _, own), (then, _, other) = (each.rpartition("#") for each in both)
        if now == then and own != other:
            said = "these are other points; those of before stay"
            print(f"Note: {now} is not what it was in the latest sweep in {store.folder}, so {said}.", flush=True)
    end, other_end = spec.pruning_end, before.pruning_end
    if before.pruner == spec.pruner and end is not None and other_end is not None and end != other_end:
        said = f"{spec.pruner} ends with density {end:g}, and in the latest sweep with {other_end:g}"
        goes_on = f"; --prune-to {other_end:g} goes on from those" if end > other_end else ""
        print(f"Note: {said}, so these are other points{goes_on}.", flush=True)


def check_before(
    points: Sequence[PointStage], measurement: MeasurementSettings, options: RunOptions
) -> Callable[[], None]:
    """Check models and data before a sweep, or give what does so for a Ray of one's own to start meanwhile.

    What a preset has does not fail, but for a library that is broken here, and takes a second or two. All else is tried
    at once, before anything is written.

    Raises:
        UsageError: As of :func:`check_models` and :func:`check_data`; what is given, too.
    """

    def checks() -> None:
        check_models(points, measurement)
        check_data(points, options.data_folder)

    presets = {(preset.model, preset.data) for preset in PRESETS.values()}
    known = all((stage.run.model, stage.run.data) in presets and not stage.functions for stage in points)
    if options.address is None and known:
        return checks
    checks()
    return lambda: None


def check_models(points: Sequence[PointStage], measurement: MeasurementSettings) -> None:
    """Try every model of these points, and the user's own functions, on images of the data's shape.

    Of named data sets that is known without them.

    Raises:
        UsageError: If a model does not suit the data, or a function does not do what is asked of it.
    """
    import torch

    from trainables.suitability import check_suitable
    from trainables.tasks import lookalike_task

    smallest: dict[tuple[str, str, Augmentation, str | None], int] = {}
    for point in (stage.point for stage in points):
        run = point.dense
        images = trainables.data.training_samples(run.data, run.validation_fraction)
        statistics = images % measurement.batch_norm_batch_size or measurement.batch_norm_batch_size
        batch = min(statistics, _smallest_batch(run.recipe, images), _smallest_batch(point.retrain, images), images)
        key = run.model, run.data, run.augmentation, run.loss
        smallest[key] = min(batch, smallest.get(key, batch))
    with as_usage_errors():
        for (model, data, augmentation, loss), batch in smallest.items():
            task = lookalike_task(data, torch.device("cpu"), augmentation=augmentation, loss=loss)
            check_suitable(model, task, batch)
        option = "" if any(stage.label.variant for stage in points) else "--pruner "  # which studies do not have
        for pruning in _prunings(points):
            with _of_pruner(option, pruning.pruning.pruner):
                pruning.check(lookalike_task(pruning.run.data, torch.device("cpu"), LOOKALIKES, loss=pruning.run.loss))


@contextmanager
def _of_pruner(option: str, name: str) -> Iterator[None]:
    """Have sentences begin with the option that named a rule; those of users' own begin with the function."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error) if is_function(name) else f"{option}{name}: {error}") from None


def _prunings(points: Sequence[PointStage]) -> list[PruningStage]:
    """What prunes these points, by a method: of each model and pruner once, to all densities."""
    densities: dict[tuple[str, str, str], set[float]] = {}
    found: dict[tuple[str, str, str], PruningRun] = {}
    for point in (stage.point for stage in points):
        if point.pruning is not None:
            key = point.dense.model, point.dense.data, point.pruner
            found[key] = point.pruning
            densities.setdefault(key, set()).add(point.density)
    return [PruningStage(found[key], ()).with_parts(own) for key, own in densities.items()]


def check_data(points: Sequence[PointStage], data_folder: str) -> None:
    """Fetch the data, if need be.

    Raises:
        UsageError: If the data cannot be used, or not in batches of the size that is asked for.
    """
    with as_usage_errors():
        smallest = {
            data: trainables.data.check_loadable(data, data_folder)
            for data in {stage.point.dense.data for stage in points}
        }
    for point in (stage.point for stage in points):
        least = smallest[point.dense.data]
        rule = f"it counts tokens, and the longest training pair has {least} on one side; take as many or more"
        for option, recipe in (("--batch-size", point.dense.recipe), ("--retrain-batch-size", point.retrain)):
            require(recipe.batch_size >= least, option, recipe.batch_size, rule)


def _pinned_function(name: str, purpose: str) -> str:
    """Tie a user's own function to its source; other names stay as they are."""
    return pin(name, purpose) if is_function(name) else name


def _smallest_batch(recipe: Recipe, images: int) -> int:
    """Images in the smallest batch of an epoch."""
    return recipe.batch_size if recipe.iterations is not None else images % recipe.batch_size or recipe.batch_size


@contextmanager
def as_usage_errors() -> Iterator[None]:
    """Turn what is wrong with a name or a file into a UsageError."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{error}.") from None
