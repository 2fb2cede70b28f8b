"""Which siblings of a sweep there are, and which of them is meant."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.results.recorded import MOST_NAMED
from sweeps.results.stage_rows import lost_part
from sweeps.results.store import Store
from sweeps.spec.axes import LOADS
from sweeps.spec.checks import option_of
from sweeps.spec.errors import UsageError
from sweeps.spec.spec import SweepSpec
from trainables.stages import PointStage


@dataclass(frozen=True)
class StoredSibling:
    """A sibling that a sweep wants.

    Attributes:
        stage: Its point.
        seed: Its retrain seed.
        row: Its row of the table ``runs``; None if there is none yet.
        is_kept: Whether its weights are.
    """

    stage: PointStage
    seed: int
    row: dict[str, Any] | None
    is_kept: bool

    def __str__(self) -> str:
        return f"{self.stage}, retrain seed {self.seed}"

    @property
    def has_results(self) -> bool:
        """Whether it was retrained and did not diverge."""
        return self.row is not None and self.row["status"] == "ok"

    def check(self) -> None:
        """Raise UsageError, which says why, unless there are results and weights of it."""
        if self.row is None:
            raise UsageError(f"{self} is not there yet; run its sweep, or wait for it.")
        if not self.has_results:
            way = "run its sweep again" if self.row["status"] == "failed" else "take another one"
            message = str(self.row["message"]).rstrip(".")
            raise UsageError(f"{self} {self.row['status']} ({message}); {way}.")
        if not self.is_kept:
            said = "its weights were not kept; its sweep keeps them in another --out, with --keep siblings"
            raise UsageError(f"{self}: {said}.")


def points_at(
    points: Sequence[PointStage], spec: SweepSpec, temperature: float | None, loads: Mapping[str, float | None]
) -> list[PointStage]:
    """Points of a sweep at these values; what is None may be anything.

    Args:
        points: All points of the sweep.
        spec: The sweep.
        temperature: The temperature.
        loads: A value for every load axis, by its name. The density counts in every sweep, others in their own.

    Raises:
        UsageError: For a value that is none of the sweep's.
    """
    for name, value in loads.items():
        if value is not None and name not in (spec.load, "density"):
            raise UsageError(f"{option_of(name)} {value:g}: it is of a sweep with --load {name}; leave it out.")
    known = {"temperature": spec.temperatures} | {name: getattr(spec, axis.values) for name, axis in LOADS.items()}
    for name, value in {"temperature": temperature, **loads}.items():
        if value is not None and value not in known[name]:
            raise UsageError(f"{option_of(name)} {value:.12g}: the latest sweep there has {_listed(known[name])}.")
    load = loads[spec.load]
    return [
        stage for stage in points if temperature in (None, stage.label.temperature) and load in (None, stage.label.load)
    ]


def stored_siblings(points: Sequence[PointStage], store: Store) -> list[StoredSibling]:
    """All siblings of these points, in order."""
    files = [name for stage in points for name in (stage.key, *map(lost_part, stage.needs))]
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for row in store.table("runs", parts=files).to_pylist():
        name = row["point"], row["retrain_seed"]
        if name not in rows or rows[name]["status"] == "failed":  # beside results there may be a failure of later
            rows[name] = row
    kept = store.artifacts_of(PointStage)
    return [
        StoredSibling(stage, seed, rows.get((stage.key, seed)), seed in kept.get(stage.key, ()))
        for stage in points
        for seed in stage.seeds
    ]


def named_sibling(siblings: Sequence[StoredSibling], dense_seed: int | None, retrain_seed: int | None) -> StoredSibling:
    """The sibling of these seeds, or the only one that there is.

    Args:
        siblings: Of one temperature and load.
        dense_seed: Its dense seed; None for any.
        retrain_seed: Likewise.

    Raises:
        UsageError: If there is none, or more than one.
    """
    for option, value, known in (
        ("--dense-seed", dense_seed, {each.stage.run.seed for each in siblings}),
        ("--retrain-seed", retrain_seed, {each.seed for each in siblings}),
    ):
        if value is not None and value not in known:
            raise UsageError(f"{option} {value}: the latest sweep there has {_listed(known)}.")
    meant = [
        each for each in siblings if dense_seed in (None, each.stage.run.seed) and retrain_seed in (None, each.seed)
    ]
    if not meant:
        raise UsageError(
            f"--retrain-seed {retrain_seed}: there is none with dense seed {dense_seed}; take another one."
        )
    if len(meant) > 1:
        there = [each for each in meant if each.has_results and each.is_kept]
        if len(there) > 1:
            said = "give --dense-seed and --retrain-seed of one of them, or --best"
            raise UsageError(f"{meant[0].stage.label}: there are {_seeds(there)}; {said}.")
        meant = there or meant
    meant[0].check()
    return meant[0]


def best_sibling(siblings: Sequence[StoredSibling]) -> tuple[StoredSibling, str]:
    """The sibling of the lowest validation error, and how it was chosen, for a person.

    Of equal ones the first, of those that are kept if any of them is.

    Raises:
        UsageError: If there is none, or their validation errors are not known.
    """
    known = [each for each in siblings if each.has_results]
    if not known:
        siblings[0].check()
    errors = [_validation_error(each) for each in known]
    if all(map(math.isnan, errors)):
        said = "no validation errors are stored there (--validation-fraction 0); give --dense-seed and --retrain-seed"
        raise UsageError(f"--best: {said} instead.")
    least = min(error for error in errors if not math.isnan(error))
    equal = [each for each, error in zip(known, errors, strict=True) if error == least]
    best = next((each for each in equal if each.is_kept), equal[0])
    best.check()
    one_of_several = f", the first of {len(equal)} with as low a one" if len(equal) > 1 else ""
    return best, f"the lowest validation error of {len(known)} siblings{one_of_several}"


def _validation_error(sibling: StoredSibling) -> float:
    assert sibling.row is not None
    error = sibling.row["validation_error"]
    return math.nan if error is None else float(error)


def _listed(values: Iterable[float]) -> str:
    """Values for a person, as they are typed."""
    known = sorted(set(values))
    return " ".join(f"{each:.12g}" for each in known[:MOST_NAMED]) + " ..." * (len(known) > MOST_NAMED)


def _seeds(siblings: Sequence[StoredSibling]) -> str:
    """Which retrain seeds there are of which dense seeds, for a person."""
    of_dense: dict[int, list[int]] = {}
    for each in siblings:
        of_dense.setdefault(each.stage.run.seed, []).append(each.seed)
    shown = list(of_dense.items())[:MOST_NAMED]
    said = ", ".join(f"dense seed {dense} with retrain seeds {_listed(seeds)}" for dense, seeds in shown)
    return said + " ..." * (len(of_dense) > MOST_NAMED)
