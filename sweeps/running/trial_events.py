"""What Ray Tune tells a callback and no search algorithm: which stages began, and why trials died."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune

from sweeps.running.progress import SweepProgress

DEATH = re.compile(
    r"^(?:[\w.]+(?:Error|Exception)\b.*|(?:The actor (?:is dead|died) because|Task was killed) [^.\n]*)", re.MULTILINE
)
"""Where a traceback, or Ray, says what a trial died of."""

NO_RESULT = "the trial ended without a result: its worker or node died, or its results could not be written"


class TrialEvents(tune.Callback):
    """What a search algorithm is not told: which stages began, and why trials died."""

    def __init__(self, progress: SweepProgress, died: Callable[[str, str, str, str], None]) -> None:
        self._progress, self._died = progress, died
        self._workers: dict[str, Any] = {}
        self._places: dict[Any, tuple[str, str]] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Show that a stage runs, and note which worker has it."""
        self._progress.running(trial.config["stage"], 0.0)
        self._workers[trial.trial_id] = getattr(trial.temporary_state.ray_actor, "_actor_id", None)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note where a worker is, and let go of the copy of the settings that it sent back."""
        result.pop("config", None)
        if result.get("node"):
            self._places[self._workers.get(trial.trial_id)] = result["node"], result["host"]

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Forget a trial; Tune, which keeps it, is left without its statistics of each number that it ever told."""
        self._workers.pop(trial.trial_id, None)
        for statistics in trial.metric_analysis, trial.metric_n_steps:
            statistics.clear()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell the searcher which node a worker died on, if it ever said where it was."""
        node, host = self._places.get(self._workers.pop(trial.trial_id, None), ("", ""))
        self._died(trial.trial_id, _why_it_died(trial), node, host)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, as of the searcher."""
        return {}


def _why_it_died(trial: Any) -> str:
    """The last that a trial, or Ray, had to say of its last attempt."""
    try:
        attempts = Path(trial.error_file).read_text()
    except (OSError, TypeError):
        return NO_RESULT
    told = DEATH.findall(attempts.rpartition("Failure # ")[2])
    return f"the trial died: {told[-1]}" if told else NO_RESULT
