"""What is done before anything trains, so that mistakes are told at once: names tied to contents, models tried."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import trainables.data
import trainables.models
from sweeps.errors import UsageError
from sweeps.spec import SweepSpec
from trainables.stages import PointStage


def pinned(spec: SweepSpec) -> SweepSpec:
    """Tie a user's own data file and model to what they hold now.

    Raises:
        UsageError: If they are not there.
    """
    with _told():
        return replace(spec, data=trainables.data.pin(spec.data), model=trainables.models.pin(spec.model))


def check_data_and_models(points: Sequence[PointStage], data_folder: str) -> None:
    """Fetch the data, if need be, and try every model of these points on it.

    Raises:
        UsageError: If the data cannot be used, or a model not with it.
    """
    from trainables.fit import check_fit  # imports torch

    runs = {stage.point.dense for stage in points}
    with _told():
        for what in {(run.data, run.validation_fraction) for run in runs}:
            data = trainables.data.load(*what, data_folder)
            for model in sorted({run.model for run in runs if (run.data, run.validation_fraction) == what}):
                check_fit(model, data)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{error}.") from None
