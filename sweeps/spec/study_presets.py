"""Studies to start from: of each a small one on real data, and one of the paper's size."""

from dataclasses import fields, replace
from typing import Any

from metrics.five_phases import PhaseThresholds
from sweeps.spec.diagnosis import Diagnosis
from sweeps.spec.importance import Importance
from sweeps.spec.landscape import Landscape
from sweeps.spec.presets import DIGITS, FASHION_EPOCHS, PAPER_EPOCHS
from sweeps.spec.prunability import Prunability
from sweeps.spec.sparsity import Sparsity
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study


def _of(sweep: SweepSpec) -> dict[str, Any]:
    return {field.name: getattr(sweep, field.name) for field in fields(SweepSpec)}


SPARSITY = Sparsity(
    **_of(
        replace(
            FASHION_EPOCHS,
            model="conv16-32-64",
            temperatures=(20,),
            dense_seeds=(1, 2, 3),
            epochs=20,
            batch_size=128,
            schedule="cosine",
            weight_decay=5e-4,
        )
    ),
    rounds=20,
)
"""Diao et al. 2023 scaled down: a convolutional net of 23,000 weights on 5,400 images of 14x14 pixels."""

PAPER_SPARSITY = replace(
    SPARSITY,
    data="CIFAR10",
    model="resnet18",
    temperatures=(200,),
    epochs=200,
    batch_size=250,
    validation_fraction=0.0,
    rounds=15,
)
"""Diao et al. 2023, section 4: ResNet-18, 15 rounds, the default p and q. Epochs and the rest are our reading."""

IMPORTANCE = Importance(
    **_of(
        replace(
            FASHION_EPOCHS,
            model="conv16-32-64",
            temperatures=(1, 5),
            densities=(0.5, 0.25, 0.1),
            dense_seeds=(1, 2, 3),
            retrain_seeds=(1, 2),
            epochs=20,
            batch_size=128,
            retrain_epochs=20,
            weight_decay=1e-4,
            pruner="filter-magnitude",
        )
    ),
    rounds=(1, 5),
)
"""Lubana and Dick 2021 scaled down: pruned after one epoch, and after five, to a tenth of the filters at the least."""

PAPER_IMPORTANCE = replace(
    IMPORTANCE,
    data="CIFAR10",
    model="vgg13",
    temperatures=(1,),
    densities=(0.9, 0.75, 0.5, 0.25),
    epochs=160,
    retrain_epochs=160,
    validation_fraction=0.0,
    rounds=(1, 5, 25),
)
"""Lubana and Dick 2021, section 5: VGG-13; also ``--model mobilenet-v1`` and ``resnet56``, and CIFAR-100."""

PRUNABILITY = Prunability(
    **_of(
        replace(
            FASHION_EPOCHS,
            temperatures=(20,),
            densities=(0.02, 0.05, 0.1, 0.2, 0.4, 0.8),
            data_dimensions=(2, 4, 16, 64),
            dense_seeds=(1, 2, 3),
            retrain_seeds=(1, 2),
            epochs=20,
        )
    ),
    tolerance=0.01,
)
"""The small Fashion-MNIST grid on its first principal components."""

PAPER_PRUNABILITY = Prunability(
    **_of(replace(PAPER_EPOCHS, temperatures=(160,), data_dimensions=(4, 16, 64, 256, 1024))), tolerance=0.01
)
"""The same on CIFAR-10 with the recipe of ``paper-epochs``. What Ankner et al. 2022 trained is not known to us."""

DIGITS_PHASES = Landscape(
    **_of(
        replace(
            DIGITS,
            model="preresnet8-w0.0625",
            temperature="epochs",
            temperatures=(2, 5, 10, 20, 40),
            load="width",
            densities=(1.0,),
            widths=(1, 2, 4, 8, 16),
            dense_seeds=(1, 2, 3),
            epochs=40,
            path_points=5,
            cka_images=768,
            cka_threshold=PhaseThresholds.cka,
        )
    ),
    curve_epochs=40,
    curve_lr=0.02,
    curve_batch_size=32,
    loss_threshold=0.04,
)
"""A small real landscape: the handwritten digits, by epochs and by the channels of the first layers.

Curves have 1,480 steps: half of the epochs in batches of 128 would be 200 here, too few to find a way. The threshold of
the loss was set before, from nine cells with other seeds: three times the lowest loss of these, 0.0137, as the default
is three times the lowest of the released results.
"""

PAPER_PHASES = Landscape(
    **_of(
        replace(
            PAPER_EPOCHS,
            model="resnet18-w0.015625",
            temperature="batch_size",
            temperatures=(16, 24, 32, 44, 64, 92, 128, 180, 256, 364, 512, 724, 1024),
            fixed="epochs",
            load="width",
            densities=(1.0,),
            widths=(2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128),
            dense_seeds=(1, 2, 3, 4, 5),
            epochs=100,
            batch_size=128,
            weight_decay=5e-4,
            milestones=(0.75,),
            augmentation="none",
            path_points=5,
            cka_images=768,
            cka_threshold=PhaseThresholds.cka,
        )
    )
)
"""Yang et al. 2021 (arXiv 2107.11228), by batch size and width: ResNet-18 without augmentation, 100 epochs.

The grid, the recipe and the sizes of what is measured are those of their released results. The last model is taken,
there the one of the epoch with the smallest training loss; a bend begins in the middle of the line, there at random.
"""

PAPER_PHASES_DATA = replace(
    PAPER_PHASES,
    model="resnet18",
    load="data_amount",
    widths=(),
    data_amounts=tuple(range(5000, 50001, 5000)),
)
"""The same by the amount of data, of a ResNet-18 of full width: a tenth of the training images, two tenths, ..."""

FASHION_PHASES = replace(
    PAPER_PHASES,
    data="FashionMNIST-14px-first1500",
    model="preresnet8-w0.0625",
    temperatures=(4, 8, 16, 32, 64, 128, 256),
    widths=(1, 2, 4, 8, 16),
    dense_seeds=(1, 2, 3),
    epochs=40,
    batch_size=64,
    validation_fraction=0.1,
    curve_epochs=40,
    curve_lr=0.02,
    curve_batch_size=32,
    loss_threshold=0.007,
)
"""``paper-phases`` scaled down for two cores: 1,350 images of 14x14 pixels, nets of 1 to 16 channels, 40 epochs.

Curves have 1,720 steps, for the same reason as those of the digits. The threshold of the loss was set before, from six
cells with other seeds: three times the lowest loss of these, 0.0023.
"""


def _diagnosis(like: Landscape, sweep: SweepSpec) -> Diagnosis:
    """Of one training: recipe, curves and borders of a landscape, for which these were set, and the model of a grid."""
    own = {field.name: getattr(like, field.name) for field in fields(Landscape)}
    one = {"temperature": "epochs", "temperatures": (), "load": "width", "widths": (1.0,), "dense_seeds": (1, 2)}
    of_grid = ("fixed", "model", "path_points", "cka_images", "lmc_threshold")
    return Diagnosis(**own | one | {name: getattr(sweep, name) for name in of_grid})


_REGISTRY: dict[type[Study], dict[str, tuple[Study, str]]] = {
    Sparsity: {
        "fashion-sparsity": (SPARSITY, "minutes on two cores"),
        "fashion-sparsity-mlp": (replace(SPARSITY, model="mlp64-128"), "the same of a net without convolutions"),
        "fashion-sparsity-linear": (replace(SPARSITY, model="linear"), "the same of a linear model"),
        "paper-sparsity": (PAPER_SPARSITY, "the paper's, for GPUs"),
    },
    Importance: {
        "fashion-importance": (IMPORTANCE, "half an hour on two cores"),
        "paper-importance": (PAPER_IMPORTANCE, "the paper's, for GPUs"),
    },
    Landscape: {
        "digits-phases": (DIGITS_PHASES, "minutes on two cores"),
        "fashion-phases": (FASHION_PHASES, "under an hour on two cores"),
        "paper-phases": (PAPER_PHASES, "the paper's by width, for GPUs"),
        "paper-phases-data": (PAPER_PHASES_DATA, "the paper's by the amount of data, for GPUs"),
    },
    Diagnosis: {
        "digits-diagnosis": (replace(_diagnosis(DIGITS_PHASES, DIGITS), epochs=DIGITS.epochs), "a minute on two cores"),
        "fashion-diagnosis": (_diagnosis(FASHION_PHASES, FASHION_EPOCHS), "minutes on two cores"),
        "paper-diagnosis": (replace(_diagnosis(PAPER_PHASES, PAPER_EPOCHS), model="resnet18"), "for GPUs"),
    },
    Prunability: {
        "fashion-prunability": (PRUNABILITY, "half an hour on two cores"),
        "fashion-manifold": (replace(PRUNABILITY, generator="random-manifold"), "the same of data made up"),
        "paper-prunability": (PAPER_PRUNABILITY, "for GPUs"),
    },
}

STUDY_PRESETS: dict[type[Study], dict[str, Study]] = {
    kind: {name: study for name, (study, _) in own.items()} for kind, own in _REGISTRY.items()
}
"""Presets of each kind of study, by the names that ``--preset`` takes; the first is the default."""

STUDY_PRESET_HELP = {
    kind: {name: f"{study.model.partition('#')[0]} on {study.data}, {what}" for name, (study, what) in own.items()}
    for kind, own in _REGISTRY.items()
}
"""What each is, in a few words."""
