"""Sweeps to start from."""

from dataclasses import replace

from sweeps.spec.spec import SweepSpec

DIGITS = SweepSpec(
    data="digits",
    model="preresnet8-w0.5",
    temperature="batch_size",
    temperatures=(8, 16, 32, 64, 128),
    load="density",
    densities=(0.03, 0.05, 0.1, 0.2, 0.4),
    dense_seeds=(1, 2),
    retrain_seeds=(1, 2, 3),
    epochs=20,
    batch_size=32,
    lr=0.1,
    momentum=0.9,
    weight_decay=5e-3,
    pruner="magnitude-uniform",
    validation_fraction=0.1,
    lmc_threshold=-0.05,
    cka_threshold=0.98,
)
"""A small real sweep: the handwritten digits, on two cores in about three minutes; 720 steps for each batch size.

Batch 32, in the middle of the axis, because 720 steps are needed to see what the temperature does, and a step of it
costs two thirds of one of 64. The thresholds were set before, for the epochs axis.
"""

DIGITS_EPOCHS = replace(
    DIGITS,
    temperature="epochs",
    temperatures=(2, 4, 7, 10, 15, 20),
    densities=(0.03, 0.05, 0.07, 0.1, 0.2, 0.4),
    batch_size=64,
)
"""The same on the epochs axis. Chosen so that the regimes follow the density for every dense seed."""

SMOKE = replace(
    DIGITS_EPOCHS,
    temperatures=(2, 6),
    densities=(0.05, 0.4),
    dense_seeds=(1,),
    retrain_seeds=(1, 2),
    epochs=6,
)
"""A tiny one, to see that everything runs. Its numbers mean nothing."""

PAPER_EPOCHS = SweepSpec(
    data="CIFAR10",
    model="preresnet20",
    temperature="epochs",
    temperatures=tuple(range(10, 161, 10)),
    load="density",
    densities=(0.05, 0.06, 0.07, 0.08, 0.1, 0.14, 0.2, 0.4, 0.8),
    dense_seeds=(1, 2, 3),
    retrain_seeds=(1, 2, 3),
    epochs=160,
    batch_size=64,
    lr=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    pruner="magnitude-uniform",
    validation_fraction=0.0,
    lmc_threshold=-0.05,
    cka_threshold=0.98,
)
"""Zhou et al. 2023, section 4.1: the number of training epochs as the temperature.

The grid and the recipe are the paper's; that all training images are trained on, too. The thresholds are ours, as
everywhere (:class:`metrics.regimes.Thresholds`).
"""

PAPER_BATCH_SIZE = replace(
    PAPER_EPOCHS,
    temperature="batch_size",
    temperatures=(16, 21, 27, 32, 38, 44, 52, 64, 92, 128, 180, 256, 512),
    batch_size=128,
)
"""Zhou et al. 2023, section 4.1: batch size as the temperature, 62,400 steps for each, retraining with batch 128.

Those steps are 160 epochs of 390 whole batches of 128 out of 50,000 images.
"""

PAPER_SAM = replace(PAPER_EPOCHS, temperature="rho", temperatures=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8))
"""Zhou et al. 2023, section 5.3: SAM's rho as the temperature of the dense model, retraining with SGD.

The batch size is that of the epochs axis: our reading, since the paper gives none for this axis.
"""

FASHION_EPOCHS = replace(
    PAPER_EPOCHS,
    data="FashionMNIST-14px-first6000",
    model="preresnet8-w0.5",
    temperatures=(5, 10, 20, 30, 40),
    densities=(0.03, 0.05, 0.07, 0.1, 0.2, 0.4),
    dense_seeds=(1, 2),
    epochs=40,
    weight_decay=1e-3,
    validation_fraction=0.1,
)
"""``paper-epochs`` scaled down for two cores: 6,000 images of 14x14 pixels, a net of 20,000 parameters, 40 epochs."""

FASHION_BATCH_SIZE = replace(FASHION_EPOCHS, temperature="batch_size", temperatures=(8, 16, 32, 64, 128))
"""``paper-batch-size`` scaled down likewise: 3,360 steps for each batch size, retraining with batch 64."""

FASHION_SAM = replace(FASHION_EPOCHS, temperature="rho", temperatures=(0.05, 0.1, 0.2, 0.4, 0.8))
"""``paper-sam`` scaled down likewise."""

PAPER_TRANSLATION = replace(
    PAPER_EPOCHS,
    data="wmt14:de-en-first160000-bpe32000",
    model="transformer6x512-h8",
    temperatures=tuple(range(2, 21, 2)),
    epochs=20,
    batch_size=1500,
    lr=7e-4,
    optimizer="adamw",
    betas=(0.9, 0.98),
    weight_decay=0.0,
    schedule="inverse-square-root",
    warmup=0.06,
    label_smoothing=0.1,
)
"""The second task of Zhou et al. 2023: German to English, a Transformer. Its exact setup is not known to us.

Text, model and recipe are those of code for another paper of a co-author on the same data: 6 + 6 layers of width 512
with 8 heads, dropout 0.1, Adam, 20 epochs, about 1,500 padded tokens in a batch, the first 160,000 pairs (there up to
2,560,000), inverse square root after 4,000 steps of warm-up. These are 0.06 of the steps if a pair has about 31 tokens;
the highest learning rate is that of Vaswani et al. 2017 (section 5.3) for them. The size of the vocabulary, the
temperatures, the densities and that attention and feed-forward weights are pruned are our interpretation. The folder
``wmt14`` is the user's: WMT14's pairs as train, newstest2013 as valid, newstest2014 as test.
"""

TRANSLATION = replace(
    PAPER_TRANSLATION,
    data="text:de-en-words8-first6000-bpe2000",
    model="transformer2x64-h4",
    temperatures=(2, 5, 10, 20),
    densities=(0.02, 0.05, 0.1, 0.4),
    dense_seeds=(1, 2),
    retrain_seeds=(1, 2),
    batch_size=500,
    lr=3e-3,
    warmup=0.1,
    retrain_epochs=10,
    lmc_threshold=-0.02,
)
"""``paper-translation`` scaled down for two cores: short sentences, a small Transformer, half the epochs of retraining.

The thresholds were set before, from a pilot of nine pairs of siblings with 8,000 or 12,000 pairs of sentences: LMC was
from 0.001 to 0.003, so a barrier of 0.02 is far outside; CKA from 0.956 to 0.991, so 0.98 is in the midst.
"""

_REGISTRY = {
    "digits": (DIGITS, "three minutes on two cores"),
    "digits-epochs": (DIGITS_EPOCHS, "three minutes on two cores"),
    "smoke": (SMOKE, "a tiny one, in seconds"),
    "fashion-epochs": (FASHION_EPOCHS, "half an hour on two cores"),
    "fashion-batch-size": (FASHION_BATCH_SIZE, "the same on another axis"),
    "fashion-sam": (FASHION_SAM, "the same on another axis"),
    "translation": (TRANSLATION, "your own text, under an hour on two cores"),
    "paper-epochs": (PAPER_EPOCHS, "the paper's, for GPUs"),
    "paper-batch-size": (PAPER_BATCH_SIZE, "the paper's, for GPUs"),
    "paper-sam": (PAPER_SAM, "the paper's, for GPUs"),
    "paper-translation": (PAPER_TRANSLATION, "as far as it is known, your own text, for GPUs"),
}

PRESETS = {name: spec for name, (spec, _) in _REGISTRY.items()}
"""Sweeps by the name that ``--preset`` takes."""

PRESET_HELP = {
    name: f"{spec.temperature} {min(spec.temperatures):g} to {max(spec.temperatures):g} on {spec.data}, {what}"
    for name, (spec, what) in _REGISTRY.items()
}
"""What each is, in a few words."""

DEFAULT_PRESET = "digits"
