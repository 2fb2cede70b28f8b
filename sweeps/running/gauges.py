"""What a sweep shows in Ray's Prometheus export, all of it from the driver's process."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge

from sweeps.running.progress import SweepProgress
from trainables.stages import PointStage, Stage

LATEST_POINTS = 200
"""Finished points whose figures are still exported; those of all points are in the tables."""

_POINT = ("temperature_axis", "temperature", "load_axis", "load", "dense_seed")


class SweepGauges:
    """Gauges and counters of a sweep, of which Ray exports each as ``ray_<name>``.

    Ray forgets the values of a gauge that are not set again, so :meth:`show` sets all that still hold.
    """

    def __init__(self) -> None:
        self._points = Gauge("three_regime_points", "Points by state", ("state",))
        self._error = Gauge("three_regime_test_error", "Test error of the point, in [0, 1]", _POINT)
        self._lmc = Gauge("three_regime_lmc", "Linear mode connectivity of the point, negative for a barrier", _POINT)
        self._rate = Gauge("three_regime_images_per_second", "Images that all trials train on, counted for each model")
        self._images = Counter("three_regime_images", "Images trained on")
        self._busy = Counter("three_regime_busy_seconds", "Time in which trials worked")
        self._idle = Counter("three_regime_idle_seconds", "Time in which trials waited for work")
        self._latest: deque[tuple[PointStage, float, float]] = deque(maxlen=LATEST_POINTS)
        self._current: dict[PointStage, float] = {}
        self._new_images = 0.0

    def reported(self, stage: Stage, result: Mapping[str, Any]) -> None:
        """Take what a trial told."""
        images = result.get("images", 0)
        self._new_images += images
        for counter, value in (
            (self._images, images),
            (self._busy, result.get("busy_seconds", 0.0)),
            (self._idle, result.get("idle_seconds", 0.0)),
        ):
            if value > 0:
                counter.inc(value)
        if isinstance(stage, PointStage):
            error = result.get("test_error", math.nan)
            if result.get("outcome") == "running":
                self._current[stage] = error
            else:
                self._current.pop(stage, None)
                self._latest.append((stage, error, result.get("lmc", math.nan)))

    def show(self, progress: SweepProgress, seconds: float) -> None:
        """Set what holds now, so many seconds after the last time."""
        for state, points in progress.states.items():
            self._points.set(points, {"state": state})
        self._rate.set(self._new_images / seconds)
        self._new_images = 0.0
        running = [(stage, error, math.nan) for stage, error in dict(self._current).items()]
        for stage, error, lmc in (*list(self._latest), *running):
            label = stage.label
            values = (label.temperature_axis, f"{label.temperature:g}", label.load_axis, f"{label.load:g}")
            tags = dict(zip(_POINT, (*values, str(stage.point.dense.seed)), strict=True))
            for gauge, value in ((self._error, error), (self._lmc, lmc)):
                if not math.isnan(value):
                    gauge.set(value, tags)
