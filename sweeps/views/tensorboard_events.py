"""The trainings of a sweep as event files for TensorBoard."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sweeps.results.store import Store
from sweeps.spec.errors import UsageError
from sweeps.spec.landscape import Landscape
from sweeps.spec.spec import SweepSpec
from sweeps.views.named_files import checked_folder
from trainables.stages import Label


def write_events(store: Store, spec: SweepSpec, folder: str) -> int:
    """Write the training loss of every model over its epochs, a run of TensorBoard for each.

    Runs are named ``density=0.05/epochs=020/dense_seed=1/retrain_seed=2``, loads first: those of one density are
    together in TensorBoard's list, and ``density=0.05/`` as its filter shows them alone. Dense models are below
    ``dense``, the bends of curves between two of them below ``curves``.

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
    runs = _of_curves(store, spec) if isinstance(spec, Landscape) else _of_siblings(store, spec)
    if not runs:
        raise UsageError(f"{store.folder} knows no training losses yet; nothing of its latest sweep is stored.")
    for name, losses in runs.items():
        _write(Path(folder) / name, losses)
    return len(runs)


def _of_siblings(store: Store, spec: SweepSpec) -> dict[str, Sequence[float]]:
    """Losses of siblings and of dense models, by name."""
    place, points = _Places(spec), spec.points()
    names = {stage.point.key: f"{place.of(stage.label)}dense_seed={stage.point.dense.seed}" for stage in points}
    runs: dict[str, Sequence[float]] = {}
    with_added = store.with_added_siblings(points)
    seeds = {(stage.point.key, seed) for stage in with_added for seed in stage.seeds}
    for row in store.rows("runs", ["point", "retrain_seed", "losses"]):
        if (row["point"], row["retrain_seed"]) in seeds and row["losses"]:
            runs[f"{names[row['point']]}/retrain_seed={row['retrain_seed']}"] = row["losses"]
    dense = {stage.point.dense.key: place.of_dense(stage.label, stage.point.dense.seed) for stage in points}
    return runs | _of_dense(store, dense)


def _of_curves(store: Store, study: Landscape) -> dict[str, Sequence[float]]:
    """Losses of curves between dense models and of these, by name."""
    place, names, dense = _Places(study), dict[tuple[str, int, int], str](), dict[str, str]()
    for stage in study.connections():
        assert stage.label is not None  # of every stage of a study
        for first, second in stage.pairs:
            name = f"curves/{place.of(stage.label)}dense_seeds={first}-{second}"
            names[stage.connected.key, first, second] = name
        dense |= {run.key: place.of_dense(stage.label, run.seed) for run in stage.runs}
    runs: dict[str, Sequence[float]] = {}
    for row in store.rows("connections", ["curve", "first_seed", "second_seed", "losses"]):
        name = names.get((row["curve"], row["first_seed"], row["second_seed"]), "")
        if name and row["losses"]:
            runs[name] = row["losses"]
    return runs | _of_dense(store, dense)


def _of_dense(store: Store, names: Mapping[str, str]) -> dict[str, Sequence[float]]:
    """Losses of dense models by name; names by their keys."""
    longest: dict[str, Sequence[float]] = {}
    for row in store.rows("dense", ["dense", "losses"]):
        if row["dense"] in names and len(row["losses"] or ()) > len(longest.get(row["dense"], ())):
            longest[row["dense"]] = row["losses"]
    return {names[key]: losses for key, losses in longest.items()}


class _Places:
    """Names of cells; numbers have equal widths, so that they sort."""

    def __init__(self, spec: SweepSpec) -> None:
        self._digits = [
            max(len(f"{value:g}".partition(".")[0]) for value in values) for values in (spec.temperatures, spec.loads)
        ]

    def of(self, label: Label) -> str:
        """Name of a cell."""
        return self._load(label) + self._temperature(label)

    def of_dense(self, label: Label, seed: int) -> str:
        """Name of a dense training of a cell.

        On the epochs axis one training has all temperatures, and all densities come from one model.
        """
        load = self._load(label) * (label.load_axis != "density")
        temperature = self._temperature(label) * (label.temperature_axis != "epochs")
        return f"dense/{load}{temperature}dense_seed={seed}"

    def _load(self, label: Label) -> str:
        return f"{label.load_axis}={_padded(label.load, self._digits[1])}/"

    def _temperature(self, label: Label) -> str:
        return f"{label.temperature_axis}={_padded(label.temperature, self._digits[0])}/"


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
