"""What ``--precision auto`` is in a sweep, before keys are made of it."""

import statistics
from dataclasses import replace

from sweeps.results.store import Store
from sweeps.running.options import RunOptions
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import SweepSpec
from trainables.training.recipe import Precision

AUTO = "auto"

DECIDING = ("data", "model", "augmentation", "loss", "dense_recipe", "retrain_recipe")
"""What sweeps have in common whose results belong together, but for the precision."""


def resolved_precision(spec: SweepSpec, store: Store, options: RunOptions) -> Precision:
    """The precision of the latest sweep in a store, if it is like this one; else that which is faster here.

    So the same command goes on with what it began, also on another machine. A person is told.

    Args:
        spec: With precision auto.
        store: Where its results go.
        options: Where it runs.
    """
    try:
        before = store.spec()
    except UsageError:
        before = None
    if before is not None and _alike(before, spec):
        print(f"--precision auto: {before.precision}, as in the latest sweep in {store.folder}.", flush=True)
        return before.dense_recipe.precision
    chosen, why = _faster(spec, options)
    print(why, flush=True)
    return chosen


def _alike(before: SweepSpec, spec: SweepSpec) -> bool:
    spec = replace(spec, precision=before.precision)
    return before.precision != AUTO and all(getattr(before, name) == getattr(spec, name) for name in DECIDING)


def _faster(spec: SweepSpec, options: RunOptions) -> tuple[Precision, str]:
    """The precision that trains faster on this machine, if it is like those that will train; else float32."""
    import torch

    from trainables.execution.precision import faster_precision
    from trainables.execution.timings import Timings

    if options.address is not None:
        said = f"what is faster is not measured for the machines of --address {options.address}"
        return "float32", f"--precision auto: float32; {said}."
    if options.gpus_per_trial and not torch.cuda.is_available():
        return "float32", "--precision auto: float32; this machine has no GPU to measure on."
    device = torch.device("cuda" if options.gpus_per_trial else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        plain = replace(spec, precision="float32")
        points = plain.tried(plain.points())
        point = points[0].point
        siblings = len(spec.retrain_seeds)
        density = statistics.median(stage.point.density for stage in points) if options.compile == "auto" else None
        return faster_precision(point.dense.model, spec.data, point.retrain, siblings, density, device, Timings())
    except Exception as error:  # what is wrong with the model is told in one sentence, later
        said = f"bfloat16 cannot be tried ({type(error).__name__})"
        return "float32", f"--precision auto: float32; {said}."
    finally:
        torch.set_num_threads(threads)
