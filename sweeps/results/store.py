"""Where results are kept: a folder of Parquet tables, each result safe in a file of its own the moment it exists."""

import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from sweeps.spec.errors import UsageError
from sweeps.results.part_files import Parts, Row
from sweeps.results.schema import TABLES
from sweeps.results.leases import another_sweep, sign_of_life
from sweeps.spec.spec import SweepSpec
from trainables.storage.location import open_folder
from trainables.stages import DenseRun, DenseStage, Point, PointStage, Stage, dense_name

SPEC = "sweep.json"
ADDED_SIBLINGS = "added_siblings"
PROGRESS = "progress.json"
SIGNS = ".driver"


class Store:
    """Results of one or several sweeps in one folder.

    ``runs``, ``pairs`` and ``dense`` are tables, ``artifacts`` the models, ``sweep.json`` the latest sweep. A point is
    stored once its file in ``runs`` has results; it is written after the one in ``pairs``.

    Args:
        location: The folder, a path or a URI as :func:`trainables.storage.folder.open_folder` takes it. It is made when the
            first file is written.
        endpoint: URL of a server that speaks S3's protocol, if it is not Amazon's.

    Raises:
        UsageError: If it is no location.
    """

    def __init__(self, location: str | os.PathLike[str], endpoint: str | None = None) -> None:
        try:
            self.folder = open_folder(location, endpoint)
        except ValueError as error:
            raise UsageError(f"{error}.") from None
        self.artifacts = self.folder.subfolder("artifacts")
        self._notes = self.folder.subfolder("")  # not waited for: the next note comes soon
        self._sign = ""
        self._tables = {table: Parts(self.folder, table) for table in TABLES}

    def set_spec(self, spec: SweepSpec) -> None:
        """Make this the folder's latest sweep, the one a report shows."""
        self.folder.write(SPEC, spec.to_json().encode())

    def show(self, spec: SweepSpec) -> None:
        """Make this the latest sweep, unless that has all of its siblings: a part of a grid does not hide the grid."""
        try:
            shown = _siblings(self.spec())
        except UsageError:
            shown = set()
        if not shown.issuperset(_siblings(spec)):
            self.set_spec(spec)

    def add_siblings(self, points: Iterable[PointStage]) -> None:
        """Note siblings that a search added: from then on they count in reports of their points, and in replays."""
        for stage in points:
            content = json.dumps(self._with_added(stage).seeds).encode()
            if self.folder.read(_added(stage.point.key)) != content:
                self.folder.write(_added(stage.point.key), content)

    def with_added_siblings(self, points: Iterable[PointStage]) -> list[PointStage]:
        """Points with the siblings that searches added to them."""
        added = set(self.folder.names(ADDED_SIBLINGS, ".json"))
        return [self._with_added(stage) if stage.point.key in added else stage for stage in points]

    def _with_added(self, stage: PointStage) -> PointStage:
        try:
            seeds = {int(seed) for seed in json.loads(self.folder.read(_added(stage.point.key)) or b"[]")}
        except (TypeError, ValueError):
            file = self.folder.at(_added(stage.point.key))
            raise UsageError(f"{file} is damaged; delete it, and run the search again.") from None
        return replace(stage, seeds=tuple(sorted({*stage.seeds, *seeds})))

    @contextmanager
    def shared(self, alongside: bool = False) -> Iterator[None]:
        """While this lasts, copies of this store in other processes can tell whether they see the same place.

        From now on storage that does not answer is waited for.

        Args:
            alongside: Begin although another sweep is at work here.

        Raises:
            UsageError: If one is, otherwise.
        """
        signs = self.folder.subfolder(SIGNS)
        with sign_of_life(signs) as own:
            other = None if alongside else another_sweep(signs, own, self._say)
            if other is not None:
                ways = "wait for it, stop it, or give another --out; --alongside goes on all the same"
                raise UsageError(f"{self.folder}: another sweep is at work there ({other}); {ways}.")
            self._sign = f"{SIGNS}/{own}"
            self.folder.patient = self.artifacts.patient = True
            yield

    def _say(self, what: str) -> None:
        print(f"{self.folder}: {what}.", flush=True)

    def is_shared(self) -> bool:
        """Whether this process sees what the one of :meth:`shared` writes; OSError if that cannot be told."""
        return self.folder.read(self._sign) is not None

    def set_progress(self, progress: Mapping[str, Any]) -> None:
        """Note how far a running sweep is."""
        self._notes.write(PROGRESS, json.dumps(progress).encode())

    def progress(self) -> dict[str, Any] | None:
        """What :meth:`set_progress` noted last; None if nothing that can be read."""
        try:
            noted = json.loads(self.folder.read(PROGRESS) or b"null")
        except (ValueError, RecursionError):
            return None
        return noted if isinstance(noted, dict) else None

    def check(self) -> None:
        """Raise UsageError unless the folder is new, empty or holds results."""
        try:
            names = {name for name in self.folder.contents() if name[0] != "."}
        except NotADirectoryError:
            raise UsageError(f"{self.folder} is a file, or below one; name a folder.") from None
        except ValueError as error:
            raise UsageError(f"{error}.") from None
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be read: {error.strerror}; name another folder.") from None
        if names and not names & {SPEC, PROGRESS, "runs", "pairs", "dense", "artifacts"}:
            raise UsageError(f"{self.folder} holds something else than a sweep's results; name a new or empty folder.")

    def check_writable(self) -> None:
        """Raise UsageError unless files can be written."""
        try:
            self.folder.write(".writable", bytes(64 * 1024))
            self.folder.delete(".writable")
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be written: {error.strerror}; name another folder.") from None

    def spec(self) -> SweepSpec:
        """Latest sweep of this folder.

        Raises:
            UsageError: If there is none, or another version wrote it.
        """
        file = self.folder.at(SPEC)
        try:
            content = self.folder.read(SPEC)
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise UsageError(f"{error}.") from None
        if content is None:
            raise UsageError(f"{self.folder} holds no results of a sweep (there is no {SPEC} in it).")
        try:
            spec = SweepSpec.from_json(content)
            spec.check()
        except (TypeError, ValueError, AttributeError, RecursionError, UsageError) as error:
            said = "is damaged or of another version; running its sweep again writes it anew"
            raise UsageError(f"{file} {said} ({error}).") from None
        return spec

    def record(self, stage: Stage, rows: Mapping[str, Sequence[Row]], device: str) -> None:
        """Store the rows of a stage that was carried out; what was stored of it before is replaced."""
        if isinstance(stage, DenseStage):
            for row in rows["dense"]:
                self._write("dense", dense_part(stage.run, row["epoch"]), [_dense_columns(stage.run) | row], device)
            if any(row["status"] != "failed" for row in rows["dense"]):
                self._tables["runs"].delete(lost_part(stage.run))
        else:
            for table in ("pairs", "runs"):  # runs last: its file says that the point is stored
                self._write(table, stage.point.key, [_point_columns(stage) | row for row in rows[table]], device)

    def record_failure(self, stage: Stage, message: str) -> None:
        """Store that a stage failed; results that are stored stay."""
        failure = _failure(message)
        if isinstance(stage, DenseStage):
            failures = [
                failure | {"dense": stage.run.key, "epoch": epoch}
                for epoch in stage.epochs
                if not self._results("dense", dense_part(stage.run, epoch))
            ]
            self.record(stage, {"dense": failures}, "")
            return
        kept_rows = self._results("runs", stage.point.key)
        seeds = set(stage.seeds) - {row["retrain_seed"] for row in kept_rows}
        failed_rows = [
            _point_columns(stage) | failure | {"point": stage.point.key, "retrain_seed": seed} for seed in sorted(seeds)
        ]
        self._write("runs", stage.point.key, kept_rows + failed_rows, "")

    def record_lost(self, points: Sequence[PointStage], why: Mapping[str, str]) -> None:
        """Store that points cannot run, those of one training in one file, which goes when that is trained on.

        Siblings that are stored stay, and so do points that are in the file already.

        Args:
            points: The points.
            why: What went wrong with their trainings, by these trainings' keys.
        """
        columns = ["point", "retrain_seed"]
        known = self.table("runs", columns, [stage.point.key for stage in points]).to_pylist()
        stored = {(row["point"], row["retrain_seed"]) for row in known}
        rows: dict[str, list[Row]] = {}
        for stage in points:
            rows.setdefault(lost_part(stage.run), []).extend(
                _point_columns(stage) | _failure(why[stage.run.key]) | {"point": stage.point.key, "retrain_seed": seed}
                for seed in stage.seeds
                if (stage.point.key, seed) not in stored
            )
        keys = {stage.point.key for stage in points}
        for part, own in rows.items():
            before = [row for row in self._tables["runs"].rows(part) if row["point"] not in keys]
            self._write("runs", part, [*before, *own], "")

    def stored(self) -> dict[str, set[int]]:
        """Retrain seeds that have a result, by key of the point."""
        have: dict[str, set[int]] = {}
        for row in self.rows("runs", ["point", "retrain_seed", "status"]):
            if row["status"] != "failed":
                have.setdefault(row["point"], set()).add(row["retrain_seed"])
        return have

    def dense_models(self) -> set[tuple[str, int]]:
        """Dense models that are measured and kept, as pairs of the key of the run and the epoch."""
        measured = {
            (row["dense"], row["epoch"])
            for row in self.rows("dense", ["dense", "epoch", "status"])
            if row["status"] != "failed"
        }
        kept = self.artifacts.files("dense") if measured else {}
        return {(run, epoch) for run, epoch in measured if f"{run}/{dense_name(epoch)}.pt" in kept}

    def rows(self, table: str, columns: list[str] | None = None) -> list[Row]:
        """All rows of a table, or these columns of them."""
        return self.table(table, columns).to_pylist()

    def table(self, table: str, columns: Sequence[str] | None = None, parts: Iterable[str] | None = None) -> pa.Table:
        """A table, with the schema of :data:`sweeps.results.schema.TABLES`.

        Args:
            table: Its name.
            columns: Only these columns.
            parts: Only these of its parts; names that there are none of are left out.

        Raises:
            UsageError: If a file is not of this schema.
        """
        return self._tables[table].read(columns, parts)

    def merge(self) -> None:
        """Merge the tables' parts that are not yet, where they are many: that is faster to read."""
        for parts in self._tables.values():
            parts.merge()

    def _results(self, table: str, name: str) -> list[Row]:
        """Rows of a file that are results, not failures; none if there is no such file."""
        return [row for row in self._tables[table].rows(name) if row["status"] != "failed"]

    def _write(self, table: str, name: str, rows: Iterable[Row], device: str) -> None:
        common = _provenance() | {"device": device, "created_at": datetime.now(UTC)}
        self._tables[table].write(name, [common | row for row in rows])


def dense_part(run: DenseRun, epoch: int) -> str:
    """Name of the file of the table ``dense`` that holds a model."""
    return f"{run.key}-{dense_name(epoch)}"


def lost_part(run: DenseRun) -> str:
    """Name of the file of the table ``runs`` that holds the points that cannot run since this training failed."""
    return f"lost-{run.key}"


def _failure(message: str) -> Row:
    return {"status": "failed", "message": message, "seconds": 0.0}


def _siblings(spec: SweepSpec) -> set[tuple[str, int]]:
    return {(stage.point.key, seed) for stage in spec.points() for seed in stage.seeds}


def _added(key: str) -> str:
    return f"{ADDED_SIBLINGS}/{key}.json"


def _dense_columns(run: DenseRun) -> Row:
    return {"data": run.data, "model": run.model, "dense_seed": run.seed, "configuration": _json(run)}


def _point_columns(stage: PointStage) -> Row:
    point, label = stage.point, stage.label
    return _dense_columns(point.dense) | {
        "dense": point.dense.key,
        "epoch": point.epoch,
        "temperature_axis": label.temperature_axis,
        "temperature": label.temperature,
        "load_axis": label.load_axis,
        "load": label.load,
        "pruner": point.pruner,
        "configuration": _json(point),
    }


def _json(config: DenseRun | Point) -> str:
    return json.dumps(asdict(config), sort_keys=True)


@cache
def _provenance() -> Row:
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    versions = {"python": platform.python_version(), "torch": _version("torch"), "ray": _version("ray")}
    return {
        "host": socket.gethostname(),
        "package_version": _version("three-regime-sweeps"),
        "commit": commit,
        "libraries": " ".join(f"{name} {number}" for name, number in versions.items()),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
