"""Sweeps to start from."""

from dataclasses import replace

from sweeps.spec import SweepSpec

DIGITS = SweepSpec(
    data="digits",
    model="preresnet8-w0.5",
    temperature="epochs",
    temperatures=(2, 4, 7, 10, 15, 20),
    load="density",
    densities=(0.03, 0.05, 0.07, 0.1, 0.2, 0.4),
    dense_seeds=(1, 2),
    retrain_seeds=(1, 2, 3),
    epochs=20,
    batch_size=64,
    lr=0.1,
    momentum=0.9,
    weight_decay=5e-3,
    pruner="magnitude-uniform",
    validation_fraction=0.1,
    lmc_threshold=-0.05,
    cka_threshold=0.98,
)
"""A small real sweep: the handwritten digits on two cores in about two minutes.

Chosen so that the regimes follow the density for every dense seed; the thresholds were set before.
"""

SMOKE = replace(
    DIGITS,
    temperatures=(2, 6),
    densities=(0.05, 0.4),
    dense_seeds=(1,),
    retrain_seeds=(1, 2),
    epochs=6,
)
"""A tiny one, to see that everything runs. Its numbers mean nothing."""

PRESETS = {"digits": DIGITS, "smoke": SMOKE}
"""Sweeps by the name that ``--preset`` takes."""
