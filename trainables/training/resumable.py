"""A training that goes on where an earlier one ended, however that ended."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from trainables.storage import artifacts
from trainables.storage.folder import OF_STORAGE, Folder
from trainables.training.progress import Progress
from trainables.training.training import Training

SAVING_SHARE = 1 / 20
"""Of the time of a training, checkpoints take so much at most; those of large models are written more rarely."""


class ResumableTraining:
    """A training with what is noted while it runs, kept in a file so that a later one goes on from it.

    Args:
        training: At its beginning.
        folder: Where the file is.
        name: Of the file.
        checkpoint_seconds: A training that was started anew repeats at most about so much; more where saving takes so
            long that it would cost more than :data:`SAVING_SHARE` of the time.

    Attributes:
        seconds: That were spent so far, in all attempts.
        losses: Mean training loss of every model, for each epoch.
        validation_errors: Of every model, for each epoch after which they were evaluated.
        test_errors: Likewise.
    """

    def __init__(self, training: Training, folder: Folder, name: str, checkpoint_seconds: float) -> None:
        self.training, self._folder, self._name = training, folder, name
        self._checkpoint_seconds = checkpoint_seconds
        self.seconds, self._saving = 0.0, 0.0
        self.losses: list[list[float]] = []
        self.validation_errors: list[list[float]] = []
        self.test_errors: list[list[float]] = []

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs."""
        return {
            "training": self.training.state_dict(),
            "seconds": self.seconds,
            "losses": self.losses,
            "validation_errors": self.validation_errors,
            "test_errors": self.test_errors,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` gave."""
        self.training.load_state_dict(state["training"])
        self.seconds = state["seconds"]
        self.losses = list(state["losses"])
        self.validation_errors, self.test_errors = list(state["validation_errors"]), list(state["test_errors"])

    def run(self, until: int, evaluate_from: int) -> Iterator[Progress]:
        """Train until so many epochs are done or all models diverged, evaluating after the later epochs.

        The file is written now and then, and when this is closed before its end.
        """
        state = artifacts.load(self._folder, self._name)
        if state and self.training.epoch < state["training"]["epoch"] <= until:
            self.load_state_dict(state)
        since_saved = 0.0
        while self.training.epoch < until and not all(self.training.diverged):
            started = time.perf_counter()
            self.training.run_epoch()
            self.losses.append(self.training.losses)
            test_error = math.nan
            if self.training.epoch > evaluate_from:
                self.validation_errors.append(self.training.task.errors(self.training.stack, "validation"))
                self.test_errors.append(self.training.task.errors(self.training.stack, "test"))
                test_error = sum(self.test_errors[-1]) / len(self.test_errors[-1])
            taken = time.perf_counter() - started
            self.seconds += taken
            since_saved += taken
            if since_saved > max(self._checkpoint_seconds, self._saving / SAVING_SHARE):
                self._save()
                since_saved = 0.0
            try:
                yield Progress(self.training.epoch, self.training.recipe.epochs, self.training.samples, test_error)
            except GeneratorExit:
                self._save()
                raise

    def _save(self) -> None:
        started = time.perf_counter()
        try:
            artifacts.save(self._folder, self._name, self.state_dict())
        except OSError as error:
            if not getattr(error, OF_STORAGE, False):
                raise
            return  # the training need not end for it: there will be another checkpoint
        self._saving = time.perf_counter() - started

    def finished(self) -> None:
        """Remove the file: the result is kept elsewhere now."""
        with suppress(OSError):  # it does no harm
            self._folder.delete(self._name)
