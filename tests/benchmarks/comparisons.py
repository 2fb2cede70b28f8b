"""What benchmarks that compare have in common: complete grids, and intervals; a difference says little without one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from sweeps.results.recorded import open_recorded
from sweeps.spec.presets import PRESETS
from sweeps.spec.spec import SweepSpec

RESAMPLES = 10_000


def complete_grid(path: str) -> tuple[SweepSpec, pd.DataFrame]:
    """Sweep and phase table of a results folder, or of a table recorded of a preset, ``<preset>.csv``."""
    past = open_recorded(path, None)
    spec = past.spec
    if past.store is None:  # recorded perhaps at more densities than the preset has
        spec = replace(PRESETS[Path(path).stem], densities=past.spec.densities)
    return spec, past.table(spec.thresholds)


def interval(differences: npt.ArrayLike) -> tuple[float, float, float]:
    """Mean of paired differences, and its 95 % interval: percentiles of a seeded bootstrap over the pairs.

    Args:
        differences: One for each unit, which counts as independent of the others. The units of the docs are densities
            of grids. Those of one grid share its dense models, so that the interval is too narrow, if anything.

    Returns:
        Mean, lower and upper end, in the unit of the differences.
    """
    values = np.asarray(differences, dtype=float)
    random = np.random.default_rng(1)
    means = values[random.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def said(differences: npt.ArrayLike) -> str:
    """The same for a table, of errors."""
    mean, low, high = interval(differences)
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
