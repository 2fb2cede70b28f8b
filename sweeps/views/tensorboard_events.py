"""The trainings of a sweep as event files for TensorBoard."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sweeps.results.store import Store
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import SweepSpec
from sweeps.views.named_files import checked_folder


def write_events(store: Store, spec: SweepSpec, folder: str) -> int:
    """Write the training loss of every model over its epochs, a run of TensorBoard for each.

    Runs are named ``density=0.05/epochs=020/dense_seed=1/retrain_seed=2``, loads first: those of one density are
    together in TensorBoard's list, and ``density=0.05/`` as its filter shows them alone. Dense models are below
    ``dense``.

    Args:
        store: Of the results.
        spec: Which of them.
        folder: Folder of this machine; event files that it has of these runs are replaced.

    Returns:
        The number of runs.

    Raises:
        UsageError: If nothing is known of the losses, or the folder cannot be written.
    """
    checked_folder("--tensorboard", folder)
    names = _names(spec)
    runs: dict[str, Sequence[float]] = {}
    points = store.with_added_siblings(spec.points())
    seeds = {(stage.point.key, seed) for stage in points for seed in stage.seeds}
    for row in store.rows("runs", ["point", "retrain_seed", "losses"]):
        if (row["point"], row["retrain_seed"]) in seeds and row["losses"]:
            runs[f"{names[row['point']]}/retrain_seed={row['retrain_seed']}"] = row["losses"]
    longest: dict[str, Sequence[float]] = {}
    for row in store.rows("dense", ["dense", "losses"]):
        if row["dense"] in names and len(row["losses"] or ()) > len(longest.get(row["dense"], ())):
            longest[row["dense"]] = row["losses"]
    runs |= {names[key]: losses for key, losses in longest.items()}
    if not runs:
        raise UsageError(f"{store.folder} knows no training losses yet; nothing of its latest sweep is stored.")
    for name, losses in runs.items():
        _write(Path(folder) / name, losses)
    return len(runs)


def _names(spec: SweepSpec) -> Mapping[str, str]:
    """Names of points and of dense trainings by their keys; numbers have equal widths, so that they sort."""
    points = spec.points()
    digits = [
        max(len(f"{value:g}".partition(".")[0]) for value in values) for values in (spec.temperatures, spec.loads)
    ]
    names: dict[str, str] = {}
    for stage in points:
        label, run = stage.label, stage.point.dense
        temperature = f"{label.temperature_axis}={_padded(label.temperature, digits[0])}/"
        load = f"{label.load_axis}={_padded(label.load, digits[1])}/"
        seed = f"dense_seed={run.seed}"
        names[stage.point.key] = load + temperature + seed
        # On the epochs axis one training has all temperatures, and all densities come from one model.
        own = load * (label.load_axis != "density") + temperature * (label.temperature_axis != "epochs")
        names[run.key] = f"dense/{own}{seed}"
    return names


def _padded(value: float, digits: int) -> str:
    whole, point, rest = f"{value:g}".partition(".")
    return whole.zfill(digits) + point + rest


def _write(folder: Path, losses: Sequence[float]) -> None:
    """Write one run; file by file, so that TensorBoard never reads half of one."""
    from tensorboardX import SummaryWriter

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            with SummaryWriter(scratch) as writer:
                for epoch, loss in enumerate(losses, start=1):
                    writer.add_scalar("training_loss", loss, epoch)
            (written,) = Path(scratch).iterdir()
            written.replace(folder / "events.out.tfevents.0.three-regime-sweeps")
    except OSError as error:
        raise UsageError(f"--tensorboard {folder} cannot be written: {error.strerror or error}.") from None
