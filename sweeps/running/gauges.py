"""What a sweep shows in Ray's Prometheus export, all of it from the driver's process."""

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge

from sweeps.running.progress import SweepProgress
from trainables.stages import Stage

LATEST_POINTS = 200
"""Points whose figures are still exported, the latest; those of all points are in the tables."""

_POINT = ("temperature_axis", "temperature", "load_axis", "load", "dense_seed")


class SweepGauges:
    """Gauges and counters of a sweep, of which Ray exports each as ``ray_<name>``.

    Ray forgets the values of a gauge that are not set again, so :meth:`show` sets all that still hold.
    """

    def __init__(self) -> None:
        self._points = Gauge("three_regime_points", "Points by state", ("state",))
        self._error = Gauge("three_regime_test_error", "Test error of the point, in [0, 1]", _POINT)
        self._lmc = Gauge("three_regime_lmc", "Linear mode connectivity of the point, negative for a barrier", _POINT)
        samples = "Images, or pairs of sentences,"
        self._rate = Gauge("three_regime_images_per_second", f"{samples} that all trials train on, for each model")
        self._images = Counter("three_regime_images", f"{samples} trained on")
        self._busy = Counter("three_regime_busy_seconds", "Time in which trials worked")
        self._idle = Counter("three_regime_idle_seconds", "Time in which trials waited for work")
        self._latest: OrderedDict[tuple[str, ...], dict[str, float]] = OrderedDict()
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
        if (label := stage.label) is not None:
            place = (label.temperature_axis, f"{label.temperature:g}", label.load_axis, f"{label.load:g}")
            known = self._latest.setdefault((*place, str(stage.run.seed)), {})
            known |= {
                name: result[name] for name in ("test_error", "lmc") if not math.isnan(result.get(name, math.nan))
            }
            self._latest.move_to_end((*place, str(stage.run.seed)))
            if len(self._latest) > LATEST_POINTS:
                self._latest.popitem(last=False)

    def show(self, progress: SweepProgress, seconds: float) -> None:
        """Set what holds now, so many seconds after the last time."""
        for state, points in progress.states.items():
            self._points.set(points, {"state": state})
        self._rate.set(self._new_images / seconds)
        self._new_images = 0.0
        gauges = {"test_error": self._error, "lmc": self._lmc}
        for values, known in list(self._latest.items()):
            for name, value in dict(known).items():
                gauges[name].set(value, dict(zip(_POINT, values, strict=True)))
