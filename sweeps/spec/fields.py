"""The options of a sweep, as a user writes them."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from metrics.regimes import SimilarityRule
from sweeps.spec.axes import Fixed, Generator, Load, Temperature
from sweeps.spec.choices import described, one_of, true_or_false
from sweeps.spec.kinds import LmcThreshold
from trainables.data import PUBLISHED
from trainables.models import EXAMPLES
from trainables.pruning import RULES
from trainables.training.optimizers import OPTIMIZERS
from trainables.training.recipe import PrecisionOption
from trainables.training.schedules import SCHEDULES

TWO = "FLOAT FLOAT"
"""How help shows the values of an option that takes two."""


@dataclass(frozen=True)
class SweepFields:
    """All of them but those of pruning methods. A field left out has the preset's value."""

    data: Annotated[
        str,
        tyro.conf.arg(
            help=f"Data set: {', '.join(PUBLISHED)}; or a file path.npz, a folder with train/<class>/<image> and "
            "test/<class>/<image>, or package.module:function. With -components16 or -manifold16 at the end of 16 "
            "dimensions, with -first1000 its first 1,000 training images. Or sentences, folder:de-en with train.de, "
            "train.en, test.de, test.en; -words10 for at most so many words, -first12000, and a vocabulary, as "
            "-bpe8000 or -unigram4000."
        ),
    ]

    model: Annotated[
        str,
        tyro.conf.arg(help=f"Architecture: one like {EXAMPLES}, -w0.5 for half the width; or package.module:function."),
    ]

    temperature: Temperature

    temperatures: tuple[int | float, ...]
    """Values on the temperature axis, in its own unit."""

    load: Load

    densities: Annotated[tuple[float, ...], tyro.conf.arg(aliases=["--density"])]
    """Fractions of the prunable weights to keep, in (0, 1], with filter rules of the filters; just one with another
    --load."""

    dense_seeds: tuple[int, ...]
    """Seeds of the dense models, each a training of its own."""

    retrain_seeds: tuple[int, ...]
    """Seeds of the siblings retrained from each pruned model, at least two; all their pairs are compared."""

    epochs: int
    """Epochs of the whole schedule of dense training."""

    batch_size: int
    """Images in a training step; of sentences tokens, of the longer side of each pair and padding among them."""

    lr: float
    """Learning rate, at its highest."""

    momentum: float
    """Momentum of SGD, in [0, 1); adamw does not use it."""

    weight_decay: float
    """Weight decay of all parameters: with sgd an L2 penalty, with adamw decoupled."""

    pruner: Annotated[str, described("Weights to keep", RULES, "or package.module:function, your own")]

    validation_fraction: float
    """Share of the training images, or pairs of sentences, held out to give validation_error, in [0, 1); 0 leaves that
    NaN, unless the text has validation pairs."""

    lmc_threshold: LmcThreshold
    """Regime I is where LMC lies below this, in units of error: a negative number, or auto, which the cells decide."""

    cka_threshold: float
    """With --cka-rule fixed: CKA in [0, 1] from which connected siblings are in Regime II-B."""

    fixed: Fixed = None
    """With --temperature batch_size: what all dense trainings have in common, the number of steps, if not given, or of
    epochs. Retraining is the same with both."""

    widths: tuple[float, ...] = ()
    """With --load width: factors on the model's channels."""

    data_dimensions: tuple[int, ...] = ()
    """With --load data_dimension: dimensions of the images, each a data set of its own, made from --data."""

    data_amounts: tuple[int, ...] = ()
    """With --load data_amount: numbers of training images, the first ones of --data, with those that
    --validation-fraction holds out."""

    generator: Generator = None
    """With --load data_dimension: how images get a dimension. By their first principal-components, if not given; or a
    random-manifold, images and labels made up by fixed random networks."""

    optimizer: Annotated[str, one_of("--optimizer", OPTIMIZERS)] = "sgd"
    """What takes the steps; adamw with --weight-decay 0 is Adam."""

    betas: Annotated[tuple[float, ...], tyro.conf.arg(metavar=TWO)] = (0.9, 0.999)
    """Of adamw, both in [0, 1): how much its means of the gradients and of their squares keep in a step."""

    schedule: Annotated[str, one_of("--schedule", SCHEDULES)] = "step"
    """Of the learning rate; step takes it down to a tenth at each of the --milestones, constant-linear from half of it
    on in a line to a hundredth at 90 %, cosine ends at 0."""

    milestones: tuple[float, ...] = (0.5, 0.75)
    """With --schedule step: shares of the schedule, in (0, 1) and ascending, at which the learning rate falls."""

    warmup: float = 0.0
    """Share of the schedule, in [0, 1), in which the learning rate rises from 0, the same amount in each step."""

    label_smoothing: float = 0.0
    """Share of each target, in [0, 1), that is spread over all classes; the losses shown are then of these targets."""

    gradient_clipping: float = 0.0
    """Largest L2 norm of a model's gradients; larger ones are scaled down to it. 0 for no limit."""

    rho: float = 0.0
    """Radius of sharpness-aware minimization (SAM) in dense training, on all axes but rho; 0 is none of it."""

    precision: PrecisionOption = "float32"
    """Of the passes of training (float32 convolutions on a GPU use TensorFloat-32); measuring is in float32. auto is
    what the latest sweep in --out has or, in a new one, bfloat16 where that is clearly faster on this machine."""

    image_size: int | None = None
    """Bring images of a folder or a function to so many pixels, square: the shorter side is resized to it, and the
    middle of the longer one cut out; as they are if not given."""

    augmentation: str = "published"
    """Of training images: published, which for your own data is none; none; crop-flip; or package.module:function."""

    crop_padding: int | None = None
    """Pixels of random shift in augmentation; if not given those published for the data set, or 0."""

    flip: Annotated[bool | None, true_or_false()] = None
    """Mirror images at random in augmentation; if not given as published for the data set, or not."""

    loss: str | None = None
    """What training and retraining minimize, package.module:function; cross entropy if not given."""

    cka_rule: SimilarityRule = "fixed"
    """Compare CKA with --cka-threshold everywhere (fixed), or with the best CKA of the same load (relative)."""

    cka_margin: float = 0.01
    """With --cka-rule relative: Regime II-B reaches so far below the best CKA of the same load, in [0, 1]."""

    retrain_epochs: int | None = None
    """Epochs of retraining; as many as --epochs if not given."""

    retrain_batch_size: int | None = None
    """Images, or tokens, in a step of retraining; as many as --batch-size if not given."""

    retrain_lr: float | None = None
    """Learning rate of retraining at its highest; as --lr if not given."""

    retrain_optimizer: Annotated[str | None, one_of("--retrain-optimizer", OPTIMIZERS, optional=True)] = None
    """Optimizer of retraining; as --optimizer if not given."""

    retrain_betas: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar=TWO)] = None
    """Betas of retraining with adamw; as --betas if not given."""

    retrain_schedule: Annotated[str | None, one_of("--retrain-schedule", SCHEDULES, optional=True)] = None
    """Schedule of retraining; as --schedule if not given."""

    retrain_milestones: tuple[float, ...] | None = None
    """Milestones of retraining with step; as --milestones if not given."""

    retrain_warmup: float | None = None
    """Warm-up of retraining; as --warmup if not given."""

    retrain_weight_decay: float | None = None
    """Weight decay of retraining; as --weight-decay if not given."""

    retrain_label_smoothing: float | None = None
    """Label smoothing of retraining; as --label-smoothing if not given."""

    retrain_gradient_clipping: float | None = None
    """Gradient clipping of retraining; as --gradient-clipping if not given, 0 for no limit."""

    path_points: int = 11
    """Positions on the line between siblings at which LMC takes the error, ends included; another number, or other
    --cka-images, measures those that are kept again, without training."""

    cka_images: int = 6400
    """CKA compares the outputs for so many training images, or positions of target sentences, or for all if fewer."""
