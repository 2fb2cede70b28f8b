"""What to change in a recipe to train hotter or colder, or with a larger model, in the words of the command line."""

from metrics.diagnosis import Change
from sweeps.spec.spec import SweepSpec
from trainables.data import training_samples
from trainables.functions import is_function
from trainables.models import check_name, with_width

LEAST_BATCH = 4
"""Images in the smallest batch to be advised; in smaller ones batch-norm has too little to go by."""

RATE_FACTOR = 3
"""Of a learning rate in one step of advice; batches, epochs and SAM's radius are doubled or halved."""


def changes(sweep: SweepSpec, change: Change) -> list[str]:
    """Options with the values that make a change, the one to try first in front; none for none.

    Colder: a larger batch, a smaller learning rate, more epochs. Hotter: a smaller batch, a larger learning rate. The
    order, and the sizes of the steps, are our interpretation of Yang et al. 2021 (arXiv 2107.11228, section 3), whose
    temperature is the batch size.

    Args:
        sweep: With the recipe.
        change: What is to come about.
    """
    batch, lr = sweep.batch_size, sweep.lr
    if change == "colder":
        images = training_samples(sweep.data, sweep.validation_fraction)
        larger = [f"--batch-size {2 * batch}"] if 2 * batch <= images else []
        flatter = [f"--rho {sweep.rho / 2:.3g}"] if sweep.rho else []
        return [*larger, f"--lr {lr / RATE_FACTOR:.3g}", f"--epochs {2 * sweep.epochs}", *flatter]
    if change == "hotter":
        smaller = [f"--batch-size {batch // 2}"] if batch // 2 >= LEAST_BATCH else []
        return [*smaller, f"--lr {RATE_FACTOR * lr:.3g}"]
    wider = _wider(sweep.model) if change == "larger" else None
    return [] if wider is None else [f"--model {wider}"]


def _wider(model: str) -> str | None:
    """Name of a model of twice the width; None if that is the user's to make."""
    if is_function(model):
        return None
    wider = with_width(model, 2)
    try:
        check_name(wider)
    except ValueError:  # as of linear, which has no width
        return None
    return wider
